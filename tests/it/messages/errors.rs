//! Refusals and failures in Anthropic's shape.

use serde_json::{Value, json};

use headgate::simulator::{ErrorWords, Fault, RetryAfter, StatusFault, Step};

use super::{MESSAGES, ask, gateway, question, request, streamed};
use crate::support::{Reply, TestGateway, sha256_hex};

/// Type and code of an error body that has all its parts.
fn kind(reply: &Reply) -> (String, String) {
    let body = reply.json();
    assert_eq!(body["type"], "error", "{body}");
    assert!(body["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&body["error"]["type"]), text(&body["error"]["details"]["error_code"]))
}

/// What the provider answers, as its formats put it; what the caller gets.
fn failures() -> Vec<(StatusFault, u16, &'static str, &'static str)> {
    let status = |status| StatusFault { status, ..StatusFault::default() };
    let coded = |status, code: &str| StatusFault {
        status,
        error: ErrorWords { code: Some(json!(code)), ..ErrorWords::default() },
        ..StatusFault::default()
    };
    let busy = StatusFault { retry_after: Some(RetryAfter::Seconds(30)), ..status(429) };
    vec![
        (status(400), 400, "invalid_request_error", "invalid_request"),
        (coded(400, "content_policy_violation"), 400, "invalid_request_error", "content_policy_violation"),
        (coded(400, "context_length_exceeded"), 400, "invalid_request_error", "context_length_exceeded"),
        (status(401), 502, "api_error", "upstream_auth"),
        (status(403), 502, "api_error", "upstream_auth"),
        (status(404), 404, "not_found_error", "model_not_found"),
        (coded(429, "insufficient_quota"), 402, "billing_error", "insufficient_quota"),
        (busy, 429, "rate_limit_error", "rate_limit_exceeded"),
        (status(500), 502, "api_error", "upstream_failed"),
        (status(529), 503, "overloaded_error", "overloaded"),
    ]
}

#[tokio::test]
async fn a_providers_failure_has_the_type_that_clients_of_this_format_know() {
    for (fault, status, error_type, code) in failures() {
        for tier in ["claude-alone", "gpt-alone"] {
            for body in [question(tier), streamed(tier)] {
                let gw = gateway().await;
                gw.mock.script("first", vec![Step::fault(Fault::Status(fault.clone()))]);
                // A client that retries by itself gets no second call from us: the test need not wait for one.
                let call = request(&gw, MESSAGES, &body)
                    .header("x-stainless-retry-count", "1")
                    .header("x-request-id", "mine-1");
                let reply = Reply::of(call.send().await.unwrap()).await;
                assert_eq!(reply.status, status, "{tier} {fault:?}");
                assert_eq!(kind(&reply), (error_type.to_owned(), code.to_owned()), "{tier} {fault:?}");
                assert_eq!(
                    (reply.json()["request_id"].as_str(), reply.header("request-id")),
                    (Some("mine-1"), "mine-1")
                );
                assert_eq!(reply.header("x-should-retry"), "false", "{tier} {fault:?}");
                if status == 429 {
                    let wait: u64 = reply.header("retry-after").parse().unwrap();
                    assert!((28..=30).contains(&wait), "{wait}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_an_authentication_error() {
    let gw = gateway().await;
    let call = gw.client.post(gw.url(MESSAGES)).header("x-api-key", "no-such-key").body(question("claude").to_string());
    let reply = Reply::of(call.send().await.unwrap()).await;
    assert_eq!((reply.status, kind(&reply)), (401, ("authentication_error".to_owned(), "invalid_api_key".to_owned())));
    assert!(reply.body.len() <= 200 && !reply.header("request-id").is_empty());
    assert_eq!(gw.mock.counts().calls, 0);
}

#[tokio::test]
async fn a_request_that_makes_no_sense_names_its_field_and_goes_nowhere() {
    let gw = gateway().await;
    let mut cases = Vec::new();
    for (field, value) in
        [("max_tokens", Value::Null), ("max_tokens", json!(-1)), ("messages", json!([])), ("system", json!(7))]
    {
        let mut body = question("claude");
        body[field] = value;
        cases.push((body, field, 400, "invalid_request_error", "invalid_request"));
    }
    cases.push((question("no-such-model"), "model", 404, "not_found_error", "model_not_found"));
    for (body, field, status, error_type, code) in cases {
        let reply = ask(&gw, &body).await;
        assert_eq!((reply.status, kind(&reply)), (status, (error_type.to_owned(), code.to_owned())), "{body}");
        assert_eq!(reply.json()["error"]["details"]["param"], field, "{body}");
    }
    assert_eq!(gw.mock.counts().calls, 0);
}

#[tokio::test]
async fn a_spent_budget_is_a_billing_error_that_says_what_was_hit() {
    let gw = TestGateway::with(|config| {
        config["limits"] = json!([{ "scope": "global", "usd": 0.000001, "per": "day" }]);
        config["keys"][0]["sha256"] = json!(sha256_hex(crate::support::KEY));
    })
    .await;
    let reply = ask(&gw, &question("standard")).await;
    assert_eq!((reply.status, kind(&reply)), (402, ("billing_error".to_owned(), "budget_exceeded".to_owned())));
    assert_eq!(reply.json()["error"]["details"]["limit"]["scope"], "global");
    assert_eq!(reply.header("x-should-retry"), "false");
    assert_eq!(gw.mock.counts().calls, 0);
}
