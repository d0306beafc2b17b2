//! Anthropic's messages at the client's side, over providers of both formats.

mod breaks;
mod errors;
mod plain;
mod routes;
mod streams;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use headgate::simulator::ToolCall;

use crate::support::wire::Wire;
use crate::support::{KEY, Reply, TestGateway};

const MESSAGES: &str = "/v1/messages";

/// Tier `claude` goes to a model of Anthropic's format and falls back to OpenAI's, `gpt` the other way round;
/// `claude-alone` and `gpt-alone` have no fallback.
async fn gateway() -> TestGateway {
    TestGateway::with(|config| {
        let tier =
            |primary: &str, fallback: &str| json!({ "primary": primary, "fallback": fallback, "max_tokens": 1000 });
        config["tiers"]["claude"] = tier("anthropic/first", "openai/second");
        config["tiers"]["gpt"] = tier("openai/first", "anthropic/second");
        config["tiers"]["claude-alone"] = json!({ "primary": "anthropic/first", "max_tokens": 1000 });
        config["tiers"]["gpt-alone"] = json!({ "primary": "openai/first", "max_tokens": 1000 });
    })
    .await
}

fn question(model: &str) -> Value {
    json!({ "model": model, "max_tokens": 500, "messages": [{ "role": "user", "content": "say hello" }] })
}

fn streamed(model: &str) -> Value {
    let mut body = question(model);
    body["stream"] = json!(true);
    body
}

/// As the SDK sends it.
fn request(gw: &TestGateway, path: &str, body: &Value) -> RequestBuilder {
    let request = gw.client.post(gw.url(path)).header("x-api-key", KEY).header("anthropic-version", "2023-06-01");
    request.header("content-type", "application/json").body(body.to_string())
}

async fn ask(gw: &TestGateway, body: &Value) -> Reply {
    Reply::of(request(gw, MESSAGES, body).send().await.expect("an answer")).await
}

/// Sends `body` on a connection of its own.
async fn wire(gw: &TestGateway, body: &Value, headers: &[(&str, &str)]) -> Wire {
    let mut wire = Wire::connect(gw.gateway.client).await;
    wire.ask(MESSAGES, &body.to_string(), headers).await;
    wire
}

/// Name and data of every event; comments are left out.
fn events(frames: &[String]) -> Vec<(String, Value)> {
    let event = |frame: &String| {
        let (name, data) = frame.strip_prefix("event: ")?.split_once("\ndata: ")?;
        Some((name.to_owned(), serde_json::from_str(data).expect("JSON")))
    };
    frames
        .iter()
        .filter(|f| !f.starts_with(':'))
        .map(|f| event(f).unwrap_or_else(|| panic!("no named event: {f}")))
        .collect()
}

fn named<'a>(events: &'a [(String, Value)], wanted: &str) -> Vec<&'a Value> {
    events.iter().filter(|(name, _)| name == wanted).map(|(_, data)| data).collect()
}

/// What the deltas of this kind add up to.
fn said(events: &[(String, Value)], field: &str) -> String {
    events.iter().filter_map(|(_, data)| data["delta"][field].as_str()).collect()
}

fn weather(id: &str, city: &str) -> ToolCall {
    ToolCall { id: Some(id.into()), name: "weather".into(), arguments: json!({ "city": city, "days": [1, 2] }) }
}

fn tools() -> Value {
    json!([{ "name": "weather", "description": "Weather", "input_schema": { "type": "object" } }])
}
