//! What a page sends back of the conversation so far.

use serde_json::{Value, json};

use super::{chunks, gateway, page};
use crate::support::TestGateway;

/// What the provider was sent of a dialogue that goes on with `parts` and a further question.
async fn sent_after(gw: &TestGateway, tier: &str, parts: Value) -> Value {
    let mut body = page(tier);
    let messages = body["messages"].as_array_mut().expect("a list");
    messages.push(json!({ "id": "m-2", "role": "assistant", "metadata": { "costUsd": "0.1" }, "parts": parts }));
    messages.push(json!({ "id": "m-3", "role": "user", "parts": [{ "type": "text", "text": "and?" }] }));
    chunks(gw, &body).await;
    serde_json::from_str(&gw.mock.requests("first").pop().expect("a call").body).expect("JSON")
}

#[tokio::test]
async fn signed_reasoning_comes_back_to_a_provider_that_signs() {
    let gw = gateway().await;
    let metadata = json!({ "headgate": { "signature": "signed" } });
    let parts = json!([
        { "type": "step-start" },
        { "type": "reasoning", "text": "let me think", "state": "done", "providerMetadata": metadata },
        { "type": "text", "text": "because", "state": "done" },
    ]);
    let sent = sent_after(&gw, "claude-alone", parts).await;
    assert_eq!(
        sent["messages"][1]["content"],
        json!([{ "type": "thinking", "thinking": "let me think", "signature": "signed" },
               { "type": "text", "text": "because" }])
    );
}

#[tokio::test]
async fn a_call_that_the_page_left_open_does_not_spoil_the_dialogue() {
    let gw = gateway().await;
    for (state, told) in
        [("input-available", "This call was not carried out."), ("output-denied", "The user denied this call.")]
    {
        let call = json!({ "type": "tool-weather", "toolCallId": "a", "state": state, "input": { "city": "Paris" } });
        let sent = sent_after(&gw, "gpt-alone", json!([{ "type": "step-start" }, call])).await;
        let roles: Vec<&Value> = sent["messages"].as_array().expect("a list").iter().map(|m| &m["role"]).collect();
        assert_eq!(roles, ["user", "assistant", "tool", "user"], "{state}");
        assert_eq!(sent["messages"][2]["content"], told, "{state}");
    }
}

#[tokio::test]
async fn a_picture_reaches_the_provider_and_what_is_for_the_page_does_not() {
    let gw = gateway().await;
    let mut body = page("claude-alone");
    body["messages"][0]["parts"] = json!([
        { "type": "text", "text": "look" },
        { "type": "file", "mediaType": "image/png", "filename": "a.png", "url": "data:image/png;base64,AAAA" },
        { "type": "data-position", "data": { "x": 1 } },
        { "type": "source-url", "sourceId": "1", "url": "https://example.com" },
    ]);
    chunks(&gw, &body).await;
    let sent: Value = serde_json::from_str(&gw.mock.requests("first")[0].body).expect("JSON");
    let picture = json!({ "type": "base64", "media_type": "image/png", "data": "AAAA" });
    assert_eq!(
        sent["messages"][0]["content"],
        json!([{ "type": "text", "text": "look" }, { "type": "image", "source": picture }])
    );
}
