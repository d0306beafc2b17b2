//! A request of another format as Cohere's, where an unknown field is refused.

use serde_json::{Map, Value, json};

use super::{KIND, PLAN, THOUGHT};
use crate::domain::chat::{ChatRequest, Format, Media, Message, Part, Role, Tool, ToolChoice};
use crate::domain::error::GatewayError;
use crate::domain::signatures::unmark;
use crate::providers::{Ask, Encoded, extras};

/// Further fields that are taken, and their names here.
const FIELDS: &[(&str, &str)] = &[
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("top_k", "k"),
    ("k", "k"),
    ("safety_mode", "safety_mode"),
];

/// Errors: `InvalidRequest` for documents, which this provider reads in a form of its own.
pub(super) fn encode(chat: &ChatRequest, ask: &Ask<'_>) -> Result<Encoded, GatewayError> {
    let mut dropped = Vec::new();
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    put("model", Some(ask.model.into()));
    put("messages", Some(messages(chat, &mut dropped)?));
    put("max_tokens", Some(ask.max_tokens.into()));
    put("stream", ask.stream.then_some(true.into()));
    put("temperature", chat.temperature.map(|degree| degree.clamp(0.0, 1.0).into()));
    // The ends of the range are refused.
    put("p", chat.top_p.map(|share| share.clamp(0.01, 0.99).into()));
    put("stop_sequences", (!chat.stop.is_empty()).then(|| chat.stop.clone().into()));
    put("response_format", format(&chat.format));
    put("tools", tools(chat));
    put("tool_choice", tool_choice(chat));
    put("strict_tools", (!chat.tools.is_empty() && chat.tools.iter().all(is_strict)).then_some(true.into()));
    put("thinking", chat.reasoning_effort.as_deref().and_then(|effort| thinking(ask.model, effort)));
    for (name, is_lost) in [
        ("reasoning_effort", chat.reasoning_effort.is_some() && !body.contains_key("thinking")),
        ("tools.strict", chat.tools.iter().any(is_strict) && !body.contains_key("strict_tools")),
        ("parallel_tool_calls", chat.parallel_tool_calls == Some(false) && !chat.tools.is_empty()),
        ("user", chat.user.is_some()),
    ] {
        dropped.extend(is_lost.then(|| name.to_owned()));
    }
    extras::sort(&chat.extra, &mut dropped, |name, value| {
        let known = FIELDS.iter().find(|(theirs, _)| *theirs == name);
        body.extend(known.map(|(_, ours)| ((*ours).to_owned(), value.clone())));
        known.is_some()
    })?;
    Ok(Encoded { body: Value::Object(body).to_string().into(), dropped })
}

fn messages(chat: &ChatRequest, dropped: &mut Vec<String>) -> Result<Value, GatewayError> {
    let mut all: Vec<Value> = chat.system.iter().map(|text| json!({ "role": "system", "content": text })).collect();
    for message in &chat.messages {
        match message.role {
            Role::User => user(message, &mut all, dropped)?,
            Role::Assistant => all.extend(assistant(message)),
        }
    }
    Ok(all.into())
}

/// Tool results are messages of their own here, and texts: their pictures go into the message behind them.
fn user(message: &Message, all: &mut Vec<Value>, dropped: &mut Vec<String>) -> Result<(), GatewayError> {
    let mut pieces = Vec::new();
    for part in &message.parts {
        let Part::ToolResult { call_id, content, is_error } = part else {
            pieces.extend(piece(part)?);
            continue;
        };
        let mut text = String::new();
        for part in content {
            match part {
                Part::Text(more) => text.push_str(more),
                part => pieces.extend(piece(part)?),
            }
        }
        all.push(json!({ "role": "tool", "tool_call_id": call_id, "content": text }));
        if *is_error && !dropped.iter().any(|name| name == "messages.is_error") {
            dropped.push("messages.is_error".into());
        }
    }
    if !pieces.is_empty() {
        all.push(json!({ "role": "user", "content": content(pieces) }));
    }
    Ok(())
}

fn piece(part: &Part) -> Result<Option<Value>, GatewayError> {
    Ok(match part {
        Part::Text(text) => Some(json!({ "type": "text", "text": text })),
        Part::Image(media) => Some(json!({ "type": "image_url", "image_url": { "url": url(media) } })),
        Part::File { .. } => {
            let message = "The model in use reads no documents; send their text.";
            return Err(GatewayError::invalid(message, Some("messages")));
        }
        Part::Reasoning { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => None,
    })
}

fn url(media: &Media) -> String {
    match media {
        Media::Url(url) => url.clone(),
        Media::Inline { media_type, data } => format!("data:{media_type};base64,{data}"),
    }
}

/// A single text goes as a plain string.
fn content(mut pieces: Vec<Value>) -> Value {
    match pieces.as_mut_slice() {
        [one] if one["type"] == "text" => one["text"].take(),
        _ => pieces.into(),
    }
}

/// None where nothing is left to say.
fn assistant(message: &Message) -> Option<Value> {
    let (mut pieces, mut calls, mut plan) = (Vec::new(), Vec::new(), String::new());
    for part in &message.parts {
        match part {
            Part::Text(text) => pieces.push(json!({ "type": "text", "text": text })),
            Part::ToolCall { id, name, arguments } => {
                let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
                let function = json!({ "name": name, "arguments": arguments });
                calls.push(json!({ "id": id, "type": "function", "function": function }));
            }
            // What this provider reasoned; other models' thoughts are not its own.
            Part::Reasoning { text, signature: Some(marked) } => match unmark(KIND, marked) {
                Some((PLAN, _)) => plan.push_str(text),
                Some((THOUGHT, _)) => pieces.push(json!({ "type": "thinking", "thinking": text })),
                _ => {}
            },
            Part::Reasoning { signature: None, .. } | Part::Image(_) | Part::File { .. } | Part::ToolResult { .. } => {}
        }
    }
    let mut body = json!({ "role": "assistant" });
    if !pieces.is_empty() {
        body["content"] = content(pieces);
    }
    if !calls.is_empty() {
        body["tool_calls"] = calls.into();
        if !plan.is_empty() {
            body["tool_plan"] = plan.into();
        }
    }
    (body.as_object()?.len() > 1).then_some(body)
}

fn format(format: &Format) -> Option<Value> {
    match format {
        Format::Text => None,
        Format::JsonObject => Some(json!({ "type": "json_object" })),
        Format::JsonSchema { schema, .. } => Some(json!({ "type": "json_object", "json_schema": schema })),
    }
}

/// One tool can't be named; where it is the only one on offer, it is the one that is called.
fn tools(chat: &ChatRequest) -> Option<Value> {
    let is_offered = |tool: &&Tool| match &chat.tool_choice {
        Some(ToolChoice::Named(name)) => tool.name == *name,
        _ => true,
    };
    let offered = chat.tools.iter().filter(is_offered).map(|tool| {
        let mut function = json!({ "name": tool.name, "parameters": tool.parameters });
        if let Some(description) = &tool.description {
            function["description"] = description.as_str().into();
        }
        json!({ "type": "function", "function": function })
    });
    (!chat.tools.is_empty()).then(|| offered.collect())
}

fn tool_choice(chat: &ChatRequest) -> Option<Value> {
    match chat.tool_choice.as_ref().filter(|_| !chat.tools.is_empty())? {
        ToolChoice::Auto => None,
        ToolChoice::None => Some("NONE".into()),
        ToolChoice::Required | ToolChoice::Named(_) => Some("REQUIRED".into()),
    }
}

fn is_strict(tool: &Tool) -> bool {
    tool.strict == Some(true)
}

/// How much a model is to think; none where it has no setting for it. Budgets are those of Gemini's older models.
fn thinking(model: &str, effort: &str) -> Option<Value> {
    if !model.contains("reasoning") {
        return None;
    }
    let budget = match effort {
        "none" => return Some(json!({ "type": "disabled" })),
        "minimal" | "low" => 1_024,
        "medium" => 8_192,
        "high" | "xhigh" => 24_576,
        _ => return None,
    };
    Some(json!({ "type": "enabled", "token_budget": budget }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_is_a_budget_for_models_that_think() {
        let of = |model, effort| thinking(model, effort).map(|setting| setting.to_string());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("command-a-reasoning-08-2025", "medium"), some(r#"{"type":"enabled","token_budget":8192}"#));
        assert_eq!(of("command-a-reasoning-08-2025", "none"), some(r#"{"type":"disabled"}"#));
        assert_eq!(of("command-a-reasoning-08-2025", "some"), None);
        assert_eq!(of("command-a-03-2025", "high"), None);
    }
}
