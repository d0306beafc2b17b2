//! A page that lost its connection comes back for the answer, on whichever replica, or has it stopped.

use std::sync::Arc;

use headgate::simulator::Step;
use serde_json::json;
use tempfile::TempDir;

use super::{CHAT, of_type, page, said, tiers, types};
use crate::support::redis::RedisServer;
use crate::support::wire::{Wire, data};
use crate::support::{KEY, Reply, TestGateway, sha256_hex, until};

/// Alone on SQLite, and two replicas on one Redis: the second of a pair is where the page comes back.
async fn each_store<F: Future<Output = ()>>(check: impl Fn(Arc<TestGateway>, Arc<TestGateway>) -> F) {
    let alone = Arc::new(TestGateway::with(tiers).await);
    check(Arc::clone(&alone), alone).await;
    let folder = TempDir::new().expect("a temporary folder");
    let redis = RedisServer::start(folder.path());
    let on_redis = |config: &mut serde_json::Value| {
        tiers(config);
        config["store"] = json!(redis.url());
    };
    let first = TestGateway::with(on_redis).await;
    let second = TestGateway::on(Arc::clone(&first.mock), on_redis).await;
    check(Arc::new(first), Arc::new(second)).await;
}

fn slow() -> Step {
    Step { gap_ms: 50, ..Step::text("alpha beta gamma delta epsilon zeta eta theta iota upsilon") }
}

/// Asks, reads until `word`, and leaves.
async fn leave_after(gw: &TestGateway, word: &str) {
    let mut wire = Wire::connect(gw.gateway.client).await;
    wire.ask(CHAT, &page("gpt").to_string(), &[]).await;
    assert_eq!(wire.head().await.status, 200);
    wire.until(|text| text.contains(word)).await;
}

async fn resume(gw: &TestGateway, chat: &str) -> Reply {
    let url = gw.url(&format!("{CHAT}/{chat}/stream"));
    Reply::of(gw.client.get(url).bearer_auth(KEY).send().await.expect("an answer")).await
}

async fn stop(gw: &TestGateway, chat: &str) -> u16 {
    let url = gw.url(&format!("{CHAT}/{chat}/stop"));
    gw.client.post(url).bearer_auth(KEY).send().await.expect("an answer").status().as_u16()
}

fn frames(body: &[u8]) -> Vec<String> {
    crate::support::wire::frames(std::str::from_utf8(body).expect("UTF-8"))
}

#[tokio::test]
async fn a_page_that_lost_its_connection_gets_the_answer_from_its_start() {
    each_store(|first, second| async move {
        first.mock.script("first", vec![slow()]);
        leave_after(&first, "beta").await;
        let again = resume(&second, "chat-1").await;
        assert_eq!((again.status, again.header("x-vercel-ai-ui-message-stream")), (200, "v1"));
        let chunks = data(&frames(&again.body));
        assert_eq!(types(&chunks)[0], "start");
        assert_eq!(types(&chunks).last(), Some(&"finish"));
        assert_eq!(said(&chunks, "text-delta"), slow().text.expect("a text"));
        assert_eq!(first.mock.model_counts("first").calls, 1);
    })
    .await;
}

#[tokio::test]
async fn a_chat_in_which_nothing_runs_has_no_content() {
    each_store(|first, second| async move {
        assert_eq!(resume(&first, "never-started").await.status, 204);
        first.mock.script("first", vec![Step::text("done")]);
        super::chunks(&first, &page("gpt")).await;
        assert_eq!(resume(&second, "chat-1").await.status, 204, "a page has that answer already");
    })
    .await;
}

#[tokio::test]
async fn a_chat_is_its_users_own() {
    let gw = TestGateway::with(|config| {
        tiers(config);
        let other = json!({ "name": "other", "sha256": sha256_hex("other-key") });
        config["keys"].as_array_mut().expect("a list").push(other);
    })
    .await;
    gw.mock.script("first", vec![Step { words: Some(10_000), gap_ms: 50, ..Step::text("on") }]);
    leave_after(&gw, "on").await;
    let url = gw.url(&format!("{CHAT}/chat-1/stream"));
    let foreign = gw.client.get(&url).bearer_auth("other-key").send().await.expect("an answer");
    let other_user = gw.client.get(&url).bearer_auth(KEY).header("x-user-id", "bob").send().await.expect("an answer");
    let keyless = gw.client.get(&url).send().await.expect("an answer");
    assert_eq!(
        (foreign.status(), other_user.status(), keyless.status().as_u16()),
        (204.try_into().unwrap(), 204.try_into().unwrap(), 401)
    );
}

#[tokio::test]
async fn a_stopped_answer_ends_as_aborted_and_upstream_is_hung_up_on() {
    each_store(|first, second| async move {
        first.mock.script("first", vec![Step { words: Some(10_000), gap_ms: 20, ..Step::text("on") }]);
        let mut wire = Wire::connect(first.gateway.client).await;
        wire.ask(CHAT, &page("gpt").to_string(), &[]).await;
        assert_eq!(wire.head().await.status, 200);
        wire.until(|text| text.contains("on")).await;
        assert_eq!(stop(&second, "chat-1").await, 204);
        let body = wire.rest().await;
        assert!(body.whole, "{}", body.text());
        let chunks = data(&body.frames());
        assert_eq!(of_type(&chunks, "abort").len(), 1);
        until("upstream is closed", || first.mock.model_counts("first").open_calls == 0).await;
        let line = first.finished(1).await;
        assert!(line["cost_nano"].as_u64().expect("a price") > 0, "what was delivered is paid: {line}");
        assert_eq!(resume(&second, "chat-1").await.status, 204);
        assert_eq!(stop(&second, "chat-1").await, 204, "a second stop changes nothing");
    })
    .await;
}
