//! Edits of config and policies while calls go on: good ones are live at once, bad ones change nothing and are named.

mod broken;
mod live;
mod styles;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Reply, TestGateway, config, mock, told_when};

/// Within this an edit has to be live: the promised 2 s, and as much again for a busy machine.
const LIVE: Duration = Duration::from_secs(4);

const POLICY: &str = "return function(request)\n  return allow {}\nend\n";

/// A gateway with a budget, a request limit that no load reaches, and an admission policy; and its config.
async fn editable() -> (TestGateway, Value) {
    let mock = mock().await;
    let mut config = config(&mock);
    // In a folder of its own: what the database writes must not be what makes an edit noticed.
    config["store"] = json!("sqlite:db/headgate.db");
    config["policies"] = json!({ "admission": "admission.lua" });
    config["limits"] = json!([{ "scope": "global", "usd": 50, "per": "day" }]);
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("db")).expect("a writable folder");
    let gw =
        TestGateway::start_in(mock, folder, &config, &[("admission.lua", POLICY)]).await.expect("the gateway starts");
    (gw, config)
}

fn pretty(config: &Value) -> String {
    serde_json::to_string_pretty(config).expect("JSON")
}

fn write(gw: &TestGateway, file: &str, text: &str) {
    put(gw.folder.path(), file, text);
}

/// In one step, so that nobody reads half of it; `styles` has the other ways.
fn put(folder: &Path, file: &str, text: &str) {
    let new = folder.join(format!("{file}.new"));
    std::fs::write(&new, text).expect("a writable folder");
    std::fs::rename(new, folder.join(file)).expect("a writable folder");
}

async fn ready(gw: &TestGateway) -> Value {
    let reply = Reply::of(gw.client.get(gw.url("/readyz")).send().await.expect("an answer")).await;
    assert_eq!(reply.status, 200, "a bad edit leaves the gateway ready");
    reply.json()
}

/// Waits until what `/readyz` says is `right`.
async fn ready_when(gw: &TestGateway, what: &str, right: impl Fn(&Value) -> bool) -> Value {
    told_when(what, LIVE, async || ready(gw).await, right).await
}

async fn in_force(gw: &TestGateway, generation: u64) {
    ready_when(gw, &format!("generation {generation}"), |ready| ready["generation"] == generation).await;
}

/// Runs `edits` while eight clients call without a pause. Every one of their calls must be served.
async fn under_load(gw: &TestGateway, edits: impl Future<Output = ()>) {
    let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let client = async || {
        while !stop.load(Ordering::Relaxed) {
            let reply = gw.ask("standard").await;
            assert_eq!(reply.status, 200, "a call failed: {}", String::from_utf8_lossy(&reply.body));
            served.fetch_add(1, Ordering::Relaxed);
        }
    };
    let edits = async {
        edits.await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(edits, client(), client(), client(), client(), client(), client(), client(), client());
    assert!(served.load(Ordering::Relaxed) > 50, "there was no load");
}

async fn reloads(gw: &TestGateway, result: &str) -> u64 {
    let name = format!("headgate_reloads_total{{result=\"{result}\"}} ");
    let metrics = gw.metrics().await;
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |value| value.parse().expect("a number"))
}
