//! Tool calls in a client's history, with their results. A call always gets one: providers refuse a dialogue in which
//! a call is left open, and a page may send one before its tool has answered.

use serde_json::Value;

use super::media;
use super::parts::Place;
use crate::domain::chat::Part;
use crate::domain::error::GatewayError;

/// Told to the model where a page has no result.
const OPEN: &str = "This call was not carried out.";
const DENIED: &str = "The user denied this call.";

/// A call of a page since version 5, and its result by its state. None for one that never arrived whole.
pub(super) fn called(part: &Value, name: &str, place: Place) -> Result<Option<(Part, Part)>, GatewayError> {
    let state = part["state"].as_str().unwrap_or_default();
    if state == "input-streaming" {
        return Ok(None);
    }
    let id = call_id(part, place)?;
    let input = if part["input"].is_null() { &part["rawInput"] } else { &part["input"] };
    let denied = || part["approval"]["reason"].as_str().unwrap_or(DENIED);
    let (content, is_error) = match state {
        "output-available" => (content(&part["output"]), false),
        "output-error" => (content(&part["errorText"]), true),
        "output-denied" => (text(denied()), true),
        "approval-responded" if part["approval"]["approved"] == false => (text(denied()), true),
        _ => (text(OPEN), true),
    };
    let call = Part::ToolCall { id: id.clone(), name: named(name, place)?, arguments: arguments(input) };
    Ok(Some((call, Part::ToolResult { call_id: id, content, is_error })))
}

/// A call of a page of version 4.
pub(super) fn invocation(part: &Value, place: Place) -> Result<Option<(Part, Part)>, GatewayError> {
    let (content, is_error) = match part["state"].as_str().unwrap_or_default() {
        "partial-call" => return Ok(None),
        "result" => (content(&part["result"]), false),
        _ => (text(OPEN), true),
    };
    let result = Part::ToolResult { call_id: call_id(part, place)?, content, is_error };
    Ok(Some((call(part, place)?, result)))
}

/// A call as the SDK itself writes it for a model.
pub(super) fn call(part: &Value, place: Place) -> Result<Part, GatewayError> {
    let name = named(part["toolName"].as_str().unwrap_or_default(), place)?;
    let input = if part["input"].is_null() { &part["args"] } else { &part["input"] };
    Ok(Part::ToolCall { id: call_id(part, place)?, name, arguments: arguments(input) })
}

/// A result as the SDK itself writes it for a model: `result` in version 4, a typed `output` since.
pub(super) fn result(part: &Value, place: Place) -> Result<Part, GatewayError> {
    let call_id = call_id(part, place)?;
    let output = &part["output"];
    let (content, is_error) = match output["type"].as_str() {
        None => (content(&part["result"]), part["isError"] == true),
        Some("content") => (listed(&output["value"], place)?, false),
        Some("execution-denied") => (text(output["reason"].as_str().unwrap_or(DENIED)), true),
        Some(kind) => (content(&output["value"]), kind.starts_with("error")),
    };
    Ok(Part::ToolResult { call_id, content, is_error })
}

/// A result in parts: texts and files.
fn listed(value: &Value, place: Place) -> Result<Vec<Part>, GatewayError> {
    let part = |part: &Value| match part["text"].as_str() {
        Some(said) => Ok(Part::Text(said.to_owned())),
        None => media::file(part, place),
    };
    value.as_array().into_iter().flatten().map(part).collect()
}

fn call_id(part: &Value, place: Place) -> Result<String, GatewayError> {
    let id = part["toolCallId"].as_str().filter(|id| !id.is_empty());
    id.map(str::to_owned).ok_or_else(|| place.refuse("has a tool call without its `toolCallId`"))
}

fn named(name: &str, place: Place) -> Result<String, GatewayError> {
    if name.is_empty() { Err(place.refuse("has a tool call without its `toolName`")) } else { Ok(name.to_owned()) }
}

/// Providers take objects only. What the model wrote instead of one is told by the call's error.
fn arguments(input: &Value) -> String {
    if input.is_object() { input.to_string() } else { "{}".to_owned() }
}

fn text(said: &str) -> Vec<Part> {
    vec![Part::Text(said.to_owned())]
}

/// A tool's own value: texts as they are, others as JSON, nothing for nothing.
fn content(value: &Value) -> Vec<Part> {
    match value {
        Value::Null => Vec::new(),
        Value::String(said) => text(said),
        other => text(&other.to_string()),
    }
}
