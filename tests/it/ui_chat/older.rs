//! Pages of version 4, and calls written by hand in their form: a data stream, and errors as JSON.

use serde_json::{Value, json};

use headgate::simulator::{Fault, Step, ToolCall};

use super::{ask, gateway, page, streamed, tiers};
use crate::support::TestGateway;
use crate::support::wire::Body;

/// The least that is asked by hand.
fn by_hand(tier: &str) -> Value {
    json!({ "model": tier, "messages": [{ "role": "user", "content": "say hello" }] })
}

/// Code and value of every line; empty ones are left out, as by the SDK.
fn lines(body: &Body) -> Vec<(String, Value)> {
    let text = body.text();
    let line = |line: &str| {
        let (code, value) = line.split_once(':').unwrap_or_else(|| panic!("no code: {line}"));
        (code.to_owned(), serde_json::from_str(value).expect("JSON"))
    };
    text.lines().filter(|text| !text.is_empty()).map(line).collect()
}

fn said(lines: &[(String, Value)]) -> String {
    lines.iter().filter(|(code, _)| code == "0").filter_map(|(_, value)| value.as_str()).collect()
}

fn value<'a>(lines: &'a [(String, Value)], wanted: &str) -> &'a Value {
    lines.iter().find(|(code, _)| code == wanted).map_or(&Value::Null, |(_, value)| value)
}

#[tokio::test]
async fn a_message_with_a_content_is_answered_with_a_data_stream() {
    for tier in ["claude", "gpt"] {
        let gw = gateway().await;
        gw.mock.script("first", vec![Step::text("Grüße 😀\nto you")]);
        let (head, body) = streamed(&gw, &by_hand(tier)).await;
        assert_eq!(head.header("content-type"), "text/plain; charset=utf-8", "{tier}");
        assert_eq!(head.header("x-vercel-ai-data-stream"), "v1", "{tier}");
        assert!(body.whole, "{tier}");
        let lines = lines(&body);
        let mut codes: Vec<&str> = lines.iter().map(|(code, _)| code.as_str()).collect();
        codes.dedup();
        assert_eq!(codes, ["f", "0", "e", "d"], "{tier}");
        assert_eq!(said(&lines), "Grüße 😀\nto you", "{tier}");
        let counts = gw.mock.model_counts("first");
        let usage = json!({ "promptTokens": counts.input_tokens, "completionTokens": counts.output_tokens });
        assert_eq!(*value(&lines, "d"), json!({ "finishReason": "stop", "usage": usage }), "{tier}");
        assert_eq!(value(&lines, "e")["isContinued"], false, "{tier}");
    }
}

#[tokio::test]
async fn the_newest_message_decides_which_stream_a_page_reads() {
    let gw = gateway().await;
    let mut both = by_hand("gpt");
    both["messages"][0]["parts"] = json!([{ "type": "text", "text": "say hello" }]);
    let (head, _) = streamed(&gw, &both).await;
    assert_eq!(head.header("x-vercel-ai-data-stream"), "v1");
    let mut migrated = page("gpt");
    migrated.as_object_mut().expect("an object").remove("trigger");
    migrated["messages"].as_array_mut().expect("a list").insert(0, json!({ "role": "user", "content": "older" }));
    let (head, _) = streamed(&gw, &migrated).await;
    assert_eq!(head.header("x-vercel-ai-ui-message-stream"), "v1");
}

#[tokio::test]
async fn a_call_of_a_tool_comes_whole_and_its_result_goes_back() {
    let gw = gateway().await;
    let call = ToolCall { id: Some("a".into()), name: "weather".into(), arguments: json!({ "city": "Paris" }) };
    gw.mock.script("first", vec![Step { tool_calls: vec![call], ..Step::text("Let me look.") }, Step::text("21.")]);
    let mut body = by_hand("gpt");
    body["tools"] = json!({ "weather": { "parameters": { "type": "object" } } });
    let (_, answer) = streamed(&gw, &body).await;
    let called = lines(&answer);
    assert_eq!(*value(&called, "9"), json!({ "toolCallId": "a", "toolName": "weather", "args": { "city": "Paris" } }));
    assert_eq!(value(&called, "d")["finishReason"], "tool-calls");

    let invocation = json!({ "state": "result", "step": 0, "toolCallId": "a", "toolName": "weather",
                             "args": { "city": "Paris" }, "result": { "c": 21 } });
    let parts = json!([{ "type": "step-start" }, { "type": "text", "text": "Let me look." },
                       { "type": "tool-invocation", "toolInvocation": invocation }]);
    let said_before =
        json!({ "role": "assistant", "content": "Let me look.", "toolInvocations": [invocation], "parts": parts });
    body["messages"].as_array_mut().expect("a list").push(said_before);
    let (_, answer) = streamed(&gw, &body).await;
    assert_eq!(said(&lines(&answer)), "21.");
    let sent: Value = serde_json::from_str(&gw.mock.requests("first")[1].body).expect("JSON");
    let messages = &sent["messages"];
    assert_eq!(
        (&messages[1]["content"], messages[1]["tool_calls"].as_array().map(Vec::len)),
        (&json!("Let me look."), Some(1))
    );
    assert_eq!((&messages[2]["tool_call_id"], &messages[2]["content"]), (&json!("a"), &json!(r#"{"c":21}"#)));
}

#[tokio::test]
async fn refusals_are_json_with_a_sentence_and_the_seconds_to_wait() {
    let gw = TestGateway::with(|config| {
        tiers(config);
        config["keys"][0]["limits"] = json!([{ "scope": "user", "requests": 1, "per": "1m" }]);
    })
    .await;
    for body in [json!({ "messages": [] }), json!({})] {
        let reply = ask(&gw, &body).await;
        assert_eq!((reply.status, reply.header("content-type")), (400, "application/json"), "{body}");
        assert_eq!(reply.json()["error"], "messages required: send at least one.", "{body}");
    }
    assert_eq!(ask(&gw, &by_hand("gpt")).await.status, 200);
    let reply = ask(&gw, &by_hand("gpt")).await;
    let told = reply.json();
    assert_eq!((reply.status, &told["code"]), (429, &json!("rate_limit_exceeded")));
    assert_eq!(
        told["retryAfter"].as_u64().map(|seconds| seconds.to_string()).as_deref(),
        Some(reply.header("retry-after"))
    );

    let gw = TestGateway::with(|config| {
        tiers(config);
        config["keys"][0]["limits"] = json!([{ "scope": "user", "usd": 0.000_001, "per": "day" }]);
    })
    .await;
    let reply = ask(&gw, &by_hand("gpt")).await;
    let told = reply.json();
    assert_eq!((reply.status, &told["code"], &told["retryAfter"]), (402, &json!("budget_exceeded"), &Value::Null));
    assert!(
        told["error"].as_str().is_some_and(|text| text.starts_with("User budget $0.000001 per day reached")),
        "{told}"
    );
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_has_an_error_line_and_ends_abnormally() {
    let gw = gateway().await;
    let step = Step { fault: Some(Fault::Cut { after: 2 }), ..Step::text("one two three four") };
    gw.mock.script("first", vec![step]);
    let (_, body) = streamed(&gw, &by_hand("gpt")).await;
    assert!(!body.whole, "the body must not end as a whole one does");
    let lines = lines(&body);
    assert_eq!(said(&lines).trim(), "one two");
    assert!(lines.last().is_some_and(|(code, text)| code == "3" && text.is_string()), "{lines:?}");
    assert_eq!(*value(&lines, "d"), Value::Null, "{lines:?}");
}

#[tokio::test]
async fn empty_lines_keep_a_waiting_page_attached() {
    let gw = TestGateway::with(|config| {
        tiers(config);
        config["timeouts"] = json!({ "head_hold": "20ms", "keep_alive": "20ms" });
    })
    .await;
    gw.mock.script("first", vec![Step { latency_ms: 200, ..Step::text("at last") }]);
    let (_, body) = streamed(&gw, &by_hand("gpt-alone")).await;
    assert!(body.text().starts_with('\n'));
    assert_eq!(said(&lines(&body)), "at last");
}
