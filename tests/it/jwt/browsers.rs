//! A web page that calls directly, with its user's token.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::signer::{Signer, now};
use super::{CHAT, PAGE, claims, claims_with, gateway};
use crate::support::{Reply, TestGateway, question};

const MESSAGES: &str = "/v1/messages";

fn from_page(gw: &TestGateway, path: &str, token: &str) -> RequestBuilder {
    let mut body = question("single");
    body["max_tokens"] = json!(10);
    gw.client.post(gw.url(path)).header("origin", PAGE).bearer_auth(token).body(body.to_string())
}

#[tokio::test]
async fn a_page_calls_every_format_and_reads_the_answer() {
    let signer = Signer::ec("e");
    let gw = gateway(&[&signer], |_| {}).await;
    let token = signer.token(&claims("alice"));
    for path in [CHAT, MESSAGES] {
        let reply = Reply::of(from_page(&gw, path, &token).send().await.unwrap()).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, PAGE), "{path}");
    }
    for origin in ["https://evil.example", "null", "http://app.example"] {
        let request = gw.client.post(gw.url(CHAT)).header("origin", origin).bearer_auth(&token);
        let reply = Reply::of(request.body(question("single").to_string()).send().await.unwrap()).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (403, ""), "{origin}");
    }
}

#[tokio::test]
async fn a_page_can_read_that_its_token_has_expired() {
    let signer = Signer::ec("e");
    let gw = gateway(&[&signer], |_| {}).await;
    let expired = signer.token(&claims_with(json!({ "exp": now() - 60 })));
    for path in [CHAT, MESSAGES, "/v1/messages/count_tokens", "/api/chat"] {
        let reply = Reply::of(from_page(&gw, path, &expired).send().await.unwrap()).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (401, PAGE), "{path}");
    }
    for path in ["/v1/models", "/v1/requests/run_1", "/api/chat/1/stream"] {
        let request = gw.client.get(gw.url(path)).header("origin", PAGE).bearer_auth(&expired);
        let reply = Reply::of(request.send().await.unwrap()).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (401, PAGE), "{path}");
    }
    // Pages that no key lists learn nothing.
    let request = gw.client.post(gw.url(CHAT)).header("origin", "https://evil.example").bearer_auth(&expired);
    let reply = Reply::of(request.body("{}").send().await.unwrap()).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (401, ""));
}

#[tokio::test]
async fn a_preflight_lets_pass_what_sdks_send_from_a_browser() {
    let signer = Signer::ec("e");
    let gw = gateway(&[&signer], |_| {}).await;
    for path in [CHAT, MESSAGES, "/api/chat"] {
        let request = gw.client.request(Method::OPTIONS, gw.url(path)).header("origin", PAGE);
        let request = request.header("access-control-request-method", "POST");
        let reply = Reply::of(request.send().await.unwrap()).await;
        assert_eq!(reply.status, 204);
        let listed = |header: &str, value: &str| reply.header(header).split(", ").any(|one| one == value);
        for method in ["GET", "POST", "DELETE"] {
            assert!(listed("access-control-allow-methods", method), "{method}");
        }
        // Seen from the SDKs: openai 7, @anthropic-ai/sdk 1 with their `dangerouslyAllowBrowser`, ai 7.
        for name in [
            "accept",
            "anthropic-beta",
            "anthropic-dangerous-direct-browser-access",
            "anthropic-version",
            "authorization",
            "content-type",
            "idempotency-key",
            "last-event-id",
            "openai-organization",
            "openai-project",
            "user-agent",
            "x-api-key",
            "x-stainless-arch",
            "x-stainless-helper",
            "x-stainless-helper-method",
            "x-stainless-lang",
            "x-stainless-os",
            "x-stainless-package-version",
            "x-stainless-retry-count",
            "x-stainless-runtime",
            "x-stainless-runtime-version",
            "x-stainless-timeout",
        ] {
            assert!(listed("access-control-allow-headers", name), "{name}");
        }
    }
}
