//! Which provider's format a recording is in, told by its shape.

use serde_json::Value;

use super::recording::Recording;

type Shape = fn(&Value) -> bool;

/// The first of these that fits one of a recording's values.
const SHAPES: &[(&str, Shape)] = &[
    ("openai-responses", is_responses),
    ("anthropic", is_anthropic),
    ("gemini", is_gemini),
    ("mistral", is_mistral),
    ("openai", is_openai),
];

pub(super) fn of(recording: &Recording) -> Option<&'static str> {
    let values = recording.values();
    let fits = |shape: Shape| values.iter().any(|value| shape(value.get(0).unwrap_or(value)));
    SHAPES.iter().find(|(_, shape)| fits(*shape)).map(|(kind, _)| *kind)
}

fn is_responses(value: &Value) -> bool {
    value["object"] == "response" || value["type"].as_str().is_some_and(|kind| kind.starts_with("response."))
}

fn is_anthropic(value: &Value) -> bool {
    let is_error = value["type"] == "error" && value["error"]["type"].is_string();
    let kind = value["type"].as_str().unwrap_or_default();
    is_error || kind == "message" || kind.starts_with("message_") || kind.starts_with("content_block_")
}

fn is_gemini(value: &Value) -> bool {
    ["candidates", "promptFeedback", "usageMetadata"].iter().any(|name| value.get(name).is_some())
        || (value["error"]["status"].is_string() && value["error"]["code"].is_u64())
}

/// Ids are bare hexadecimal numbers; errors are flat.
fn is_mistral(value: &Value) -> bool {
    let is_hex = |id: &str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_completion = value["choices"].is_array() && value.get("system_fingerprint").is_none();
    (is_completion && value["id"].as_str().is_some_and(is_hex))
        || (value["object"] == "error" && value.get("raw_status_code").is_some())
}

/// The older completions, which are no chat, have choices, too.
fn is_openai(value: &Value) -> bool {
    (value["choices"].is_array() && value["object"] != "text_completion")
        || value.get("error").is_some()
        || value["object"] == "error"
        || value.get("detail").is_some()
}
