//! Several keys of one provider: one that is exhausted hands over to the next, for everybody and at once.

use headgate::simulator::{ErrorWords, Fault, RetryAfter, StatusFault, Step};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{TestGateway, config, mock, question, streamed, until};

const FILES: &[(&str, &str)] =
    &[("one.key", "canary-key-one"), ("two.key", "canary-key-two"), ("three.key", "canary-key-three")];

/// The provider of `first` has these keys. Tier `other` is another model of the same provider.
async fn with_keys(names: &[&str], edit: impl FnOnce(&mut Value)) -> TestGateway {
    let mock = mock().await;
    let mut config = config(&mock);
    config["providers"]["openai"]["api_keys"] = names.iter().map(|name| json!(format!("file:{name}.key"))).collect();
    config["tiers"]["other"] = json!({ "primary": "openai/second", "max_tokens": 1000 });
    edit(&mut config);
    let folder = TempDir::new().expect("a temporary folder");
    TestGateway::start_in(mock, folder, &config, FILES).await.expect("the gateway starts")
}

fn refused(status: u16, code: &str, retry_after: Option<RetryAfter>) -> Step {
    let error = ErrorWords { kind: Some(code.into()), code: Some(code.into()), message: None };
    Step::fault(Fault::Status(StatusFault { status, error, retry_after, ..StatusFault::default() }))
}

fn out_of_credit() -> Step {
    refused(429, "insufficient_quota", None)
}

/// Names of the keys that `model` was called with, in order.
fn used(gw: &TestGateway, model: &str) -> Vec<String> {
    let seen = gw.mock.requests(model);
    let key = |auth: &str| auth.trim_start_matches("Bearer canary-key-").to_owned();
    seen.iter().map(|request| key(request.header("authorization").unwrap_or_default())).collect()
}

#[tokio::test]
async fn a_key_without_credit_hands_over_to_the_next_one_of_the_same_target() {
    for body in [question("standard"), streamed("standard")] {
        let gw = with_keys(&["one", "two"], |_| {}).await;
        gw.mock.script("first", vec![out_of_credit(), Step::text("hello")]);
        let reply = gw.chat(&body).await;
        assert_eq!((reply.status, reply.header("x-headgate-attempts")), (200, "2"));
        assert_eq!(reply.header("x-headgate-model"), "openai/first", "the fallback was not needed");
        assert_eq!(used(&gw, "first"), ["one", "two"]);
        for _ in 0..2 {
            assert_eq!(gw.chat(&body).await.header("x-headgate-attempts"), "1", "later runs go straight to it");
        }
        assert_eq!(gw.ask("other").await.status, 200);
        assert_eq!(used(&gw, "first"), ["one", "two", "two", "two"]);
        assert_eq!(used(&gw, "second"), ["two"], "the key rests for every model of its provider");
    }
}

#[tokio::test]
async fn a_rate_limited_key_cools_while_the_next_one_answers_at_once() {
    let gw = with_keys(&["one", "two"], |_| {}).await;
    let limited = refused(429, "rate_limit_exceeded", Some(RetryAfter::Seconds(30)));
    gw.mock.script("first", vec![limited, Step::text("hello")]);
    assert_eq!((gw.ask("single").await.status, gw.ask("single").await.status), (200, 200));
    assert_eq!(used(&gw, "first"), ["one", "two", "two"]);
    let line = gw.finished(1).await;
    assert_eq!(line["attempts"][1]["wait_ms"], 0, "nobody waited: {line}");
}

#[tokio::test]
async fn a_refused_key_hands_over_and_only_when_all_are_refused_the_call_fails() {
    for status in [401, 403] {
        let gw = with_keys(&["one", "two"], |_| {}).await;
        gw.mock.script("first", vec![Step::status(status), Step::text("hello"), Step::status(status)]);
        assert_eq!(gw.ask("single").await.status, 200);
        let failed = gw.ask("single").await;
        assert_eq!((failed.status, failed.code().as_str()), (502, "upstream_auth"));
        assert_eq!(used(&gw, "first"), ["one", "two", "two"]);
    }
}

#[tokio::test]
async fn when_all_keys_rest_the_target_is_out_and_its_fallback_answers() {
    let gw = with_keys(&["one", "two"], |_| {}).await;
    gw.mock.script("first", vec![out_of_credit()]);
    let first = gw.ask("standard").await;
    assert_eq!((first.status, first.header("x-headgate-attempts")), (200, "3"));
    for _ in 0..2 {
        let later = gw.ask("standard").await;
        assert_eq!((later.header("x-headgate-model"), later.header("x-headgate-attempts")), ("anthropic/second", "1"));
    }
    assert_eq!(used(&gw, "first"), ["one", "two"]);
    // Who has no other target finds out, one call at a time, whether somebody paid.
    assert_eq!(gw.ask("single").await.code(), "insufficient_quota");
    gw.mock.script("first", vec![Step::text("credit is back")]);
    assert_eq!(gw.ask("single").await.text(), "credit is back");
    assert_eq!(gw.ask("standard").await.header("x-headgate-model"), "openai/first", "healed for everybody");
}

#[tokio::test]
async fn every_key_that_is_tried_counts_as_an_attempt() {
    let gw = with_keys(&["one", "two", "three"], |config| config["retry"] = json!({ "attempts": 2 })).await;
    gw.mock.script("first", vec![out_of_credit(), out_of_credit(), Step::text("hello")]);
    let failed = gw.ask("single").await;
    assert_eq!((failed.status, failed.code().as_str()), (402, "insufficient_quota"));
    assert_eq!(used(&gw, "first"), ["one", "two"]);
    assert_eq!(gw.ask("single").await.text(), "hello", "the third key was left for the next run");
}

#[tokio::test]
async fn a_failure_of_the_target_itself_tries_no_other_key() {
    let gw = with_keys(&["one", "two"], |_| {}).await;
    gw.mock.script("first", vec![Step::status(400)]);
    assert_eq!(gw.ask("single").await.status, 400);
    gw.mock.script("first", vec![Step::status(500), Step::text("hello")]);
    assert_eq!(gw.ask("single").await.status, 200);
    assert_eq!(used(&gw, "first"), ["one", "one", "one"]);
}

#[tokio::test]
async fn logs_and_receipts_name_a_key_by_its_place_and_nothing_shows_its_text() {
    let gw = with_keys(&["one", "two"], |_| {}).await;
    let quoting = ErrorWords {
        kind: Some("insufficient_quota".into()),
        message: Some("canary-key-one is out of credit, and so is canary-key-two".into()),
        ..ErrorWords::default()
    };
    let fault = StatusFault { status: 429, error: quoting, ..StatusFault::default() };
    gw.mock.script("first", vec![Step::fault(Fault::Status(fault)), Step::text("hello")]);
    let reply = gw.ask("single").await;
    let line = gw.finished(1).await;
    let places: Vec<_> = line["attempts"].as_array().unwrap().iter().map(|attempt| attempt["key"].clone()).collect();
    assert_eq!(places, [1, 2]);
    let url = gw.url(&format!("/v1/requests/{}", reply.header("x-headgate-run")));
    let receipt = gw.client.get(url).bearer_auth(crate::support::KEY).send().await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&receipt).unwrap()["attempts"][0]["key"], 1, "{receipt}");
    gw.mock.script("first", vec![Step::status(400)]);
    let failed = gw.ask("single").await;
    let url = format!("http://{}/api/config", gw.gateway.admin);
    let shown = gw.client.get(url).bearer_auth(&gw.gateway.admin_token).send().await.unwrap().text().await.unwrap();
    assert!(shown.contains("api_keys"), "{shown}");
    for said in [line.to_string(), receipt, shown, String::from_utf8(failed.body).unwrap(), gw.metrics().await] {
        assert!(!said.contains("canary"), "{said}");
    }
}

#[tokio::test]
async fn one_key_is_not_named_and_behaves_as_ever() {
    let gw = with_keys(&["one"], |_| {}).await;
    gw.mock.script("first", vec![out_of_credit()]);
    assert_eq!(gw.ask("standard").await.header("x-headgate-attempts"), "2");
    assert_eq!(gw.ask("other").await.status, 200, "one target of the provider rests, not its key");
    assert!(gw.finished(1).await["attempts"][0].get("key").is_none());
}

#[tokio::test]
async fn a_key_that_rests_still_rests_after_an_edit_that_moves_it() {
    let gw = with_keys(&["one", "two"], |_| {}).await;
    gw.mock.script("first", vec![out_of_credit(), Step::text("hello")]);
    assert_eq!(gw.ask("single").await.status, 200);
    let mut edited: Value = serde_json::from_slice(&std::fs::read(gw.config_path()).unwrap()).unwrap();
    edited["providers"]["openai"]["api_keys"] = json!(["file:three.key", "file:one.key"]);
    std::fs::write(gw.config_path(), edited.to_string()).unwrap();
    until("the edit is in force", || gw.gateway.hall().snapshot().generation == 2).await;
    gw.mock.script("first", vec![out_of_credit()]);
    assert_eq!(gw.ask("single").await.code(), "insufficient_quota");
    assert_eq!(used(&gw, "first"), ["one", "two", "three"], "key one was not asked again");
}
