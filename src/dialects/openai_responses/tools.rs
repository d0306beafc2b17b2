//! Tools that the client offers, and which of them the model must use.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::chat::{Tool, ToolChoice};
use crate::domain::error::GatewayError;

pub(super) fn offered(value: Value) -> Result<Vec<Tool>, GatewayError> {
    let Value::Array(list) = value else {
        return Err(GatewayError::invalid("`tools` must be a list of tools.", Some("tools")));
    };
    list.into_iter().enumerate().map(|(at, value)| tool(at, value)).collect()
}

fn tool(at: usize, value: Value) -> Result<Tool, GatewayError> {
    #[derive(Deserialize)]
    struct Function {
        name: String,
        description: Option<String>,
        parameters: Option<Value>,
        strict: Option<bool>,
    }
    let refuse = |what: &str| GatewayError::invalid(format!("tools[{at}] {what}."), Some(&format!("tools[{at}]")));
    if value["type"] != "function" {
        let kind: String = value["type"].as_str().unwrap_or_default().chars().take(40).collect();
        return Err(refuse(&format!("has type `{kind}`; the model in use takes tools of type `function` only")));
    }
    let function: Function =
        serde_json::from_value(value).map_err(|_| refuse("must have a `name` and `parameters` in JSON Schema"))?;
    Ok(Tool {
        name: function.name,
        description: function.description,
        parameters: function.parameters.unwrap_or_else(|| json!({ "type": "object", "properties": {} })),
        strict: function.strict,
    })
}

/// The choice. Tools that are offered and not allowed leave the list: other formats have no word for the difference.
pub(super) fn choice(value: &Value, tools: &mut Vec<Tool>) -> Result<ToolChoice, GatewayError> {
    let word = |value: &Value| match value.as_str() {
        Some("auto") => Some(ToolChoice::Auto),
        Some("none") => Some(ToolChoice::None),
        Some("required") => Some(ToolChoice::Required),
        _ => None,
    };
    let named = |value: &Value| value["name"].as_str().filter(|_| value["type"] == "function").map(str::to_owned);
    let allowed = value["tools"].as_array().filter(|_| value["type"] == "allowed_tools");
    let choice = match allowed {
        Some(allowed) => {
            let allowed: Vec<String> = allowed.iter().filter_map(named).collect();
            tools.retain(|tool| allowed.contains(&tool.name));
            word(&value["mode"])
        }
        None => word(value).or_else(|| named(value).map(ToolChoice::Named)),
    };
    choice.ok_or_else(|| {
        let message = "`tool_choice` must be auto, none, required, allowed_tools or one named function for the model \
                       in use.";
        GatewayError::invalid(message, Some("tool_choice"))
    })
}
