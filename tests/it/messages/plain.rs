//! Answers in one body.

use serde_json::{Value, json};

use headgate::simulator::{Finish, Step};

use super::{ask, gateway, question, request, tools, weather};
use crate::support::KEY;

#[tokio::test]
async fn what_the_client_wrote_reaches_a_provider_of_its_format_byte_for_byte_but_for_the_owned_fields() {
    let gw = gateway().await;
    let body = r#"{ "temperature":1.50,"model" : "claude","max_tokens": 7,"messages":[{"role":"user","content":"\u00e9"}],"x_unknown":{"b":1,"a":[1e2]} }"#;
    let post =
        |path: &str| gw.client.post(gw.url(path)).header("x-api-key", KEY).header("content-type", "application/json");
    let reply = post("/v1/messages?beta=true").header("anthropic-beta", "one,two").body(body).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let sent = &gw.mock.requests("first")[0];
    assert_eq!(sent.body, body.replace("\"claude\"", "\"first\""));
    assert_eq!(
        (sent.header("anthropic-version"), sent.header("anthropic-beta")),
        (Some("2023-06-01"), Some("one,two"))
    );
    assert_eq!(sent.header("x-api-key"), None, "the client's key stays here");
}

#[tokio::test]
async fn an_answer_of_its_format_is_the_providers_own() {
    let gw = gateway().await;
    gw.mock.script("first", vec![Step { tool_calls: vec![weather("toolu_1", "Zürich")], ..Step::text("Grüße 😀") }]);
    let reply = ask(&gw, &question("claude")).await;
    assert_eq!((reply.status, reply.header("x-headgate-model")), (200, "anthropic/first"));
    assert!(reply.header("request-id").starts_with("req_"), "{:?}", reply.headers);
    assert_eq!(reply.header("request-id"), reply.header("x-request-id"));
    let body = reply.json();
    assert!(body["id"].as_str().unwrap().starts_with("msg_mock_"), "{body}");
    assert_eq!(body["usage"]["service_tier"], "standard", "a field that only the provider writes");
    let counts = gw.mock.model_counts("first");
    let line = gw.finished(1).await;
    assert_eq!(line["cost_nano"], counts.input_tokens * 1_000 + counts.output_tokens * 10_000);
    assert_eq!(line["outcome"], "ok");
}

#[tokio::test]
async fn an_answer_of_another_format_becomes_a_message() {
    let gw = gateway().await;
    gw.mock.script("first", vec![Step::text("Grüße 😀")]);
    let reply = ask(&gw, &question("gpt")).await;
    assert_eq!((reply.status, reply.header("x-headgate-model")), (200, "openai/first"));
    let body = reply.json();
    let counts = gw.mock.model_counts("first");
    assert_eq!(
        (&body["type"], &body["role"], &body["model"]),
        (&json!("message"), &json!("assistant"), &json!("first"))
    );
    assert_eq!(body["content"], json!([{ "type": "text", "text": "Grüße 😀" }]));
    assert_eq!((&body["stop_reason"], &body["stop_sequence"]), (&json!("end_turn"), &Value::Null));
    assert_eq!(body["usage"]["input_tokens"], counts.input_tokens);
    assert_eq!(body["usage"]["output_tokens"], counts.output_tokens);
}

#[tokio::test]
async fn tools_make_the_round_trip_over_another_format() {
    let gw = gateway().await;
    let calls = vec![weather("call_1", "Paris"), weather("call_2", "Zürich")];
    gw.mock.script(
        "first",
        vec![Step { tool_calls: calls, text: Some(String::new()), ..Step::default() }, Step::text("21")],
    );
    let mut body = question("gpt");
    body["tools"] = tools();
    let first = ask(&gw, &body).await.json();
    assert_eq!(first["stop_reason"], "tool_use");
    let content = first["content"].as_array().unwrap();
    assert_eq!(content[1]["input"], json!({ "city": "Zürich", "days": [1, 2] }));
    let results: Vec<Value> = content
        .iter()
        .map(|call| json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "21" }))
        .collect();
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": content }));
    messages.push(json!({ "role": "user", "content": results }));
    let second = ask(&gw, &body).await.json();
    assert_eq!((&second["content"][0]["text"], &second["stop_reason"]), (&json!("21"), &json!("end_turn")));
    let sent: Value = serde_json::from_str(&gw.mock.requests("first")[1].body).unwrap();
    let roles: Vec<&Value> = sent["messages"].as_array().unwrap().iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool"]);
    assert_eq!(sent["messages"][3]["tool_call_id"], "call_2");
}

#[tokio::test]
async fn what_a_target_of_another_format_can_not_carry_is_told() {
    let gw = gateway().await;
    let mut body = question("gpt");
    body["top_k"] = json!(40);
    body["system"] = json!([{ "type": "text", "text": "s", "cache_control": { "type": "ephemeral" } }]);
    let reply = request(&gw, "/v1/messages", &body).header("anthropic-beta", "one").send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["x-headgate-dropped"], "top_k, system.cache_control, anthropic-beta");
    let sent: Value = serde_json::from_str(&gw.mock.requests("first")[0].body).unwrap();
    assert_eq!((&sent["top_k"], &sent["max_tokens"]), (&Value::Null, &json!(500)));
}

#[tokio::test]
async fn a_fallback_of_the_other_format_answers_as_the_primary_would() {
    for (tier, model) in [("claude", "openai/second"), ("gpt", "anthropic/second")] {
        let gw = gateway().await;
        gw.mock.script("first", vec![Step::status(429)]);
        gw.mock.script("second", vec![Step { finish: Some(Finish::Length), ..Step::text("the second one") }]);
        let reply = ask(&gw, &question(tier)).await;
        let told = (reply.status, reply.header("x-headgate-model"), reply.header("x-headgate-attempts"));
        assert_eq!(told, (200, model, "2"));
        let body = reply.json();
        assert_eq!(body["content"], json!([{ "type": "text", "text": "the second one" }]), "{tier}");
        assert_eq!(body["stop_reason"], "max_tokens", "{tier}");
    }
}

#[tokio::test]
async fn a_request_that_one_format_can_not_carry_goes_to_the_target_that_can() {
    let gw = gateway().await;
    let mut body = question("gpt");
    body["tools"] = json!([{ "type": "web_search_20250305", "name": "web_search" }]);
    let reply = ask(&gw, &body).await;
    assert_eq!((reply.status, reply.header("x-headgate-model")), (200, "anthropic/second"));
    assert_eq!(gw.mock.model_counts("first").calls, 0);

    body["model"] = json!("gpt-alone");
    let refused = ask(&gw, &body).await;
    assert_eq!((refused.status, refused.json()["error"]["details"]["param"].clone()), (400, json!("tools[0]")));
}

#[tokio::test]
async fn reasoning_that_nobody_signed_does_not_spoil_the_next_turn_at_a_provider_that_signs() {
    let gw = gateway().await;
    let mut body = question("claude");
    let history = json!([
        { "role": "user", "content": "why?" },
        { "role": "assistant", "content": [
            { "type": "thinking", "thinking": "hm", "signature": "" },
            { "type": "thinking", "thinking": "so", "signature": "signed" },
            { "type": "text", "text": "because" },
        ] },
        { "role": "user", "content": "and?" },
    ]);
    body["messages"] = history.clone();
    let reply = ask(&gw, &body).await;
    assert_eq!((reply.status, reply.header("x-headgate-dropped")), (200, "messages.thinking"));
    let sent: Value = serde_json::from_str(&gw.mock.requests("first")[0].body).unwrap();
    let content = &sent["messages"][1]["content"];
    assert_eq!((&content[0], content.as_array().map(Vec::len)), (&history[1]["content"][1], Some(2)));
}

#[tokio::test]
async fn reasoning_that_another_provider_signed_goes_back_to_that_one_alone() {
    let gw = gateway().await;
    let thought = |signature: &str| json!({ "type": "thinking", "thinking": "hm", "signature": signature });
    let call = json!({ "type": "tool_use", "id": "call_1", "name": "f", "input": {} });
    let mut body = question("claude");
    body["messages"] = json!([
        { "role": "user", "content": "why?" },
        { "role": "assistant", "content": [thought("gemini:0:c2ln"), thought("c2lnbmVk"), call] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "call_1", "content": "because" }] },
    ]);
    gw.mock.script("first", vec![Step::status(503)]);
    let reply = ask(&gw, &body).await;
    assert_eq!((reply.status, reply.header("x-headgate-model")), (200, "openai/second"));
    let sent: Value = serde_json::from_str(&gw.mock.requests("first")[0].body).unwrap();
    assert_eq!(sent["messages"][1]["content"], json!([thought("c2lnbmVk"), call]));
    assert_eq!(reply.header("x-headgate-dropped"), "messages.thinking");

    let gw = crate::providers::gateway().await;
    body["model"] = json!("google");
    let reply = ask(&gw, &body).await;
    assert_eq!((reply.status, reply.headers.contains_key("x-headgate-dropped")), (200, false), "{:?}", reply.headers);
    let sent: Value = serde_json::from_str(&gw.mock.requests("flash")[0].body).unwrap();
    assert_eq!(sent["contents"][1]["parts"][0]["thoughtSignature"], "c2ln", "{sent}");
}
