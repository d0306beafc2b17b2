//! OpenAI's Responses format at the client's side, over providers of every kind.

mod breaks;
mod compact;
mod errors;
mod passthrough;
mod plain;
mod rules;
mod stored;
mod streams;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

use headgate::simulator::ToolCall;

use crate::support::wire::{Body, Wire};
use crate::support::{KEY, Reply, TestGateway, mock};

const RESPONSES: &str = "/v1/responses";

/// Tiers with one target each, named after the provider's kind. The first two are asked in the client's own format.
const TIERS: &[&str] = &["passed", "openai-responses", "openai", "anthropic", "gemini", "mistral"];

/// Each tier's target is the model `first`; `switching` goes on to `second` at a provider of another format.
async fn gateway() -> TestGateway {
    gateway_with(|_| {}).await
}

async fn gateway_with(edit: impl FnOnce(&mut Value)) -> TestGateway {
    let mock = mock().await;
    let mut config = crate::support::config(&mock);
    for (kind, base_url) in [
        ("openai-responses", mock.openai_base_url()),
        ("mistral", mock.openai_base_url()),
        ("gemini", mock.gemini_base_url()),
    ] {
        config["providers"][kind] = json!({ "kind": kind, "base_url": base_url });
    }
    config["providers"]["passed"] = json!({ "kind": "openai", "base_url": mock.openai_base_url(), "responses": true });
    for name in TIERS {
        for model in ["first", "second"] {
            config["prices"][format!("{name}/{model}")] = json!({ "input": 1, "output": 10 });
        }
        config["tiers"][name] = json!({ "primary": format!("{name}/first"), "max_tokens": 1000 });
        let other = if *name == "passed" { "anthropic/second" } else { "passed/second" };
        config["tiers"][format!("{name}-switching")] =
            json!({ "primary": format!("{name}/first"), "fallback": other, "max_tokens": 1000 });
    }
    edit(&mut config);
    let folder = TempDir::new().expect("a temporary folder");
    TestGateway::start_in(mock, folder, &config, &[]).await.expect("the gateway starts")
}

fn question(model: &str) -> Value {
    json!({ "model": model, "input": "say hello" })
}

fn streamed(model: &str) -> Value {
    let mut body = question(model);
    body["stream"] = json!(true);
    body
}

fn request(gw: &TestGateway, path: &str, body: &Value) -> RequestBuilder {
    let request = gw.client.post(gw.url(path)).bearer_auth(KEY);
    request.header("content-type", "application/json").body(body.to_string())
}

async fn ask(gw: &TestGateway, body: &Value) -> Reply {
    Reply::of(request(gw, RESPONSES, body).send().await.expect("an answer")).await
}

/// Sends `body` on a connection of its own.
async fn wire(gw: &TestGateway, body: &Value) -> Wire {
    let mut wire = Wire::connect(gw.gateway.client).await;
    wire.ask(RESPONSES, &body.to_string(), &[]).await;
    wire
}

/// The whole stream of an answer that goes well.
async fn whole(gw: &TestGateway, body: &Value) -> Body {
    let mut wire = wire(gw, body).await;
    let head = wire.head().await;
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, "text/event-stream; charset=utf-8"),
        "{}",
        body["model"]
    );
    let body = wire.rest().await;
    assert!(body.whole);
    body
}

/// Data of every event, whose name is its type; comments are left out.
fn events(frames: &[String]) -> Vec<Value> {
    let event = |frame: &String| {
        let (name, data) = frame
            .strip_prefix("event: ")
            .and_then(|frame| frame.split_once("\ndata: "))
            .unwrap_or_else(|| panic!("no named event: {frame}"));
        let data: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(data["type"], name, "{frame}");
        data
    };
    frames.iter().filter(|frame| !frame.starts_with(':')).map(event).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

/// What the deltas of this type add up to.
fn said(events: &[Value], kind: &str) -> String {
    events.iter().filter(|event| event["type"] == kind).filter_map(|event| event["delta"].as_str()).collect()
}

/// Text of the messages of a response.
fn output_text(response: &Value) -> String {
    let items = response["output"].as_array().expect("an output");
    let parts = items.iter().filter_map(|item| item["content"].as_array()).flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

fn weather(id: &str, city: &str) -> ToolCall {
    ToolCall { id: Some(id.into()), name: "weather".into(), arguments: json!({ "city": city }) }
}

fn with_tools(mut body: Value) -> Value {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    body["tools"] = json!([{ "type": "function", "name": "weather", "parameters": parameters }]);
    body
}
