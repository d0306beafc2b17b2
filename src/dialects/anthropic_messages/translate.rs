//! The full decode, for targets that speak another format.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::blocks::{self, Dialogue};
use super::object::{Object, WrongType};
use super::tools;
use crate::dialects::{Decoded, fields};
use crate::domain::chat::{ChatRequest, Format, Part};
use crate::domain::error::GatewayError;
use crate::domain::json::Field;

/// Thinking budgets in tokens up to which an effort is low, and medium. Other formats know the three words only.
const LOW_BUDGET: u64 = 4_096;
const MEDIUM_BUDGET: u64 = 16_384;

pub(super) fn chat(call: &Decoded) -> Result<ChatRequest, GatewayError> {
    let fields = fields::read(&call.body)?;
    let mut chat = ChatRequest {
        system: Vec::new(),
        messages: Vec::new(),
        tools: Vec::new(),
        tool_choice: None,
        parallel_tool_calls: None,
        temperature: None,
        top_p: None,
        stop: Vec::new(),
        format: Format::Text,
        reasoning_effort: None,
        user: call.user.clone(),
        extra: Map::new(),
    };
    let mut dialogue = Dialogue::default();
    let mut budget = None;
    for field in fields.iter().filter(|field| field.value != "null") {
        match field.name.as_ref() {
            // The gateway decides these; a target is told by its own adapter. Metadata is for the gateway's policies.
            "model" | "stream" | "max_tokens" | "metadata" => {}
            "system" => chat.system = blocks::system(field.value, &mut chat.extra)?,
            "messages" => dialogue = blocks::dialogue(field.value, &mut chat.extra)?,
            "tools" => chat.tools = tools::offered(field.value, &mut chat.extra)?,
            "tool_choice" => (chat.tool_choice, chat.parallel_tool_calls) = tools::choice(field.value)?,
            "temperature" => chat.temperature = Some(typed(field, "a number")?),
            "top_p" => chat.top_p = Some(typed(field, "a number")?),
            "stop_sequences" => chat.stop = typed(field, "a list of texts")?,
            "thinking" => budget = thinking(field)?,
            "output_config" => output_config(field, &mut chat)?,
            // The name of `output_config.format` before it had a place there.
            "output_format" => chat.format = format(field.value).map_err(|_| wrong_format(&field.name))?,
            "service_tier" => service_tier(field, &mut chat.extra)?,
            name => _ = chat.extra.insert(name.to_owned(), typed(field, "a JSON value")?),
        }
    }
    chat.reasoning_effort = chat.reasoning_effort.take().or(budget);
    // Instructions in the middle lose their place and keep their order.
    chat.system.extend(dialogue.system);
    chat.messages = dialogue.messages;
    Ok(chat)
}

/// Text of the instructions and all messages; what can't be read holds none.
pub(super) fn prompt_text(call: &Decoded) -> String {
    let mut ignored = Map::new();
    let Ok(fields) = fields::read(&call.body) else { return String::new() };
    let value = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value);
    let mut texts = value("system").and_then(|raw| blocks::system(raw, &mut ignored).ok()).unwrap_or_default();
    let dialogue = value("messages").and_then(|raw| blocks::dialogue(raw, &mut ignored).ok()).unwrap_or_default();
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

fn typed<'a, T: Deserialize<'a>>(field: &Field<'a>, want: &str) -> Result<T, GatewayError> {
    serde_json::from_str(field.value).map_err(|_| fields::wrong(field, want))
}

/// How much thought is asked for, as far as other formats have a word for it. None leaves it to the model.
fn thinking(field: &Field<'_>) -> Result<Option<String>, GatewayError> {
    #[derive(Deserialize)]
    struct Thinking {
        r#type: String,
        budget_tokens: Option<u64>,
    }
    let asked: Thinking = typed(field, "an object with a `type`")?;
    Ok(asked.budget_tokens.filter(|_| asked.r#type == "enabled").map(|budget| {
        let effort = match budget {
            0..=LOW_BUDGET => "low",
            budget if budget <= MEDIUM_BUDGET => "medium",
            _ => "high",
        };
        effort.to_owned()
    }))
}

fn output_config(field: &Field<'_>, chat: &mut ChatRequest) -> Result<(), GatewayError> {
    let wrong = |_: WrongType| fields::wrong(field, "an object of `effort` and `format`");
    let mut config = Object::read(field.value).map_err(wrong)?;
    let effort: Option<String> = config.take("effort").map_err(wrong)?;
    // The two above it are this format's own.
    chat.reasoning_effort = effort.map(|word| if matches!(&*word, "xhigh" | "max") { "high".into() } else { word });
    if let Some(wanted) = config.take::<&serde_json::value::RawValue>("format").map_err(wrong)? {
        chat.format = format(wanted.get()).map_err(|_| wrong_format("output_config.format"))?;
    }
    config.left_over("output_config", &mut chat.extra);
    Ok(())
}

fn format(raw: &str) -> Result<Format, WrongType> {
    let mut wanted = Object::read(raw)?;
    match (wanted.text("type")?.as_str(), wanted.take::<Value>("schema")?) {
        // Other formats want a name; this one has none.
        ("json_schema", Some(schema @ Value::Object(_))) => {
            let strict = is_closed(&schema).then_some(true);
            Ok(Format::JsonSchema { name: "answer".into(), schema, strict })
        }
        _ => Err(WrongType),
    }
}

fn wrong_format(name: &str) -> GatewayError {
    GatewayError::invalid(format!("`{name}` must have the type json_schema and a `schema`."), Some(name))
}

/// Whether every object names all its members as required and allows no others. This format's promise to keep to the
/// schema can be had elsewhere for such schemas only; others are asked for without it, instead of being refused.
fn is_closed(schema: &Value) -> bool {
    let members = match schema {
        Value::Object(members) => members,
        Value::Array(list) => return list.iter().all(is_closed),
        _ => return true,
    };
    if let Some(Value::Object(properties)) = members.get("properties") {
        let required: Vec<&str> =
            members.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let all_required = properties.keys().all(|name| required.contains(&name.as_str()));
        if !all_required || members.get("additionalProperties") != Some(&Value::Bool(false)) {
            return false;
        }
        if !properties.values().all(is_closed) {
            return false;
        }
    } else if members.get("type") == Some(&"object".into()) {
        return false;
    }
    ["items", "anyOf", "allOf", "oneOf"].iter().filter_map(|name| members.get(*name)).all(is_closed)
        && ["$defs", "definitions"]
            .iter()
            .filter_map(|name| members.get(*name)?.as_object())
            .all(|named| named.values().all(is_closed))
}

/// `auto` is what happens anyway; `standard_only` has a name of its own elsewhere.
fn service_tier(field: &Field<'_>, extra: &mut Map<String, Value>) -> Result<(), GatewayError> {
    match typed::<String>(field, "a text")?.as_str() {
        "auto" => {}
        "standard_only" => _ = extra.insert("service_tier".into(), "default".into()),
        other => _ = extra.insert("service_tier".into(), other.into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_is_closed_when_nothing_in_it_is_optional() {
        let open = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
        let mut closed = open.clone();
        closed["required"] = json!(["a"]);
        assert!(!is_closed(&open) && is_closed(&closed));
        for (inner, expected) in [(&open, false), (&closed, true)] {
            assert_eq!(is_closed(&json!({"type": "array", "items": inner})), expected);
            assert_eq!(is_closed(&json!({"anyOf": [{"type": "null"}, inner]})), expected);
            assert_eq!(is_closed(&json!({"$ref": "#/$defs/x", "$defs": {"x": inner}})), expected);
        }
        assert!(!is_closed(&json!({"type": "object"})));
    }
}
