//! A request of another format as a messages call.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::request::{Request, ToolSpec};
use super::turns::turns;
use crate::domain::chat::{ChatRequest, Format, Tool, ToolChoice};
use crate::domain::error::GatewayError;
use crate::providers::{Ask, Encoded, extras};

/// Fields of Anthropic's own that clients of other formats send by hand.
const NATIVE: &[&str] = &["thinking", "top_k"];

pub(super) fn encode(chat: &ChatRequest, ask: &Ask<'_>) -> Result<Encoded, GatewayError> {
    let mut dropped = Vec::new();
    let native = native(&chat.extra, &mut dropped)?;
    let (system, messages) = turns(chat)?;
    let request = Request {
        model: ask.model,
        max_tokens: ask.max_tokens,
        system,
        messages,
        tools: tools(&chat.tools, &mut dropped),
        tool_choice: tool_choice(chat),
        temperature: chat.temperature.map(|t| t.clamp(0.0, 1.0)),
        top_p: top_p(chat, &mut dropped),
        stop_sequences: stop_sequences(&chat.stop, &mut dropped),
        output_config: output_config(chat, &mut dropped),
        metadata: chat.user.as_ref().map(|user| json!({ "user_id": user })),
        stream: ask.stream,
        native,
    };
    let body = serde_json::to_vec(&request).expect("a request is plain data with text keys").into();
    Ok(Encoded { body, dropped })
}

fn native(extra: &Map<String, Value>, dropped: &mut Vec<String>) -> Result<Map<String, Value>, GatewayError> {
    let mut native = Map::new();
    extras::sort(extra, dropped, |name, value| {
        let known = NATIVE.contains(&name);
        if known {
            native.insert(name.to_owned(), value.clone());
        }
        known
    })?;
    Ok(native)
}

fn tools<'a>(offered: &'a [Tool], dropped: &mut Vec<String>) -> Vec<ToolSpec<'a>> {
    // Older models refuse the whole call for it, newer ones do without.
    if offered.iter().any(|tool| tool.strict == Some(true)) {
        dropped.push("tools.strict".into());
    }
    offered.iter().map(tool).collect()
}

fn tool(tool: &Tool) -> ToolSpec<'_> {
    let mut input_schema = Cow::Borrowed(&tool.parameters);
    if tool.parameters.get("type").is_none()
        && let Value::Object(schema) = input_schema.to_mut()
    {
        schema.insert("type".into(), "object".into());
    }
    ToolSpec { name: &tool.name, description: tool.description.as_deref(), input_schema }
}

fn tool_choice(chat: &ChatRequest) -> Option<Value> {
    if chat.tools.is_empty() {
        return None;
    }
    let one_at_a_time = chat.parallel_tool_calls == Some(false);
    let mut choice = match (&chat.tool_choice, one_at_a_time) {
        (None, false) => return None,
        (None | Some(ToolChoice::Auto), _) => json!({ "type": "auto" }),
        (Some(ToolChoice::None), _) => return Some(json!({ "type": "none" })),
        (Some(ToolChoice::Required), _) => json!({ "type": "any" }),
        (Some(ToolChoice::Named(name)), _) => json!({ "type": "tool", "name": name }),
    };
    if one_at_a_time {
        choice["disable_parallel_tool_use"] = true.into();
    }
    Some(choice)
}

/// Newer models refuse both: the temperature is what people set on purpose.
fn top_p(chat: &ChatRequest, dropped: &mut Vec<String>) -> Option<f64> {
    if chat.temperature.is_some() && chat.top_p.is_some() {
        dropped.push("top_p".into());
        return None;
    }
    chat.top_p
}

/// Stops of white space alone are refused here.
fn stop_sequences<'a>(stop: &'a [String], dropped: &mut Vec<String>) -> Vec<&'a str> {
    let kept: Vec<&str> = stop.iter().map(String::as_str).filter(|text| !text.trim().is_empty()).collect();
    if kept.len() < stop.len() {
        dropped.push("stop".into());
    }
    kept
}

fn output_config(chat: &ChatRequest, dropped: &mut Vec<String>) -> Option<Value> {
    let mut config = Map::new();
    match chat.reasoning_effort.as_deref() {
        None | Some("none") => {}
        Some("minimal" | "low") => _ = config.insert("effort".into(), "low".into()),
        Some("medium") => _ = config.insert("effort".into(), "medium".into()),
        Some("high" | "xhigh") => _ = config.insert("effort".into(), "high".into()),
        Some(_) => dropped.push("reasoning_effort".into()),
    }
    match &chat.format {
        Format::Text => {}
        Format::JsonObject => dropped.push("response_format".into()),
        Format::JsonSchema { schema, .. } => {
            config.insert("format".into(), json!({ "type": "json_schema", "schema": schema }));
        }
    }
    (!config.is_empty()).then_some(Value::Object(config))
}
