//! Tools that the client offers, and which of them the model must use.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::object::{Object, WrongType};
use crate::domain::chat::{Tool, ToolChoice};
use crate::domain::error::GatewayError;

pub(super) fn offered(raw: &str, extra: &mut Map<String, Value>) -> Result<Vec<Tool>, GatewayError> {
    let list: Vec<&RawValue> = serde_json::from_str(raw)
        .map_err(|_| GatewayError::invalid("`tools` must be a list of tools.", Some("tools")))?;
    list.iter().enumerate().map(|(at, raw)| tool(at, raw.get(), extra)).collect()
}

fn tool(at: usize, raw: &str, extra: &mut Map<String, Value>) -> Result<Tool, GatewayError> {
    let refuse = |what: &str| GatewayError::invalid(format!("tools[{at}] {what}."), Some(&format!("tools[{at}]")));
    let wrong = |_: WrongType| refuse("must be an object with a `name` and an `input_schema`");
    let mut tool = Object::read(raw).map_err(wrong)?;
    let kind: Option<String> = tool.take("type").map_err(wrong)?;
    if let Some(kind) = kind.filter(|kind| kind != "custom") {
        // Tools that run at the provider, or whose schema only its models know.
        let kind: String = kind.chars().take(40).collect();
        return Err(refuse(&format!("has type `{kind}`; the model in use takes custom tools only")));
    }
    let name = tool.text("name").map_err(wrong)?;
    if name.is_empty() {
        return Err(refuse("needs a `name`"));
    }
    let offered = Tool {
        name,
        description: tool.take("description").map_err(wrong)?,
        parameters: tool
            .take("input_schema")
            .map_err(wrong)?
            .unwrap_or_else(|| json!({ "type": "object", "properties": {} })),
        strict: tool.take("strict").map_err(wrong)?,
    };
    tool.left_over("tools", extra);
    Ok(offered)
}

/// The choice, and whether calls may come in parallel where the client said so.
pub(super) fn choice(raw: &str) -> Result<(Option<ToolChoice>, Option<bool>), GatewayError> {
    let refuse = || {
        let message = "`tool_choice` must have the type auto, any, none, or tool with a `name`.";
        GatewayError::invalid(message, Some("tool_choice"))
    };
    let wrong = |_: WrongType| refuse();
    let mut asked = Object::read(raw).map_err(wrong)?;
    let one_at_a_time: Option<bool> = asked.take("disable_parallel_tool_use").map_err(wrong)?;
    let name: Option<String> = asked.take("name").map_err(wrong)?;
    let choice = match (asked.text("type").map_err(wrong)?.as_str(), name) {
        ("auto", _) => ToolChoice::Auto,
        ("any", _) => ToolChoice::Required,
        ("none", _) => ToolChoice::None,
        ("tool", Some(name)) => ToolChoice::Named(name),
        _ => return Err(refuse()),
    };
    Ok((Some(choice), one_at_a_time.filter(|one| *one).map(|_| false)))
}
