//! What the official OpenAI client must see when a provider refuses, in its own terms.

use headgate::simulator::{ErrorWords, Fault, RetryAfter, StatusFault, Step};
use serde_json::json;

use super::assert_refusal;
use crate::support::{Reply, TestGateway, question, streamed};

fn refuses(status: u16, code: Option<&str>, retry_after: Option<RetryAfter>) -> Step {
    let error = ErrorWords { code: code.map(|code| json!(code)), ..ErrorWords::default() };
    Step::fault(Fault::Status(StatusFault { status, retry_after, error, body: None }))
}

#[tokio::test]
async fn a_providers_429_reaches_the_client_as_one_with_retry_after_and_no_call_for_more_retries() {
    let gw = TestGateway::with(|config| config["retry"] = json!({ "max_wait": "1ms" })).await;
    gw.mock.script("first", vec![refuses(429, Some("rate_limit_exceeded"), Some(RetryAfter::Seconds(7)))]);
    let reply = gw.ask("single").await;
    assert_refusal(&reply, 429, "rate_limit_exceeded", "busy");
    let seconds: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=7).contains(&seconds), "{seconds}");
    assert_eq!(reply.header("x-should-retry"), "false");
    assert_eq!(gw.mock.model_counts("first").calls, 1);
}

#[tokio::test]
async fn a_used_up_quota_is_a_402_after_one_call_and_is_not_retried_by_anybody() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![refuses(429, Some("insufficient_quota"), None)]);
    let reply = gw.ask("single").await;
    assert_refusal(&reply, 402, "insufficient_quota", "quota");
    assert_eq!((reply.header("x-should-retry"), reply.header("retry-after")), ("false", ""));
    assert_eq!(gw.mock.model_counts("first").calls, 1);
}

#[tokio::test]
async fn three_tries_of_a_retrying_client_are_at_most_four_calls_to_a_failing_provider() {
    let gw = TestGateway::with(|config| config["retry"] = json!({ "attempts": 2 })).await;
    gw.mock.script("first", vec![Step::status(500)]);
    for retry in ["0", "1", "2"] {
        let request = gw.request(&question("single")).header("x-stainless-retry-count", retry);
        let reply = Reply::of(request.send().await.unwrap()).await;
        assert!((500..=599).contains(&reply.status));
        assert_eq!(reply.header("x-should-retry"), "false");
    }
    let calls = gw.mock.model_counts("first").calls;
    assert!((3..=4).contains(&calls), "{calls}");
}

#[tokio::test]
async fn a_content_policy_refusal_is_a_400_the_user_can_act_on_and_no_other_provider_is_asked() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![refuses(400, Some("content_policy_violation"), None)]);
    let reply = gw.ask("standard").await;
    assert_refusal(&reply, 400, "content_policy_violation", "policy");
    assert_eq!(gw.mock.model_counts("second").calls, 0);
}

#[tokio::test]
async fn a_stream_that_is_cut_upstream_is_an_error_and_never_a_silent_short_answer() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![Step { fault: Some(Fault::CleanEnd { after: 3 }), ..Step::text("a b c d e f") }]);
    let mut response = gw.request(&streamed("single")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut text = String::new();
    let end = loop {
        match response.chunk().await {
            Ok(Some(bytes)) => text.push_str(&String::from_utf8_lossy(&bytes)),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert!(end.is_err(), "the connection ended as if all were well: {text}");
    assert!(text.contains("event: error\ndata: {\"error\":"), "{text}");
    assert!(!text.contains("[DONE]") && !text.contains("\"finish_reason\":\"stop\""), "{text}");
}
