//! A gateway is killed in the middle of its work: nothing settled is lost, and no hold outlives it for long.

use std::path::Path;
use std::time::Duration;

use headgate::simulator::{Simulator, Step};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::process::{Serving, run, text};
use crate::support::redis::RedisServer;
use crate::support::{KEY, config, mock, question, streamed, told_when, until};

const STREAMS: usize = 50;

/// What the issue grants from the restart until the last hold of the dead process is gone.
const GONE_WITHIN: Duration = Duration::from_secs(75);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_50_streams_loses_nothing_settled_and_leaves_no_hold_on_sqlite() {
    let folder = TempDir::new().unwrap();
    kill_and_restart(folder.path(), "sqlite:headgate.db").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_50_streams_loses_nothing_settled_and_leaves_no_hold_on_redis() {
    let folder = TempDir::new().unwrap();
    let redis = RedisServer::start(folder.path());
    kill_and_restart(folder.path(), &redis.url()).await;
}

async fn kill_and_restart(folder: &Path, store: &str) {
    // Given a gateway with ten settled calls and fifty open streams.
    let mock = mock().await;
    write_config(folder, &mock, store);
    let first = Serving::start(folder, &[]).await;
    let client = reqwest::Client::new();
    for _ in 0..10 {
        let reply = post(&client, &first, &question("single")).await;
        assert_eq!(reply.status(), 200);
        reply.bytes().await.unwrap();
    }
    mock.script("first", vec![Step { words: Some(10_000), gap_ms: 50, ignore_max_tokens: true, ..Step::default() }]);
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = post(&client, &first, &streamed("single")).await;
        assert!(stream.chunk().await.unwrap().is_some());
        streams.push(stream);
    }
    let before = usage(folder);
    assert_eq!(before["open_holds"], STREAMS);
    let (settled, held) = global(&before);

    // When it is killed and started again.
    first.kill();
    for mut stream in streams {
        while let Ok(Some(_)) = stream.chunk().await {}
    }
    let second = Serving::start(folder, &[]).await;
    let restarted = Instant::now();

    // Then what was settled still is, every client saw its stream break off, and the holds go within their time.
    assert_eq!(global(&usage(folder)).0, settled);
    until("every upstream connection of the dead process is closed", || mock.counts().open_calls == 0).await;
    let left = GONE_WITHIN.saturating_sub(restarted.elapsed());
    told_when("no hold is left", left, async || usage(folder), |usage| usage["open_holds"] == 0).await;
    // The streams of the dead process are the operator's loss, booked in full on the global scope only.
    let after = usage(folder);
    assert_eq!(global(&after), (settled + held, 0));
    assert_eq!(after["platform_waste_nano"], held);
    assert_eq!(user(&after), (settled, 0));
    // A crowded machine may keep the store from answering a single call in time.
    while post(&client, &second, &question("standard")).await.status() != 200 {
        assert!(restarted.elapsed() < GONE_WITHIN, "the second gateway does not serve");
    }
}

fn write_config(folder: &Path, mock: &Simulator, store: &str) {
    let mut config = config(mock);
    config["limits"] =
        json!([{ "scope": "user", "usd": 100, "per": "day" }, { "scope": "global", "usd": 1000, "per": "day" }]);
    // Started on free ports both times, the second start must not need the first one's to be forgotten.
    config["store"] = json!(store);
    std::fs::write(folder.join("config.yaml"), config.to_string()).unwrap();
}

async fn post(client: &reqwest::Client, gateway: &Serving, body: &Value) -> reqwest::Response {
    let url = format!("http://{}/v1/chat/completions", gateway.client);
    client.post(url).bearer_auth(KEY).body(body.to_string()).send().await.unwrap()
}

/// `headgate usage --json`, beside the running gateway.
fn usage(folder: &Path) -> Value {
    let output = run(folder, &["usage", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Settled and held nano-dollars of everybody.
fn global(usage: &Value) -> (u64, u64) {
    amounts(usage, "global")
}

/// The same of the one user.
fn user(usage: &Value) -> (u64, u64) {
    amounts(usage, "user")
}

fn amounts(usage: &Value, scope: &str) -> (u64, u64) {
    let rows = usage["limits"].as_array().unwrap();
    let row = rows.iter().find(|row| row["scope"] == scope && row["unit"] == "usd").unwrap();
    (row["settled_nano"].as_u64().unwrap(), row["held_nano"].as_u64().unwrap())
}
