//! The same format on both sides: the bytes stay as they are.

use serde_json::{Value, json};

use headgate::simulator::Step;

use super::{RESPONSES, ask, gateway, question, streamed, weather, whole};
use crate::support::wire::Wire;
use crate::support::{KEY, TestGateway, mock};

#[tokio::test]
async fn what_the_client_wrote_reaches_the_provider_byte_for_byte_but_for_the_owned_fields() {
    let gw = gateway().await;
    let body = r#"{ "temperature":1.50,"model" : "passed","max_output_tokens": 70,"input":[{"role":"user","content":"\u00e9"},{"type":"web_search_call","id":"ws_1"}],"x_unknown":{"b":1,"a":[1e2]} }"#;
    let post = gw.client.post(gw.url(RESPONSES)).bearer_auth(KEY).header("content-type", "application/json");
    assert_eq!(post.body(body).send().await.unwrap().status(), 200);
    let sent = &gw.mock.requests("first")[0];
    assert_eq!(
        (sent.path.as_str(), sent.body.as_str()),
        ("/v1/responses", body.replace("\"passed\"", "\"first\"").as_str())
    );
}

#[tokio::test]
async fn a_whole_answer_is_the_providers_own() {
    let gw = gateway().await;
    gw.mock.script("first", vec![Step::text("Grüße 😀")]);
    let reply = ask(&gw, &question("passed")).await;
    assert_eq!(reply.header("x-headgate-model"), "passed/first");
    assert!(reply.json()["id"].as_str().is_some_and(|id| id.starts_with("resp_mock_")), "{}", reply.json());
}

#[tokio::test]
async fn a_stream_is_the_providers_own_with_its_price_before_the_last_event() {
    let gw = gateway().await;
    let step = Step { tool_calls: vec![weather("call_1", "Oslo")], ..Step::text("Grüße from \"the\" mock") };
    gw.mock.script("first", vec![step.clone()]);
    let text = whole(&gw, &streamed("passed")).await.text();
    let expected = sent_by_the_provider(&gw, step).await;
    let start = text.find(": headgate cost_usd=").expect("a cost");
    let end = start + text[start..].find("\n\n").expect("an end") + 2;
    let unpriced = [&text[..start], &text[end..]].concat();
    assert_eq!(timeless(&unpriced), timeless(&expected));
    assert!(text[end..].starts_with("event: response.completed"), "{text}");
}

/// What an untouched mock says to the same call.
async fn sent_by_the_provider(gw: &TestGateway, step: Step) -> String {
    let other = mock().await;
    other.script("first", vec![step]);
    let mut wire = Wire::connect(other.addr()).await;
    wire.ask(RESPONSES, &gw.mock.requests("first")[0].body, &[]).await;
    wire.head().await;
    wire.rest().await.text()
}

/// Without the times, which differ from call to call.
fn timeless(text: &str) -> Vec<Value> {
    let data = text.split_terminator("\n\n").filter_map(|frame| frame.split_once("\ndata: "));
    data.map(|(name, data)| {
        let mut data: Value = serde_json::from_str(data).expect("JSON");
        if let Some(response) = data.get_mut("response") {
            response["created_at"] = json!(name);
            response["completed_at"] = json!(name);
        }
        data
    })
    .collect()
}

#[tokio::test]
async fn a_provider_that_does_not_say_so_is_asked_for_chat_completions() {
    let gw = gateway().await;
    assert_eq!(ask(&gw, &question("openai")).await.status, 200);
    assert_eq!(gw.mock.requests("first")[0].path, "/v1/chat/completions");
}

#[tokio::test]
async fn a_chat_client_of_the_same_provider_is_asked_for_chat_completions() {
    let gw = gateway().await;
    assert_eq!(gw.ask("passed").await.status, 200);
    assert_eq!(gw.mock.requests("first")[0].path, "/v1/chat/completions");
    assert_eq!(gw.ask("openai-responses").await.status, 200);
    assert_eq!(gw.mock.requests("first")[1].path, "/v1/responses");
}
