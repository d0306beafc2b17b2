//! A provider's own safety rules: their verdict is the user's to act on, and no second provider is a way round them.

use headgate::simulator::{Fault, Finish, StatusFault, Step};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{TestGateway, config, mock, question, streamed};

const SHIPPED: &str = include_str!("../../policies/errors.lua");

/// Tier `blocked` falls back from the `kind` of provider to another one.
async fn gateway(kind: &str, shipped: bool) -> TestGateway {
    let mock = mock().await;
    let mut config = config(&mock);
    config["providers"]["google"] = json!({ "kind": "gemini", "base_url": mock.gemini_base_url() });
    let primary = format!("{kind}/first");
    config["prices"][&primary] = json!({ "input": 1, "output": 10 });
    config["tiers"]["blocked"] = json!({ "primary": primary, "fallback": "openai/second", "max_tokens": 100 });
    if shipped {
        config["policies"] = json!({ "errors": "errors.lua" });
    }
    let folder = TempDir::new().expect("a temporary folder");
    TestGateway::start_in(mock, folder, &config, &[("errors.lua", SHIPPED)]).await.expect("the gateway starts")
}

fn says(status: u16, body: &Value) -> Step {
    Step::fault(Fault::Status(StatusFault { status, body: Some(body.to_string()), ..StatusFault::default() }))
}

fn refusals() -> Vec<(&'static str, &'static str, Step)> {
    let policy = json!({ "error": { "message": "Your request was rejected by our safety system.",
        "type": "invalid_request_error", "param": null, "code": "content_policy_violation" } });
    let azure = json!({ "error": { "message": "The response was filtered due to the prompt triggering a policy.",
        "type": null, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": { "code": "ResponsibleAIPolicyViolation" } } });
    let gemini = |reason: &str| {
        let usage = json!({ "promptTokenCount": 7, "totalTokenCount": 7 });
        json!({ "promptFeedback": { "blockReason": reason }, "usageMetadata": usage })
    };
    vec![
        ("OpenAI's policy", "openai", says(400, &policy)),
        ("Azure's filter", "openai", says(400, &azure)),
        ("Gemini's blocked prompt", "google", says(200, &gemini("PROHIBITED_CONTENT"))),
        ("Gemini's unexplained block", "google", says(200, &gemini("OTHER"))),
    ]
}

#[tokio::test]
async fn a_refused_prompt_is_user_actionable_and_costs_one_upstream_call() {
    for (name, kind, step) in refusals() {
        for shipped in [false, true] {
            let gw = gateway(kind, shipped).await;
            gw.mock.script("first", vec![step.clone()]);
            let reply = gw.ask("blocked").await;
            let name = format!("{name}, shipped policy {shipped}");
            assert_eq!((reply.status, reply.code().as_str()), (400, "content_policy_violation"), "{name}");
            assert_eq!((reply.header("x-should-retry"), reply.header("retry-after")), ("false", ""), "{name}");
            assert_eq!(gw.finished(1).await["attempts"][0]["class"], "user_actionable", "{name}");
            assert_eq!([gw.mock.model_counts("first").calls, gw.mock.model_counts("second").calls], [1, 0], "{name}");
        }
    }
}

#[tokio::test]
async fn a_model_that_refuses_has_answered_and_nobody_else_is_asked() {
    for kind in ["anthropic", "openai", "google"] {
        for stream in [false, true] {
            let gw = gateway(kind, true).await;
            let finish = Some(Finish::Refusal);
            gw.mock.script("first", vec![Step { finish, ..Step::text("I can't help with that.") }]);
            let reply = gw.chat(&if stream { streamed("blocked") } else { question("blocked") }).await;
            assert_eq!((reply.status, reply.header("x-headgate-attempts")), (200, "1"), "{kind}, stream {stream}");
            let body = String::from_utf8_lossy(&reply.body);
            assert!(body.contains("refusal") || body.contains("content_filter"), "{kind}, stream {stream}: {body}");
            assert_eq!([gw.mock.model_counts("first").calls, gw.mock.model_counts("second").calls], [1, 0], "{kind}");
        }
    }
}
