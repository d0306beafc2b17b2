//! Chat pages of the AI SDK: `POST /api/chat` over providers of both formats.

mod answers;
mod errors;
mod history;
mod older;
mod resume;

use serde_json::{Value, json};

use crate::support::wire::{Body, Wire, WireHead, data};
use crate::support::{KEY, Reply, TestGateway};

const CHAT: &str = "/api/chat";

/// Tier `claude` goes to a model of Anthropic's format and falls back to OpenAI's, `gpt` the other way round;
/// `claude-alone` and `gpt-alone` have no fallback.
async fn gateway() -> TestGateway {
    TestGateway::with(tiers).await
}

fn tiers(config: &mut Value) {
    for (name, primary, fallback) in
        [("claude", "anthropic/first", "openai/second"), ("gpt", "openai/first", "anthropic/second")]
    {
        config["tiers"][name] = json!({ "primary": primary, "fallback": fallback, "max_tokens": 1000 });
        config["tiers"][format!("{name}-alone")] = json!({ "primary": primary, "max_tokens": 1000 });
    }
}

/// As a page since version 5 asks.
fn page(tier: &str) -> Value {
    let message = json!({ "id": "m-1", "role": "user", "parts": [{ "type": "text", "text": "say hello" }] });
    json!({ "id": "chat-1", "messages": [message], "trigger": "submit-message", "tier": tier })
}

/// The head of the answer to `body`, and the rest of it.
async fn streamed(gw: &TestGateway, body: &Value) -> (WireHead, Body) {
    let mut wire = Wire::connect(gw.gateway.client).await;
    wire.ask(CHAT, &body.to_string(), &[]).await;
    let head = wire.head().await;
    assert_eq!(head.status, 200);
    (head, wire.rest().await)
}

/// The chunks of a whole answer.
async fn chunks(gw: &TestGateway, body: &Value) -> Vec<Value> {
    let (_, body) = streamed(gw, body).await;
    assert!(body.whole);
    data(&body.frames())
}

async fn ask(gw: &TestGateway, body: &Value) -> Reply {
    let call = gw.client.post(gw.url(CHAT)).bearer_auth(KEY).body(body.to_string());
    Reply::of(call.send().await.expect("an answer")).await
}

fn types(chunks: &[Value]) -> Vec<&str> {
    chunks.iter().map(|chunk| chunk["type"].as_str().expect("a type")).collect()
}

fn of_type<'a>(chunks: &'a [Value], wanted: &str) -> Vec<&'a Value> {
    chunks.iter().filter(|chunk| chunk["type"] == wanted).collect()
}

/// What the deltas of this type add up to.
fn said(chunks: &[Value], wanted: &str) -> String {
    of_type(chunks, wanted).iter().filter_map(|chunk| chunk["delta"].as_str()).collect()
}
