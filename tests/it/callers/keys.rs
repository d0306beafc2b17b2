//! Keys: what is one, what it opens, and that a wrong one learns nothing.

use reqwest::Method;
use serde_json::json;

use super::{call, chat_as, entry};
use crate::support::{KEY, Reply, TestGateway, config, mock, question, sha256_hex};

#[tokio::test]
async fn a_missing_a_mistyped_and_a_garbled_key_get_one_and_the_same_short_answer() {
    let gw = TestGateway::start().await;
    let hash = format!("Bearer {}", sha256_hex(KEY));
    let long = format!("Bearer {}", "k".repeat(6_000));
    let shown: &[&[(&str, &str)]] = &[
        &[],
        &[("authorization", "Bearer definitely-wrong")],
        &[("authorization", "Bearer test-kez")],
        &[("authorization", "Bearer test-key2")],
        &[("authorization", "Bearer TEST-KEY")],
        &[("authorization", &hash)],
        &[("authorization", &long)],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", "test-key")],
        &[("authorization", "Basic dGVzdC1rZXk6")],
        &[("authorization", "Bearer schl\u{fc}ssel")],
        // A wrong one is not healed by a right one elsewhere.
        &[("authorization", "Bearer wrong"), ("x-api-key", KEY)],
        &[("x-api-key", "wrong")],
        &[("x-api-key", "")],
        &[("api-key", "wrong")],
        &[("cookie", "api-key=test-key")],
    ];
    let mut bodies = Vec::new();
    for headers in shown {
        for (method, path) in [(Method::POST, "/v1/chat/completions"), (Method::GET, "/v1/models")] {
            let reply = call(&gw, method, path, headers).await;
            assert_eq!(reply.status, 401, "{headers:?}");
            assert_eq!(reply.code(), "invalid_api_key");
            assert!(!reply.header("x-request-id").is_empty());
            assert_eq!(reply.header("x-should-retry"), "false");
            bodies.push(String::from_utf8(reply.body).unwrap());
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(bodies[0].len() <= 200, "{} bytes", bodies[0].len());
    for key in ["message", "type", "param", "code"] {
        assert!(bodies[0].contains(&format!("\"{key}\":")), "{}", bodies[0]);
    }
    assert_eq!(gw.mock.counts().calls, 0);
    assert_eq!(gw.log().len(), 0, "what has no caller is no run");
}

#[tokio::test]
async fn a_key_is_taken_from_every_header_that_the_sdks_put_it_in() {
    let gw = TestGateway::start().await;
    for header in [
        ("authorization", "Bearer test-key"),
        ("authorization", "bearer test-key"),
        ("x-api-key", KEY),
        ("api-key", KEY),
    ] {
        let reply = call(&gw, Method::POST, "/v1/chat/completions", &[header]).await;
        assert_eq!(reply.status, 200, "{header:?}");
    }
}

#[tokio::test]
async fn what_a_provider_gets_is_our_key_and_never_the_callers() {
    let mock = mock().await;
    let mut config = config(&mock);
    config["providers"]["openai"]["api_key"] = json!("file:provider.key");
    let folder = tempfile::TempDir::new().unwrap();
    let files = [("provider.key", "sk-of-the-operator\n")];
    let gw = TestGateway::start_in(mock, folder, &config, &files).await.expect("the gateway starts");
    assert_eq!(chat_as(&gw, KEY, "alice").await.status, 200);
    let seen = gw.mock.requests("first");
    assert_eq!(seen[0].header("authorization"), Some("Bearer sk-of-the-operator"));
    let all = format!("{:?} {}", seen[0].headers, seen[0].body);
    assert!(!all.contains(KEY) && !all.contains("alice"), "{all}");
}

#[tokio::test]
async fn the_list_of_models_is_what_this_key_may_ask_for() {
    let gw = TestGateway::with(|config| {
        config["keys"] = json!([entry("all", json!({})), entry("one", json!({ "tiers": ["single"] })),]);
        config["aliases"] = json!({ "gpt-4o": "standard", "small": "single" });
    })
    .await;
    for (name, expected) in
        [("all", vec!["standard", "single", "auto", "gpt-4o", "small"]), ("one", vec!["single", "auto", "small"])]
    {
        let key = format!("Bearer KEY-OF-{name}");
        let reply = call(&gw, Method::GET, "/v1/models", &[("authorization", &key)]).await;
        assert_eq!(reply.status, 200);
        let list = reply.json();
        assert_eq!(list["object"], "list");
        let ids: Vec<&str> =
            list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!(ids, expected, "{name}");
        for model in list["data"].as_array().unwrap() {
            assert_eq!(model["object"], "model");
            assert!(model["created"].is_u64() && model["owned_by"].is_string(), "{model}");
        }
        // Whatever is listed by name is served.
        for id in ids.into_iter().filter(|id| *id != "auto") {
            let body = question(id).to_string();
            let request = gw.client.post(gw.url("/v1/chat/completions")).header("authorization", &key).body(body);
            let reply = Reply::of(request.send().await.unwrap()).await;
            assert_eq!(reply.status, 200, "{name} {id}");
        }
    }
}
