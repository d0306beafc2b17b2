//! The full decode, for targets that speak another format.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{input, tools};
use crate::dialects::Decoded;
use crate::domain::chat::{ChatRequest, Format, Part};
use crate::domain::error::GatewayError;

/// What the gateway decides by itself, and what is about its own keeping.
const OWNED: &[&str] = &[
    "model",
    "stream",
    "stream_options",
    "max_output_tokens",
    "store",
    "background",
    "previous_response_id",
    // Counts calls of tools that run at the provider, of which a translated call has none.
    "max_tool_calls",
];

pub(super) fn chat(call: &Decoded) -> Result<ChatRequest, GatewayError> {
    let mut fields = read(call)?;
    for name in OWNED {
        fields.shift_remove(*name);
    }
    fields.retain(|_, value| !value.is_null());
    let mut take = |name: &str| fields.shift_remove(name);
    let dialogue = input::dialogue(take("input").unwrap_or_default())?;
    let instructions: Option<String> = typed(take("instructions"), "instructions", "a text")?;
    let mut offered = take("tools").map(tools::offered).transpose()?.unwrap_or_default();
    let tool_choice = take("tool_choice").map(|value| tools::choice(&value, &mut offered)).transpose()?;
    let text = take("text").unwrap_or_default();
    let reasoning = take("reasoning").unwrap_or_default();
    let include: Vec<String> = typed(take("include"), "include", "a list of texts")?.unwrap_or_default();
    let mut chat = ChatRequest {
        system: instructions.into_iter().chain(dialogue.system).collect(),
        messages: dialogue.messages,
        tools: offered,
        tool_choice,
        parallel_tool_calls: typed(take("parallel_tool_calls"), "parallel_tool_calls", "true or false")?,
        temperature: typed(take("temperature"), "temperature", "a number")?,
        top_p: typed(take("top_p"), "top_p", "a number")?,
        stop: Vec::new(),
        format: format(&text["format"])?,
        reasoning_effort: reasoning["effort"].as_str().map(str::to_owned),
        user: call.user.clone(),
        extra: Map::new(),
    };
    fields.shift_remove("user");
    if fields.get("truncation").is_some_and(|value| value == "disabled") {
        fields.shift_remove("truncation");
    }
    if !text["verbosity"].is_null() {
        fields.insert("verbosity".into(), text["verbosity"].clone());
    }
    // They could be asked for elsewhere, but not brought back.
    if let Some(asked) = fields.shift_remove("top_logprobs").filter(|asked| *asked != 0) {
        fields.insert("output.top_logprobs".into(), asked);
    }
    // Signed reasoning is always sent along.
    let include: Vec<Value> =
        include.into_iter().filter(|what| what != "reasoning.encrypted_content").map(Value::from).collect();
    if !include.is_empty() {
        fields.insert("include".into(), include.into());
    }
    chat.extra = fields;
    Ok(chat)
}

/// Text of the instructions and all messages; what can't be read holds none.
pub(super) fn prompt_text(call: &Decoded) -> String {
    let Ok(mut fields) = read(call) else { return String::new() };
    let instructions = fields.get("instructions").and_then(Value::as_str);
    let mut texts: Vec<String> = instructions.map(str::to_owned).into_iter().collect();
    let dialogue = fields.shift_remove("input").and_then(|input| input::dialogue(input).ok()).unwrap_or_default();
    texts.extend(dialogue.system);
    for message in dialogue.messages {
        texts.extend(message.parts.into_iter().flat_map(said));
    }
    texts.join("\n")
}

fn said(part: Part) -> Vec<String> {
    match part {
        Part::Text(text) => vec![text],
        Part::ToolResult { content, .. } => content.into_iter().flat_map(said).collect(),
        Part::Image(_) | Part::File { .. } | Part::Reasoning { .. } | Part::ToolCall { .. } => Vec::new(),
    }
}

fn read(call: &Decoded) -> Result<Map<String, Value>, GatewayError> {
    serde_json::from_slice(&call.body)
        .map_err(|_| GatewayError::invalid("The body can't be read; send a JSON object.", None))
}

fn typed<T: for<'de> Deserialize<'de>>(
    value: Option<Value>,
    name: &str,
    want: &str,
) -> Result<Option<T>, GatewayError> {
    value
        .map(serde_json::from_value)
        .transpose()
        .map_err(|_| GatewayError::invalid(format!("`{name}` must be {want}."), Some(name)))
}

fn format(wanted: &Value) -> Result<Format, GatewayError> {
    match (wanted["type"].as_str(), wanted["name"].as_str(), &wanted["schema"]) {
        (Some("text"), ..) => Ok(Format::Text),
        (Some("json_object"), ..) => Ok(Format::JsonObject),
        (Some("json_schema"), Some(name), schema @ Value::Object(_)) => {
            Ok(Format::JsonSchema { name: name.to_owned(), schema: schema.clone(), strict: wanted["strict"].as_bool() })
        }
        _ if wanted.is_null() => Ok(Format::Text),
        _ => {
            let message =
                "`text.format` must be of type text, json_object, or json_schema with a `name` and a `schema`.";
            Err(GatewayError::invalid(message, Some("text.format")))
        }
    }
}
