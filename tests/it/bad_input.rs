//! What a client may send and must not: the right 4xx in the client's own error shape, no call to a provider, no hold.

mod bodies;
mod fields;
mod models;
mod upstream;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use crate::support::{KEY, Reply, TestGateway};

/// A gateway with a limit of each kind, so that a hold or a counted request would show.
async fn metered() -> TestGateway {
    TestGateway::with(|config| {
        config["limits"] = json!([
            { "scope": "global", "usd": 5, "per": "day" },
            { "scope": "user", "requests": 1_000, "per": "1m" },
        ]);
    })
    .await
}

/// Posts `body` as it is.
async fn post(gw: &TestGateway, body: impl Into<reqwest::Body>, headers: &[(&'static str, &'static str)]) -> Reply {
    let own = [("content-type", "application/json")];
    let all =
        own.iter().chain(headers).map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let all: HeaderMap = all.collect();
    let request = gw.client.post(gw.url("/v1/chat/completions")).bearer_auth(KEY).headers(all).body(body);
    Reply::of(request.send().await.expect("an answer")).await
}

/// The OpenAI error object with all four keys, a text that says something, and headers every answer has.
#[track_caller]
fn assert_refusal(reply: &Reply, status: u16, code: &str, about: &str) {
    let shown = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, status, "{about}: {shown}");
    assert_eq!(reply.code(), code, "{about}: {shown}");
    let body = reply.json();
    for key in ["message", "type", "param", "code"] {
        assert!(body["error"].get(key).is_some(), "{about}: no `{key}` in {shown}");
    }
    assert!(reply.message().len() > 10, "{about}: {shown}");
    assert!(body["error"]["type"].is_string(), "{about}: {shown}");
    assert_eq!(reply.header("cache-control"), "no-store", "{about}");
    assert!(!reply.header("x-request-id").is_empty(), "{about}");
    assert_eq!(reply.header("content-type"), "application/json", "{about}");
}

/// Nobody was asked, nothing is held, nothing is spent, no request was counted, and the gateway goes on serving.
async fn assert_untouched(gw: &TestGateway) {
    assert_eq!(gw.mock.counts().calls, 0, "a provider was called");
    let usage = gw.usage().await;
    assert_eq!(usage["open_holds"], 0, "{usage}");
    for row in usage["limits"].as_array().expect("a list") {
        let used = ["settled_nano", "held_nano", "used"].map(|name| row[name].as_u64().unwrap_or_default());
        assert_eq!(used, [0, 0, 0], "{row}");
    }
    assert!(gw.metrics().await.contains("\nheadgate_holds_open 0\n"));
    assert_eq!(gw.ask("standard").await.status, 200);
}
