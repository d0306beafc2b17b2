//! Calls that nobody waits for: queued, worked on, polled, read along, cancelled, and carried over the death of whoever
//! worked on them.

mod background;
mod deaths;
mod turns;

use std::time::Duration;

use headgate::simulator::Step;
use serde_json::{Value, json};

/// A response in the background, of `model`.
fn question(model: &str) -> Value {
    json!({ "model": model, "input": "say hello", "background": true })
}

/// An answer of `words` words, one every `gap_ms`.
fn slow(words: u64, gap_ms: u64) -> Step {
    Step { words: Some(words), gap_ms, ..Step::default() }
}

/// The slowest thing waited for is a hold that nobody renews: a minute.
const SLOWEST: Duration = Duration::from_secs(150);

fn is_over(response: &Value) -> bool {
    !matches!(response["status"].as_str(), Some("queued" | "in_progress"))
}

/// What a response says.
fn said(response: &Value) -> String {
    let items = response["output"].as_array().cloned().unwrap_or_default();
    let texts = items.iter().flat_map(|item| item["content"].as_array().cloned().unwrap_or_default());
    texts.filter_map(|part| part["text"].as_str().map(str::to_owned)).collect()
}

/// The events of a stream that stands in `text`.
fn events(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter_map(|frame| frame.lines().find_map(|line| line.strip_prefix("data: ")));
    data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}
