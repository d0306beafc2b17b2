//! The light decode: top-level fields and the heads of items, so that a call that is passed on costs microseconds.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialects::fields::{self, MAX_CAP_TOKENS, wrong};
use crate::dialects::{Decoded, Keeping, heads};

use crate::domain::error::GatewayError;
use crate::domain::json::Field;

/// Who may speak.
const ROLES: &[&str] = &["user", "assistant", "system", "developer"];

/// Fields that decide what a call may cost or where it goes: none may be read two ways.
const DECIDING: &[&str] = &[
    "input",
    "instructions",
    "model",
    "stream",
    "max_output_tokens",
    "tools",
    "tool_choice",
    "metadata",
    "user",
    "temperature",
    "top_p",
    "store",
    "background",
    "previous_response_id",
    "conversation",
    "prompt",
    "service_tier",
];

/// Values that never reach the model. Everything else is counted as input, unknown fields included.
const UNBILLED: &[&str] = &[
    "model",
    "stream",
    "stream_options",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "user",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "store",
    "background",
    "previous_response_id",
    "service_tier",
    "parallel_tool_calls",
    "reasoning",
    "truncation",
    "include",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
];

pub(super) fn decode(body: Bytes) -> Result<Decoded, GatewayError> {
    let call = countable(body)?;
    if call.message_count == 0 {
        return Err(GatewayError::invalid("`input` is missing; send a text or a list of items.", Some("input")));
    }
    Ok(call)
}

/// A call whose input alone matters.
pub(in crate::dialects) fn countable(body: Bytes) -> Result<Decoded, GatewayError> {
    let fields = fields::read(&body)?;
    if let Some((clean, dropped)) = fields::without_routing(&fields) {
        return Ok(Decoded { dropped, ..countable(clean)? });
    }
    fields::refuse_ambiguous(&fields, DECIDING)?;
    // This format always says it.
    let mut call = Decoded { include_usage: true, ..Decoded::of(body.clone()) };
    let mut keeping = Keeping { previous_response_id: None, store: true, background: false };
    for field in &fields {
        if !UNBILLED.contains(&field.name.as_ref()) {
            call.billed.push(field.span.clone());
        }
        take(field, &mut call, &mut keeping)?;
    }
    if call.model.is_none() {
        return Err(GatewayError::invalid("`model` is missing; name a tier or a model.", Some("model")));
    }
    call.keeping = Some(keeping);
    Ok(call)
}

/// Takes one field into `call`. A null is an absent field, but its place is kept.
fn take(field: &Field<'_>, call: &mut Decoded, keeping: &mut Keeping) -> Result<(), GatewayError> {
    let span = || Some(field.span.clone());
    let name = field.name.as_ref();
    match name {
        "model" => call.owned.model = span(),
        "max_output_tokens" => call.owned.max_output_tokens = span(),
        "stream" => call.owned.stream = span(),
        _ => {}
    }
    if field.value == "null" {
        return Ok(());
    }
    match name {
        "model" => call.model = Some(fields::model(field)?),
        "input" => input(field, call)?,
        "instructions" => _ = fields::text(field)?,
        "stream" => call.stream = fields::flag(field)?,
        "max_output_tokens" => call.max_tokens = Some(fields::whole(field, MAX_CAP_TOKENS)?),
        "temperature" | "top_p" | "presence_penalty" | "frequency_penalty" => fields::number(field)?,
        "tools" => call.has_tools = fields::holds_any(field)?,
        "metadata" => call.metadata = fields::texts(field)?,
        "user" => call.user = Some(fields::text(field)?),
        "store" => keeping.store = fields::flag(field)?,
        "background" => keeping.background = fields::flag(field)?,
        "previous_response_id" => keeping.previous_response_id = Some(fields::text(field)?),
        // What is not in the body can't be counted, and what can't be counted can't be limited.
        "conversation" => return Err(elsewhere(name, "a conversation kept at a provider; send it in `input`")),
        "prompt" => return Err(elsewhere(name, "a template kept at a provider; send its text in `instructions`")),
        _ => {}
    }
    Ok(())
}

fn elsewhere(name: &str, what: &str) -> GatewayError {
    GatewayError::invalid(format!("`{name}` names {what}."), Some(name))
}

#[derive(Deserialize)]
struct ItemHead<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    output: Option<&'a RawValue>,
}

/// One text, or a list of items.
fn input(field: &Field<'_>, call: &mut Decoded) -> Result<(), GatewayError> {
    if field.value.starts_with('"') {
        call.message_count = 1;
        return Ok(());
    }
    let list = Some(field.value).filter(|value| value.starts_with('['));
    let items: Vec<ItemHead<'_>> = list
        .and_then(|list| serde_json::from_str(list).ok())
        .ok_or_else(|| wrong(field, "a text or a list of items"))?;
    call.message_count = u32::try_from(items.len()).unwrap_or(u32::MAX);
    for (at, item) in items.iter().enumerate() {
        let refuse = |what: &str, place: &str| {
            Err(GatewayError::invalid(format!("input[{at}]{place} {what}."), Some(&format!("input[{at}]{place}"))))
        };
        match (item.kind.as_deref(), item.role.as_deref()) {
            (Some("item_reference"), _) => return refuse("refers to an item that is not kept here; send the item", ""),
            (None | Some("message"), None) => return refuse("must have a `type`, or a `role`", ""),
            (None | Some("message"), Some(role)) if !ROLES.contains(&role) => {
                return refuse(&format!("must be one of {}", ROLES.join(", ")), ".role");
            }
            _ => {}
        }
        let parts = heads::parts(item.content).and_then(|parts| Ok((parts, heads::parts(item.output)?)));
        let Ok((content, output)) = parts else { return refuse("must hold parts with one `type` each", ".content") };
        for part in content.iter().chain(&output) {
            match part.kind.as_ref() {
                "input_image" => {
                    call.has_images = true;
                    call.media_count += 1;
                }
                "input_file" | "input_audio" | "input_video" => call.media_count += 1,
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
