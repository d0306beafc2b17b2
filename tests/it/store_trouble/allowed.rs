//! Limits that let calls go on without the store, and the operator's command after a loss.

use headgate::simulator::Step;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{run, text};
use crate::support::redis::RedisServer;
use crate::support::{KEY, PATIENCE, Reply, TestGateway, config, mock, streamed, told_when, until};

async fn gateway(redis: &RedisServer, limits: Value) -> TestGateway {
    let mock = mock().await;
    let mut config = config(&mock);
    config["store"] = json!(redis.url());
    config["limits"] = limits;
    TestGateway::start_in(mock, TempDir::new().unwrap(), &config, &[]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_limits_allow_it_goes_on_without_the_store_and_is_told_of_by_log_metric_and_receipt() {
    let files = TempDir::new().unwrap();
    let redis = RedisServer::start(files.path());
    let limits = json!([
        { "scope": "user", "usd": 1, "per": "day", "on_store_error": "allow" },
        { "scope": "global", "usd": 100, "per": "day", "on_store_error": "local_share" },
    ]);
    let gw = gateway(&redis, limits).await;
    assert_eq!(gw.ask("single").await.status, 200);
    until("a share is set aside", || hold_count(&redis) == 1).await;

    redis.signal("STOP");
    gw.mock.script(
        "first",
        vec![Step { words: Some(10), ..Step::default() }, Step { words: Some(50), gap_ms: 20, ..Step::default() }],
    );
    let plain = gw.ask("single").await;
    assert_eq!((plain.status, plain.text().split(' ').count()), (200, 10));
    let stream = gw.request(&streamed("single")).send().await.unwrap();
    assert_eq!((stream.status().as_u16(), gw.mock.counts().calls), (200, 3));
    redis.signal("CONT");
    assert!(stream.text().await.unwrap().ends_with("data: [DONE]\n\n"));

    let lines = [gw.finished(1).await, gw.finished(2).await, gw.finished(3).await];
    assert_eq!(lines.each_ref().map(|line| line["store_away"] == true), [false, true, true]);
    let cost: u64 = lines.iter().filter_map(|line| line["cost_nano"].as_u64()).sum();
    told_when("booked", PATIENCE, async || gw.spent("user").await, |spent| *spent == (cost, 0)).await;
    assert!(gw.metrics().await.contains("headgate_store_away_runs_total 2"));
    let id = lines[2]["run"].as_str().unwrap();
    let receipt = gw.client.get(gw.url(&format!("/v1/requests/{id}"))).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(Reply::of(receipt).await.json()["store_away"], true);
}

fn hold_count(redis: &RedisServer) -> i64 {
    let redis::Value::Int(count) = redis.command(&["ZCARD", "hg:deadlines"]) else { panic!("a count") };
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_redis_shuts_the_gateway_until_the_loss_is_accepted_by_command() {
    let files = TempDir::new().unwrap();
    let redis = RedisServer::start(files.path());
    let gw = gateway(&redis, json!([{ "scope": "user", "usd": 1, "per": "day" }])).await;
    assert_eq!(gw.ask("single").await.status, 200);
    let spent = gw.spent("user").await;
    let accept = || run(gw.folder.path(), &["store", "accept-loss"]);
    assert_eq!(accept().status.code(), Some(1), "there is no loss");

    redis.command(&["FLUSHALL"]);
    let refused = gw.ask("single").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "store_unavailable"));
    until("the loss is noted", || redis.command(&["EXISTS", "hg:lost"]) == redis::Value::Int(1)).await;
    assert_eq!(gw.ask("single").await.status, 503);
    assert_eq!(gw.mock.counts().calls, 1);

    let accepted = accept();
    assert_eq!(accepted.status.code(), Some(0), "{}", text(&accepted.stderr));
    until("it is up again", || gw.gateway.hall().money().is_store_up()).await;
    assert_eq!(gw.spent("user").await, spent, "what the gateway knows is not forgotten");
    assert_eq!(gw.ask("single").await.status, 200);
}
