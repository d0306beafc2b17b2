//! Names, paths and methods that are not served.

use serde_json::json;

use super::{assert_refusal, assert_untouched, metered};
use crate::support::{KEY, Reply, TestGateway, question, streamed};

#[tokio::test]
async fn a_tier_that_does_not_exist_is_a_404_that_names_those_that_do() {
    let gw = metered().await;
    for model in
        ["premium", "openai/never-heard-of", "nobody/first", "gpt-4o", "STANDARD", "standard ", "first", "/", "openai/"]
    {
        for body in [question(model), streamed(model)] {
            let reply = gw.chat(&body).await;
            if model == "openai/never-heard-of" {
                // The key may name any model of this account; what it costs is what nobody knows.
                assert_refusal(&reply, 400, "unpriced_model", model);
                continue;
            }
            assert_refusal(&reply, 404, "model_not_found", model);
            assert_eq!(reply.json()["error"]["param"], "model");
            assert!(reply.message().contains("standard, single, auto"), "{}", reply.message());
        }
    }
    assert_untouched(&gw).await;
}

#[tokio::test]
async fn a_name_of_any_length_and_kind_comes_back_short_and_tame() {
    let gw = metered().await;
    let reply = gw.ask(&format!("{}\r\nset-cookie: a=b", "x".repeat(100_000))).await;
    assert_refusal(&reply, 404, "model_not_found", "a long name");
    assert!(reply.body.len() < 1_000, "{} bytes", reply.body.len());
    assert!(!reply.headers.contains_key("set-cookie"));
    assert_untouched(&gw).await;
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_unless_config_prices_it() {
    let gw = TestGateway::with(|config| {
        config["tiers"]["odd"] = json!({ "primary": "openai/no-such-price" });
        config["tiers"]["half"] = json!({ "primary": "openai/no-such-price", "fallback": "openai/first" });
        config["limits"] = json!([{ "scope": "global", "usd": 5, "per": "day" }]);
    })
    .await;
    for model in ["openai/no-such-price", "odd"] {
        let reply = gw.ask(model).await;
        assert_refusal(&reply, 400, "unpriced_model", model);
        assert!(reply.message().contains("openai/no-such-price"), "{}", reply.message());
    }
    assert_untouched(&gw).await;
    // The priced target of a tier still serves it, and the unpriced one is never called.
    assert_eq!(gw.ask("half").await.status, 200);
    assert_eq!(gw.mock.model_counts("no-such-price").calls, 0);
}

#[tokio::test]
async fn a_key_may_use_only_the_tiers_and_models_that_it_is_given() {
    let gw = TestGateway::with(|config| {
        config["keys"][0]["tiers"] = json!(["standard"]);
        config["keys"][0]["models"] = json!(["openai/first"]);
        config["aliases"] = json!({ "cheap": "single" });
        config["limits"] = json!([{ "scope": "global", "usd": 5, "per": "day" }]);
    })
    .await;
    for model in ["single", "cheap", "openai/second", "anthropic/second"] {
        assert_refusal(&gw.ask(model).await, 403, "forbidden", model);
    }
    assert_untouched(&gw).await;
    assert_eq!(gw.ask("openai/first").await.status, 200);
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_errors_in_json() {
    use reqwest::Method;
    let gw = metered().await;
    for (method, path, status, code) in [
        (Method::GET, "/v1/no/such/path", 404, "route_not_found"),
        (Method::POST, "/v1/chat/completion", 404, "route_not_found"),
        (Method::POST, "/chat/completions", 404, "route_not_found"),
        (Method::POST, "/v1/chat/completions/", 404, "route_not_found"),
        (Method::POST, "/v1/../v1/chat//completions", 404, "route_not_found"),
        (Method::GET, "/", 404, "route_not_found"),
        (Method::GET, "/metrics", 404, "route_not_found"),
        (Method::GET, "/api/usage", 404, "route_not_found"),
        (Method::GET, "/v1/chat/completions", 405, "method_not_allowed"),
        (Method::PUT, "/v1/chat/completions", 405, "method_not_allowed"),
        (Method::DELETE, "/v1/chat/completions", 405, "method_not_allowed"),
        (Method::POST, "/v1/models", 405, "method_not_allowed"),
        (Method::POST, "/healthz", 405, "method_not_allowed"),
        (Method::POST, "/readyz", 405, "method_not_allowed"),
    ] {
        let about = format!("{method} {path}");
        let request = gw.client.request(method, gw.url(path)).bearer_auth(KEY).body(question("standard").to_string());
        let reply = Reply::of(request.send().await.expect("an answer")).await;
        assert_refusal(&reply, status, code, &about);
    }
    assert_untouched(&gw).await;
}
