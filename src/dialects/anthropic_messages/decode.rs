//! The light decode: top-level fields only, so that a call that is passed on costs microseconds.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::unreadable::{self, Cut};
use crate::dialects::Decoded;
use crate::dialects::fields::{self, MAX_CAP_TOKENS, wrong};
use crate::dialects::heads::{self, Heads, PartHead};

use crate::domain::error::GatewayError;
use crate::domain::json::Field;

/// Who may speak. `system` in the middle of a dialogue is the newest of them.
const ROLES: &[&str] = &["user", "assistant", "system"];

/// Fields that decide what a call may cost or where it goes: none may be read two ways.
const DECIDING: &[&str] = &[
    "messages",
    "model",
    "stream",
    "max_tokens",
    "system",
    "tools",
    "tool_choice",
    "metadata",
    "thinking",
    "output_config",
    "service_tier",
    "temperature",
    "top_p",
    "top_k",
];

/// Values that never reach the model. Everything else is counted as input, unknown fields included.
const UNBILLED: &[&str] = &[
    "model",
    "stream",
    "max_tokens",
    "metadata",
    "thinking",
    "service_tier",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "cache_control",
    "container",
    "inference_geo",
    "speed",
];

pub(super) fn decode(body: Bytes) -> Result<Decoded, GatewayError> {
    let call = countable(body)?;
    if call.max_tokens.is_none() {
        let message = "`max_tokens` is missing; say how many tokens the answer may have at most.";
        return Err(GatewayError::invalid(message, Some("max_tokens")));
    }
    Ok(call)
}

/// The call without what other providers' answers brought into it; none when it has nothing of the kind.
pub(super) fn without_foreign(call: &Decoded) -> Option<Decoded> {
    let Cut { body, dropped } = unreadable::cut_foreign(&call.body)?;
    Some(Decoded { dropped, ..countable(body).ok()? })
}

/// A call whose input alone matters.
pub(in crate::dialects) fn countable(body: Bytes) -> Result<Decoded, GatewayError> {
    let fields = fields::read(&body)?;
    if let Some((clean, dropped)) = fields::without_routing(&fields) {
        let mut call = countable(clean)?;
        call.dropped.splice(0..0, dropped);
        return Ok(call);
    }
    fields::refuse_ambiguous(&fields, DECIDING)?;
    if let Some(Cut { body, dropped }) = unreadable::cut_unsigned(&body, &fields) {
        return Ok(Decoded { dropped, ..countable(body)? });
    }
    // This format always says it.
    let mut call = Decoded { include_usage: true, ..Decoded::of(body.clone()) };
    for field in &fields {
        if !UNBILLED.contains(&field.name.as_ref()) {
            call.billed.push(field.span.clone());
        }
        take(field, &mut call)?;
    }
    fields::require_model_and_messages(&call)?;
    Ok(call)
}

/// Takes one field into `call`. A null is an absent field, but its place is kept.
fn take(field: &Field<'_>, call: &mut Decoded) -> Result<(), GatewayError> {
    let span = || Some(field.span.clone());
    let name = field.name.as_ref();
    match name {
        "model" => call.owned.model = span(),
        "max_tokens" => call.owned.max_tokens = span(),
        "stream" => call.owned.stream = span(),
        _ => {}
    }
    if field.value == "null" {
        return Ok(());
    }
    match name {
        "model" => call.model = Some(fields::model(field)?),
        "messages" => {
            let heads = heads::read(field.value, ROLES, count_media)?;
            call.message_count = heads.count;
            call.has_images = heads.has_images;
            call.media_count = heads.media_count;
        }
        "system" => system(field)?,
        "stream" => call.stream = fields::flag(field)?,
        "max_tokens" => call.max_tokens = Some(fields::whole(field, MAX_CAP_TOKENS)?),
        "temperature" | "top_p" | "top_k" => fields::number(field)?,
        "tools" => call.has_tools = fields::holds_any(field)?,
        "metadata" => {
            call.metadata = fields::texts(field)?;
            call.user = call.metadata.get("user_id").cloned();
        }
        _ => {}
    }
    Ok(())
}

/// One text, or a list of text blocks.
fn system(field: &Field<'_>) -> Result<(), GatewayError> {
    let is_text = field.value.starts_with('"');
    let blocks = || {
        let raw = serde_json::from_str::<&RawValue>(field.value).ok()?;
        heads::parts(Some(raw)).ok().filter(|_| field.value.starts_with('['))
    };
    let are_texts = || blocks().is_some_and(|blocks| blocks.iter().all(|block| block.kind == "text"));
    if is_text || are_texts() { Ok(()) } else { Err(wrong(field, "a text or a list of text blocks")) }
}

fn count_media(part: &PartHead<'_>, heads: &mut Heads) -> Result<(), serde_json::Error> {
    match part.kind.as_ref() {
        "image" => {
            heads.media_count += 1;
            heads.has_images = true;
        }
        "document" | "container_upload" => heads.media_count += 1,
        "tool_result" => {
            for inner in heads::parts(part.content)?.iter().filter(|inner| inner.kind != "tool_result") {
                count_media(inner, heads)?;
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
