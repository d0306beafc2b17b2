//! Gemini's format: paths, whole answers as frames, waits in the body.

use serde_json::{Value, json};

use super::super::{Fault, Finish, RetryAfter, StatusFault, Step, ToolCall};
use super::client::{Ending, exchange, gemini, post};
use super::{scripted, simulator};

fn said(text: &str) -> Value {
    json!({
        "systemInstruction": { "parts": [{ "text": "be brief" }] },
        "contents": [{ "role": "user", "parts": [{ "text": text }] }],
        "generationConfig": { "maxOutputTokens": 100 },
    })
}

#[tokio::test]
async fn a_plain_answer_has_the_published_shape_and_honest_usage() {
    let simulator = scripted("m", Step::text("one two")).await;
    let answer = exchange(simulator.addr(), &gemini("m", false, &said("hi"))).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let body = answer.json();
    let candidate = &body["candidates"][0];
    assert_eq!(candidate["content"], json!({ "parts": [{ "text": "one two" }], "role": "model" }));
    assert_eq!((&candidate["finishReason"], &body["modelVersion"]), (&json!("STOP"), &json!("m")));
    // "be brief", "user" and "hi".
    let usage = &body["usageMetadata"];
    assert_eq!(
        (&usage["promptTokenCount"], &usage["candidatesTokenCount"], &usage["totalTokenCount"]),
        (&json!(4), &json!(2), &json!(6))
    );
    assert_eq!(simulator.model_counts("m").output_tokens, 2);
}

#[tokio::test]
async fn a_stream_is_made_of_whole_answers_and_has_no_end_marker() {
    let arguments = json!({ "city": "Paris" });
    let tool = ToolCall { name: "weather".into(), arguments: arguments.clone(), ..ToolCall::default() };
    let simulator = scripted("m", Step { tool_calls: vec![tool], ..Step::text("one two") }).await;
    let answer = exchange(simulator.addr(), &gemini("m", true, &said("hi"))).await;
    assert_eq!(
        (answer.ending, answer.header("content-type")),
        (Ending::Whole, Some("text/event-stream; charset=utf-8"))
    );
    let events = answer.events();
    assert_eq!(events.len(), answer.payloads().len(), "no payload is anything but an answer");
    let parts: Vec<&Value> = events.iter().map(|event| &event["candidates"][0]["content"]["parts"][0]).collect();
    let call = json!({ "functionCall": { "name": "weather", "args": arguments } });
    assert_eq!(parts, [&json!({ "text": "one" }), &json!({ "text": " two" }), &call, &json!({ "text": "" })]);
    let finishes: Vec<&Value> = events.iter().map(|event| &event["candidates"][0]["finishReason"]).collect();
    assert_eq!(finishes, [&Value::Null, &Value::Null, &Value::Null, &json!("STOP")]);
    assert!(events.iter().all(|event| event["usageMetadata"]["promptTokenCount"] == 4));
}

#[tokio::test]
async fn the_cap_and_a_safety_stop_have_their_own_words() {
    let simulator = scripted("m", Step::text("one two three")).await;
    let mut capped = said("hi");
    capped["generationConfig"]["maxOutputTokens"] = json!(2);
    let body = exchange(simulator.addr(), &gemini("m", false, &capped)).await.json();
    assert_eq!(body["candidates"][0]["finishReason"], "MAX_TOKENS");
    simulator.script("m", vec![Step { finish: Some(Finish::Refusal), ..Step::text("no") }]);
    let body = exchange(simulator.addr(), &gemini("m", false, &said("hi"))).await.json();
    assert_eq!(body["candidates"][0]["finishReason"], "SAFETY");
}

#[tokio::test]
async fn a_wait_is_told_in_the_body_and_not_in_a_header() {
    let fault = StatusFault { status: 429, retry_after: Some(RetryAfter::Ms(1_500)), ..StatusFault::default() };
    let simulator = scripted("m", Step::fault(Fault::Status(fault))).await;
    let answer = exchange(simulator.addr(), &gemini("m", false, &said("hi"))).await;
    assert_eq!((answer.status, answer.header("retry-after"), answer.header("retry-after-ms")), (429, None, None));
    let error = &answer.json()["error"];
    assert_eq!((&error["code"], &error["status"]), (&json!(429), &json!("RESOURCE_EXHAUSTED")));
    let retry = json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s" });
    assert_eq!(error["details"], json!([retry]));
}

#[tokio::test]
async fn the_last_words_of_the_user_are_echoed_and_a_stream_must_be_asked_for_as_events() {
    let simulator = simulator().await;
    let body = exchange(simulator.addr(), &gemini("mock-echo", false, &said("so be it"))).await.json();
    assert_eq!(body["candidates"][0]["content"]["parts"][0]["text"], "so be it");
    let wrong = exchange(simulator.addr(), &post("/v1beta/models/m:streamGenerateContent", &said("hi"))).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
}
