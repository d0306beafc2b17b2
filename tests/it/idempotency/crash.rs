//! The process that runs a journaled answer is killed: whoever follows is told, and a new request is a new run.

use headgate::simulator::Step;
use serde_json::json;
use tempfile::TempDir;

use crate::process::Serving;
use crate::support::redis::RedisServer;
use crate::support::{KEY, TestGateway, config, mock, streamed, until};

/// What follows `headgate-run` differs per store only in who else may look.
async fn killed_in_the_middle(store: &str, folder: &TempDir, replica: Option<TestGateway>) {
    let mock = match &replica {
        Some(gw) => std::sync::Arc::clone(&gw.mock),
        None => mock().await,
    };
    let mut document = config(&mock);
    document["store"] = json!(store);
    std::fs::write(folder.path().join("config.yaml"), document.to_string()).unwrap();
    let first = Serving::start(folder.path(), &[]).await;
    let client = reqwest::Client::new();
    let post = |address: std::net::SocketAddr| {
        let url = format!("http://{address}/v1/chat/completions");
        client.post(url).bearer_auth(KEY).header("idempotency-key", "k").body(streamed("single").to_string()).send()
    };
    mock.script("first", vec![Step { words: Some(10_000), gap_ms: 20, ..Step::text("on") }, Step::text("anew")]);
    let mut stream = post(first.client).await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let follower = match &replica {
        Some(gw) => {
            let mut follower = post(gw.gateway.client).await.unwrap();
            assert!(follower.chunk().await.unwrap().is_some());
            Some(follower)
        }
        None => None,
    };

    first.kill();

    while let Ok(Some(_)) = stream.chunk().await {}
    if let Some(mut follower) = follower {
        let mut text = String::new();
        let end = loop {
            match follower.chunk().await {
                Ok(Some(bytes)) => text.push_str(&String::from_utf8_lossy(&bytes)),
                Ok(None) => break "clean",
                Err(_) => break "abnormal",
            }
        };
        assert!(text.contains("run_lost") && end == "abnormal", "{end}: {text}");
    }
    let second = Serving::start(folder.path(), &[]).await;
    until("the dead process's call is closed", || mock.counts().open_calls == 0).await;
    let again = post(second.client).await.unwrap();
    assert_eq!(again.status(), 200);
    assert!(again.text().await.unwrap().contains("anew"), "a new run, because nobody works on the old one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_the_key_is_free_again_on_sqlite() {
    let folder = TempDir::new().unwrap();
    killed_in_the_middle("sqlite:headgate.db", &folder, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_followers_on_other_replicas_are_told_and_the_key_is_free_again_on_redis() {
    let folder = TempDir::new().unwrap();
    let redis = RedisServer::start(folder.path());
    let replica = TestGateway::with(|config| config["store"] = json!(redis.url())).await;
    killed_in_the_middle(&redis.url(), &folder, Some(replica)).await;
}
