//! The full decode, for targets that speak another format.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::messages;
use crate::dialects::Decoded;
use crate::domain::chat::{ChatRequest, Format, Tool, ToolChoice};
use crate::domain::error::GatewayError;

/// What the gateway decides by itself: a target is told by its own adapter.
const OWNED: &[&str] = &["model", "stream", "stream_options", "max_tokens", "max_completion_tokens"];

pub(super) fn chat(call: &Decoded) -> Result<ChatRequest, GatewayError> {
    let mut fields: Map<String, Value> = serde_json::from_slice(&call.body)
        .map_err(|_| GatewayError::invalid("The body can't be read; send a JSON object.", None))?;
    for name in OWNED {
        fields.shift_remove(*name);
    }
    fields.retain(|_, value| !value.is_null());
    for name in ["functions", "function_call"] {
        if fields.contains_key(name) {
            let message = format!("`{name}` can't be translated for the model in use; send `tools` instead.");
            return Err(GatewayError::invalid(message, Some(name)));
        }
    }
    let mut left_over = Map::new();
    let mut take = |name: &str| fields.shift_remove(name);
    let dialogue = messages::dialogue(take("messages").unwrap_or_default(), &mut left_over)?;
    Ok(ChatRequest {
        system: dialogue.system,
        messages: dialogue.messages,
        tools: take("tools").map(|value| tools(value, &mut left_over)).transpose()?.unwrap_or_default(),
        tool_choice: take("tool_choice").map(tool_choice).transpose()?,
        parallel_tool_calls: typed(take("parallel_tool_calls"), "parallel_tool_calls", "true or false")?,
        temperature: typed(take("temperature"), "temperature", "a number")?,
        top_p: typed(take("top_p"), "top_p", "a number")?,
        stop: take("stop").map(stop).transpose()?.unwrap_or_default(),
        format: take("response_format").map(format).transpose()?.unwrap_or(Format::Text),
        reasoning_effort: typed(take("reasoning_effort"), "reasoning_effort", "a text")?,
        user: typed(take("user"), "user", "a text")?,
        extra: fields.into_iter().chain(left_over).collect(),
    })
}

/// Text of all messages; what can't be read holds none.
pub(super) fn prompt_text(call: &Decoded) -> String {
    #[derive(Deserialize)]
    struct Body {
        messages: Vec<Value>,
    }
    let Ok(body) = serde_json::from_slice::<Body>(&call.body) else { return String::new() };
    let mut texts = Vec::new();
    for message in &body.messages {
        match &message["content"] {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(parts) => texts.extend(parts.iter().filter_map(|part| part["text"].as_str())),
            _ => {}
        }
    }
    texts.join("\n")
}

fn typed<T: for<'de> Deserialize<'de>>(
    value: Option<Value>,
    name: &str,
    want: &str,
) -> Result<Option<T>, GatewayError> {
    value
        .map(|value| serde_json::from_value(value))
        .transpose()
        .map_err(|_| GatewayError::invalid(format!("`{name}` must be {want}."), Some(name)))
}

fn tools(value: Value, left_over: &mut Map<String, Value>) -> Result<Vec<Tool>, GatewayError> {
    #[derive(Deserialize)]
    struct Offered {
        r#type: String,
        function: Option<Function>,
        #[serde(flatten)]
        rest: Map<String, Value>,
    }
    #[derive(Deserialize)]
    struct Function {
        name: String,
        description: Option<String>,
        parameters: Option<Value>,
        strict: Option<bool>,
    }
    let offered: Vec<Offered> = serde_json::from_value(value)
        .map_err(|_| GatewayError::invalid("Each of `tools` must have a `type` and a `function`.", Some("tools")))?;
    let tool = |(at, mut tool): (usize, Offered)| {
        let rest = std::mem::take(&mut tool.rest).into_iter();
        left_over.extend(rest.map(|(name, value)| (format!("tools.{name}"), value)));
        let Some(function) = tool.function.filter(|_| tool.r#type == "function") else {
            let message = format!(
                "tools[{at}] has type `{}`; the model in use takes tools of type `function` only.",
                tool.r#type.chars().take(40).collect::<String>()
            );
            return Err(GatewayError::invalid(message, Some(&format!("tools[{at}]"))));
        };
        Ok(Tool {
            name: function.name,
            description: function.description,
            parameters: function.parameters.unwrap_or_else(|| serde_json::json!({"type": "object", "properties": {}})),
            strict: function.strict,
        })
    };
    offered.into_iter().enumerate().map(tool).collect()
}

fn tool_choice(value: Value) -> Result<ToolChoice, GatewayError> {
    let named = value["function"]["name"].as_str().filter(|_| value["type"] == "function");
    match (value.as_str(), named) {
        (Some("auto"), _) => Ok(ToolChoice::Auto),
        (Some("none"), _) => Ok(ToolChoice::None),
        (Some("required"), _) => Ok(ToolChoice::Required),
        (_, Some(name)) => Ok(ToolChoice::Named(name.to_owned())),
        _ => Err(GatewayError::invalid(
            "`tool_choice` must be auto, none, required or one named function for the model in use.",
            Some("tool_choice"),
        )),
    }
}

fn stop(value: Value) -> Result<Vec<String>, GatewayError> {
    match value {
        Value::String(text) => Ok(vec![text]),
        list => typed(Some(list), "stop", "a text or a list of texts").map(Option::unwrap_or_default),
    }
}

fn format(mut value: Value) -> Result<Format, GatewayError> {
    match value["type"].as_str() {
        Some("text") => return Ok(Format::Text),
        Some("json_object") => return Ok(Format::JsonObject),
        Some("json_schema") => {}
        _ => {
            let message = "`response_format.type` must be text, json_object or json_schema.";
            return Err(GatewayError::invalid(message, Some("response_format")));
        }
    }
    let mut wanted = value["json_schema"].take();
    match (wanted["name"].as_str().map(str::to_owned), wanted["schema"].take()) {
        (Some(name), schema @ Value::Object(_)) => {
            Ok(Format::JsonSchema { name, schema, strict: wanted["strict"].as_bool() })
        }
        _ => Err(GatewayError::invalid(
            "`response_format.json_schema` must hold a `name` and a `schema`.",
            Some("response_format"),
        )),
    }
}
