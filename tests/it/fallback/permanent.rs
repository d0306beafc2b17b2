//! Failures that no retry heals: asked once, answered honestly, with the built-in rule and with the shipped policy.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use headgate::simulator::{Simulator, Step};

use super::worded;
use crate::support::rest::counted;
use crate::support::{TestGateway, config, mock, question, streamed};

const SHIPPED: &str = include_str!("../../../policies/errors.lua");

/// Tiers `openai` and `anthropic` have one target, `both` falls back from one to the other.
async fn gateway(mock: Arc<Simulator>, shipped: bool) -> TestGateway {
    let mut config = config(&mock);
    counted(&mut config);
    config["default_tier"] = json!("both");
    config["tiers"] = json!({
        "openai": { "primary": "openai/first" },
        "anthropic": { "primary": "anthropic/first" },
        "both": { "primary": "openai/first", "fallback": "anthropic/second" },
    });
    if shipped {
        config["policies"] = json!({ "errors": "errors.lua" });
    }
    let folder = TempDir::new().expect("a temporary folder");
    TestGateway::start_in(mock, folder, &config, &[("errors.lua", SHIPPED)]).await.expect("the gateway starts")
}

struct Case {
    tier: &'static str,
    step: Step,
    status: u16,
    code: &'static str,
    /// Only the shipped policy knows it.
    shipped: bool,
}

fn cases() -> Vec<Case> {
    let case = |tier, step, status, code| Case { tier, step, status, code, shipped: false };
    let quota = |code| worded(429, "insufficient_quota", code, "You exceeded your current quota.");
    let spend =
        worded(429, "rate_limit_error", "enforced_spend_limit_reached", "This request would exceed your spend.");
    let credit = worded(400, "invalid_request_error", "", "Your credit balance is too low to access the API.");
    let filter = worded(400, "invalid_request_error", "", "Output blocked by content filtering policy");
    let policy = worded(400, "invalid_request_error", "content_policy_violation", "Not like that.");
    let long = worded(400, "invalid_request_error", "context_length_exceeded", "Too long.");
    vec![
        case("openai", Step::status(401), 502, "upstream_auth"),
        case("openai", Step::status(403), 502, "upstream_auth"),
        case("openai", Step::status(404), 404, "model_not_found"),
        case("openai", Step::status(400), 400, "invalid_request"),
        case("openai", Step::status(422), 400, "invalid_request"),
        case("openai", Step::status(402), 402, "insufficient_quota"),
        case("openai", quota("insufficient_quota"), 402, "insufficient_quota"),
        case("openai", quota("organization_spend_limit_exceeded"), 402, "insufficient_quota"),
        case("openai", policy, 400, "content_policy_violation"),
        case("openai", long, 400, "context_length_exceeded"),
        case("anthropic", Step::status(401), 502, "upstream_auth"),
        case("anthropic", Step::status(403), 502, "upstream_auth"),
        case("anthropic", Step::status(404), 404, "model_not_found"),
        case("anthropic", Step::status(402), 402, "insufficient_quota"),
        case("anthropic", spend, 402, "insufficient_quota"),
        Case { shipped: true, ..case("anthropic", credit, 402, "insufficient_quota") },
        Case { shipped: true, ..case("anthropic", filter, 400, "content_policy_violation") },
    ]
}

#[tokio::test]
async fn what_no_retry_heals_costs_one_upstream_call_and_says_so() {
    for shipped in [false, true] {
        for case in cases().into_iter().filter(|case| shipped || !case.shipped) {
            for stream in [false, true] {
                let name = format!("{} at {}, stream {stream}, shipped policy {shipped}", case.code, case.tier);
                let gw = gateway(mock().await, shipped).await;
                gw.mock.script("first", vec![case.step.clone()]);
                let reply = gw.chat(&if stream { streamed(case.tier) } else { question(case.tier) }).await;
                assert_eq!((reply.status, reply.code().as_str()), (case.status, case.code), "{name}");
                assert_eq!((reply.header("x-should-retry"), reply.header("retry-after")), ("false", ""), "{name}");
                assert_eq!(reply.header("x-headgate-attempts"), "1", "{name}");
                assert!(!reply.message().is_empty(), "{name}");
                assert_eq!(gw.mock.model_counts("first").calls, 1, "{name}");
                assert_eq!(gw.finished(1).await["outcome"], "error", "{name}");
                assert_eq!(gw.at_rest().await, 0, "{name}: an HTTP error costs nothing");
            }
        }
    }
}

#[tokio::test]
async fn a_blocked_prompt_is_never_taken_elsewhere() {
    for shipped in [false, true] {
        for body in [question("both"), streamed("both")] {
            let gw = gateway(mock().await, shipped).await;
            gw.mock.script("first", vec![worded(400, "invalid_request_error", "content_policy_violation", "No.")]);
            let reply = gw.chat(&body).await;
            assert_eq!((reply.status, reply.code().as_str()), (400, "content_policy_violation"));
            assert_eq!(gw.mock.model_counts("second").calls, 0, "shipped policy {shipped}");
        }
    }
}

#[tokio::test]
async fn an_empty_account_is_left_alone_while_its_fallback_answers() {
    for shipped in [false, true] {
        let gw = gateway(mock().await, shipped).await;
        gw.mock
            .script("first", vec![worded(429, "insufficient_quota", "insufficient_quota", "You exceeded your quota.")]);
        for attempts in ["2", "1", "1"] {
            let reply = gw.ask("both").await;
            assert_eq!((reply.status, reply.header("x-headgate-attempts")), (200, attempts));
        }
        assert_eq!(gw.mock.model_counts("first").calls, 1, "shipped policy {shipped}");
    }
}

#[tokio::test]
async fn the_providers_own_key_is_never_shown() {
    let gw = gateway(mock().await, true).await;
    let secret = "sk-proj-abcdefgh12345678";
    let message = format!("Incorrect API key provided: {secret}. Find yours in the console.");
    for status in [400, 401, 500] {
        gw.mock.script("first", vec![worded(status, "invalid_request_error", "", &message)]);
        let reply = Value::from(String::from_utf8(gw.ask("anthropic").await.body).unwrap());
        assert!(!reply.to_string().contains(secret), "{reply}");
    }
    assert!(!gw.log().iter().any(|line| line.to_string().contains(secret)));
}
