//! Tools that the page offers and runs by itself.

use serde_json::{Map, Value, json};

use crate::dialects::fields::wrong;
use crate::domain::chat::{Tool, ToolChoice};
use crate::domain::error::GatewayError;
use crate::domain::json::Field;

/// Tools by their name, as the SDK holds them, or in a list.
pub(super) fn offered(raw: &str) -> Result<Vec<Tool>, GatewayError> {
    match serde_json::from_str(raw) {
        Ok(Value::Object(named)) => named.into_iter().map(|(name, tool)| offer(Some(name), tool)).collect(),
        Ok(Value::Array(list)) => list.into_iter().map(|tool| offer(None, tool)).collect(),
        _ => Err(refuse("`tools` must be an object of tools by their name")),
    }
}

fn offer(name: Option<String>, tool: Value) -> Result<Tool, GatewayError> {
    let Value::Object(mut tool) = tool else { return Err(refuse("Each of `tools` must be an object")) };
    let text = |tool: &Map<String, Value>, name: &str| tool.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some(name) = name.or_else(|| text(&tool, "name")).filter(|name| !name.is_empty()) else {
        return Err(refuse("Each of `tools` needs a name"));
    };
    let schema = tool.remove("inputSchema").or_else(|| tool.remove("parameters"));
    let parameters = schema.map_or_else(|| json!({ "type": "object", "properties": {} }), json_schema);
    if !parameters.is_object() {
        let name: String = name.chars().take(64).collect();
        return Err(refuse(&format!("The `inputSchema` of the tool `{name}` must be a JSON Schema")));
    }
    let strict = tool.get("strict").and_then(Value::as_bool);
    Ok(Tool { description: text(&tool, "description"), parameters, strict, name })
}

/// `jsonSchema(…)` of the SDK, sent as it is, holds the schema in a field of its own.
fn json_schema(mut schema: Value) -> Value {
    match schema.get_mut("jsonSchema") {
        Some(inner @ Value::Object(_)) => inner.take(),
        _ => schema,
    }
}

fn refuse(what: &str) -> GatewayError {
    GatewayError::invalid(format!("{what}."), Some("tools"))
}

pub(super) fn choice(field: &Field<'_>) -> Result<ToolChoice, GatewayError> {
    let asked: Value = serde_json::from_str(field.value).unwrap_or_default();
    match (asked.as_str(), asked["toolName"].as_str()) {
        (Some("auto"), _) => Ok(ToolChoice::Auto),
        (Some("none"), _) => Ok(ToolChoice::None),
        (Some("required"), _) => Ok(ToolChoice::Required),
        (None, Some(name)) => Ok(ToolChoice::Named(name.to_owned())),
        _ => Err(wrong(field, "auto, none, required or an object with a `toolName`")),
    }
}
