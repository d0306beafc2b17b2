//! A request of another format as Mistral's: OpenAI's body with the words that are known here, and no other.

use serde_json::{Map, Value, json};

use super::ids::short;
use crate::domain::chat::{ChatRequest, ToolChoice};
use crate::domain::error::GatewayError;
use crate::providers::openai::OpenAi;
use crate::providers::{Adapter, Ask, Encoded, extras};

/// Fields that both formats have. Usage of a stream comes without being asked for.
const SHARED: &[&str] = &[
    "model",
    "messages",
    "max_tokens",
    "stream",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "stop",
    "response_format",
    "reasoning_effort",
];

/// Further fields that are taken, and their names here.
const FIELDS: &[(&str, &str)] = &[
    ("seed", "random_seed"),
    ("random_seed", "random_seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("prediction", "prediction"),
    ("safe_prompt", "safe_prompt"),
    ("prompt_mode", "prompt_mode"),
];

pub(super) fn encode(chat: &ChatRequest, ask: &Ask<'_>) -> Result<Encoded, GatewayError> {
    let openai = OpenAi.encode(chat, &Ask { cap_field: "max_tokens", ..*ask })?;
    let mut body: Map<String, Value> = serde_json::from_slice(&openai.body).expect("just written, an object");
    body.retain(|name, _| SHARED.contains(&name.as_str()));
    let mut dropped = openai.dropped;
    dropped.retain(|name| !chat.extra.contains_key(name));
    dropped.extend(chat.user.is_some().then(|| "user".to_owned()));
    if chat.tool_choice == Some(ToolChoice::Required) {
        body.insert("tool_choice".into(), "any".into());
    }
    effort(chat, &mut body);
    if let Some(Value::Array(messages)) = body.get_mut("messages") {
        messages.iter_mut().for_each(message);
        // An answer that is to be continued has to say so.
        let is_open = |last: &&mut Value| last["role"] == "assistant" && last.get("tool_calls").is_none();
        if let Some(last) = messages.last_mut().filter(is_open) {
            last["prefix"] = true.into();
        }
    }
    extras::sort(&chat.extra, &mut dropped, |name, value| {
        let known = FIELDS.iter().find(|(theirs, _)| *theirs == name);
        body.extend(known.map(|(_, ours)| ((*ours).to_owned(), value.clone())));
        known.is_some()
    })?;
    Ok(Encoded { body: Value::Object(body).to_string().into(), dropped })
}

/// Models differ in which of the levels they have; all that have any have the two ends.
fn effort(chat: &ChatRequest, body: &mut Map<String, Value>) {
    let level = match chat.reasoning_effort.as_deref() {
        Some("minimal") => "none",
        Some("xhigh") => "high",
        _ => return,
    };
    body.insert("reasoning_effort".into(), level.into());
}

fn message(message: &mut Value) {
    if let Some(id) = message.get_mut("tool_call_id") {
        rename(id);
    }
    for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(id) = call.get_mut("id") {
            rename(id);
        }
    }
    for part in message.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
        if part["type"] == "input_audio" {
            // The bare data: the format is told by it.
            part["input_audio"] = part["input_audio"]["data"].take();
        }
        if part["type"] == "file" {
            let file = part["file"].take();
            *part = json!({ "type": "document_url", "document_url": file["file_data"] });
            if let Value::String(name) = &file["filename"] {
                part["document_name"] = name.as_str().into();
            }
        }
    }
}

fn rename(id: &mut Value) {
    if let Value::String(text) = id {
        *text = short(text).into_owned();
    }
}
