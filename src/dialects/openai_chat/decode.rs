//! The light decode: top-level fields only, so that a call that is passed on costs microseconds.

use bytes::Bytes;
use serde::Deserialize;

use crate::dialects::Decoded;
use crate::dialects::fields::{self, MAX_CAP_TOKENS, wrong};
use crate::dialects::heads::{self, Heads, PartHead};

use crate::domain::error::GatewayError;
use crate::domain::json::Field;

/// Answers per call that OpenAI allows.
const MAX_ANSWERS: u64 = 128;

/// Who may speak.
const ROLES: &[&str] = &["developer", "system", "user", "assistant", "tool", "function"];

/// Fields that decide what a call may cost or where it goes: none may be read two ways.
const DECIDING: &[&str] = &[
    "messages",
    "model",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "stream_options",
    "n",
    "best_of",
    "tools",
    "functions",
    "user",
    "metadata",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
];

/// Values that never reach the model. Everything else is counted as input, unknown fields included: a compatible
/// server may put them into the prompt.
const UNBILLED: &[&str] = &[
    "model",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "stream_options",
    "n",
    "best_of",
    "user",
    "metadata",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "stop",
    "seed",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "store",
    "service_tier",
    "parallel_tool_calls",
    "reasoning_effort",
    "verbosity",
    "modalities",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
];

pub(super) fn decode(body: Bytes) -> Result<Decoded, GatewayError> {
    let fields = fields::read(&body)?;
    if let Some((clean, dropped)) = fields::without_routing(&fields) {
        return Ok(Decoded { dropped, ..decode(clean)? });
    }
    fields::refuse_ambiguous(&fields, DECIDING)?;
    let mut call = Decoded::of(body.clone());
    let mut completion_cap = None;
    for field in &fields {
        if !UNBILLED.contains(&field.name.as_ref()) {
            call.billed.push(field.span.clone());
        }
        read(field, &mut call, &mut completion_cap)?;
    }
    call.max_tokens = completion_cap.or(call.max_tokens);
    fields::require_model_and_messages(&call)?;
    Ok(call)
}

/// Takes one field into `call`. A null is an absent field, but its place is kept.
fn read(field: &Field<'_>, call: &mut Decoded, completion_cap: &mut Option<u64>) -> Result<(), GatewayError> {
    let span = || Some(field.span.clone());
    let name = field.name.as_ref();
    match name {
        "model" => call.owned.model = span(),
        "max_tokens" => call.owned.max_tokens = span(),
        "max_completion_tokens" => call.owned.max_completion_tokens = span(),
        "stream" => call.owned.stream = span(),
        "stream_options" => call.owned.stream_options = span(),
        _ => {}
    }
    if field.value == "null" {
        return Ok(());
    }
    match name {
        "model" => {
            call.model = Some(fields::model(field)?);
        }
        "messages" => {
            let heads = heads::read(field.value, ROLES, count_media)?;
            call.message_count = heads.count;
            call.has_images = heads.has_images;
            call.media_count = heads.media_count;
        }
        "stream" => {
            call.stream = fields::flag(field)?;
        }
        "stream_options" => call.include_usage = include_usage(field)?,
        "max_tokens" => call.max_tokens = Some(fields::whole(field, MAX_CAP_TOKENS)?),
        "max_completion_tokens" => *completion_cap = Some(fields::whole(field, MAX_CAP_TOKENS)?),
        "n" | "best_of" => call.n = call.n.max(u32::try_from(fields::whole(field, MAX_ANSWERS)?).unwrap_or(u32::MAX)),
        "temperature" | "top_p" | "presence_penalty" | "frequency_penalty" => fields::number(field)?,
        "tools" | "functions" => {
            call.has_tools |= fields::holds_any(field)?;
        }
        "user" => call.user = Some(fields::text(field)?),
        "metadata" => call.metadata = fields::texts(field)?,
        _ => {}
    }
    Ok(())
}

fn count_media(part: &PartHead<'_>, heads: &mut Heads) -> Result<(), serde_json::Error> {
    match part.kind.as_ref() {
        "text" | "refusal" | "thinking" => {}
        kind => {
            heads.media_count += 1;
            heads.has_images |= kind.contains("image");
        }
    }
    Ok(())
}

fn include_usage(field: &Field<'_>) -> Result<bool, GatewayError> {
    #[derive(Deserialize)]
    struct StreamOptions {
        include_usage: Option<bool>,
    }
    if !field.value.starts_with('{') {
        return Err(wrong(field, "an object"));
    }
    let options: StreamOptions = serde_json::from_str(field.value).map_err(|_| {
        GatewayError::invalid("`stream_options.include_usage` must be true or false.", Some("stream_options"))
    })?;
    Ok(options.include_usage.unwrap_or(false))
}

#[cfg(test)]
mod tests;
