//! The light decode: top-level fields only, so that a call that is passed on costs microseconds.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::heads;
use crate::dialects::Decoded;
use crate::domain::chat::OwnedFields;
use crate::domain::error::GatewayError;
use crate::domain::json::{self, Field};

/// The largest output cap that is taken for a number of tokens.
const MAX_CAP_TOKENS: u64 = 10_000_000;

/// Answers per call that OpenAI allows.
const MAX_ANSWERS: u64 = 128;

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

/// Fields that some gateways and client libraries read as routing or credentials. Upstream may be such a gateway.
const ROUTING: &[&str] = &[
    "api_base",
    "api_key",
    "api_keys",
    "api_type",
    "api_version",
    "aws_bedrock_runtime_endpoint",
    "azure_endpoint",
    "base_url",
    "custom_llm_provider",
    "default_headers",
    "default_query",
    "extra_body",
    "extra_headers",
    "extra_query",
    "fallbacks",
    "headers",
    "litellm_params",
    "model_list",
    "organization",
    "proxy",
    "router_settings",
    "user_config",
    "vertex_credentials",
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
    let fields = json::fields(&body).map_err(|e| GatewayError::invalid(format!("{e}; send a JSON object."), None))?;
    if fields.iter().any(is_routing) {
        let (clean, dropped) = without_routing(&fields);
        return Ok(Decoded { dropped, ..decode(clean)? });
    }
    refuse_ambiguous(&fields)?;
    let mut call = Decoded {
        body: body.clone(),
        model: None,
        stream: false,
        max_tokens: None,
        n: 1,
        include_usage: false,
        message_count: 0,
        has_images: false,
        media_count: 0,
        has_tools: false,
        metadata: BTreeMap::new(),
        user: None,
        billed: Vec::with_capacity(4),
        owned: OwnedFields::default(),
        dropped: Vec::new(),
    };
    let mut completion_cap = None;
    for field in &fields {
        if !UNBILLED.contains(&field.name.as_ref()) {
            call.billed.push(field.span.clone());
        }
        read(field, &mut call, &mut completion_cap)?;
    }
    call.max_tokens = completion_cap.or(call.max_tokens);
    if call.model.is_none() {
        return Err(GatewayError::invalid("`model` is missing; name a tier or a model.", Some("model")));
    }
    if call.message_count == 0 {
        return Err(GatewayError::invalid("`messages` is missing; send at least one message.", Some("messages")));
    }
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
            let model = text(field)?;
            if model.trim().is_empty() {
                return Err(GatewayError::invalid("`model` is empty; name a tier or a model.", Some("model")));
            }
            call.model = Some(model);
        }
        "messages" => {
            let heads = heads::read(field.value)?;
            call.message_count = heads.count;
            call.has_images = heads.has_images;
            call.media_count = heads.media_count;
        }
        "stream" => {
            call.stream = match field.value {
                "true" => true,
                "false" => false,
                _ => return Err(wrong(field, "true or false")),
            }
        }
        "stream_options" => call.include_usage = include_usage(field)?,
        "max_tokens" => call.max_tokens = Some(whole(field, MAX_CAP_TOKENS)?),
        "max_completion_tokens" => *completion_cap = Some(whole(field, MAX_CAP_TOKENS)?),
        "n" | "best_of" => call.n = call.n.max(u32::try_from(whole(field, MAX_ANSWERS)?).unwrap_or(u32::MAX)),
        "temperature" | "top_p" | "presence_penalty" | "frequency_penalty" => number(field)?,
        "tools" | "functions" => {
            if !field.value.starts_with('[') {
                return Err(wrong(field, "a list"));
            }
            call.has_tools |= serde_json::from_str::<Vec<&RawValue>>(field.value).is_ok_and(|list| !list.is_empty());
        }
        "user" => call.user = Some(text(field)?),
        "metadata" => call.metadata = metadata(field)?,
        _ => {}
    }
    Ok(())
}

fn text(field: &Field<'_>) -> Result<String, GatewayError> {
    serde_json::from_str(field.value).map_err(|_| wrong(field, "a text"))
}

fn number(field: &Field<'_>) -> Result<(), GatewayError> {
    let is_number = field.value.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    is_number.then_some(()).ok_or_else(|| wrong(field, "a number"))
}

/// A positive whole number, written as one.
fn whole(field: &Field<'_>, max: u64) -> Result<u64, GatewayError> {
    match field.value.parse::<u64>() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(wrong(field, &format!("a whole number from 1 to {max}"))),
    }
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

fn metadata(field: &Field<'_>) -> Result<BTreeMap<String, String>, GatewayError> {
    let all: BTreeMap<String, Value> = serde_json::from_str(field.value).map_err(|_| wrong(field, "an object"))?;
    let texts = all.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        _ => None,
    });
    Ok(texts.collect())
}

fn wrong(field: &Field<'_>, want: &str) -> GatewayError {
    GatewayError::invalid(format!("`{}` must be {want}.", field.name), Some(&field.name))
}

/// A deciding field may stand once, in its own spelling: what we read first a server may read last, and servers in
/// Go take `Max_Tokens` for `max_tokens`.
fn refuse_ambiguous(fields: &[Field<'_>]) -> Result<(), GatewayError> {
    let mut seen = [false; DECIDING.len()];
    for field in fields {
        let name = field.name.as_ref();
        if let Some(at) = DECIDING.iter().position(|known| *known == name) {
            if std::mem::replace(&mut seen[at], true) {
                return Err(GatewayError::DuplicateField { field: name.to_owned() });
            }
        } else if let Some(known) = DECIDING.iter().find(|known| folds_to(name, known)) {
            return Err(GatewayError::invalid(format!("`{name}` must be spelled `{known}`."), Some(known)));
        }
    }
    Ok(())
}

/// Equal but for case, as Unicode folds it (`ſ` is an s, the Kelvin sign a k).
fn folds_to(name: &str, known: &str) -> bool {
    if name.is_ascii() {
        return name.eq_ignore_ascii_case(known);
    }
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).eq(known.chars())
}

fn is_routing(field: &Field<'_>) -> bool {
    ROUTING.iter().any(|known| folds_to(&field.name, known))
}

/// The body without its routing fields, and their names. The values that stay keep their bytes.
fn without_routing(fields: &[Field<'_>]) -> (Bytes, Vec<String>) {
    let (dropped, kept): (Vec<_>, Vec<_>) = fields.iter().partition(|field| is_routing(field));
    let members: Vec<String> =
        kept.iter().map(|field| format!("{}:{}", Value::from(field.name.as_ref()), field.value)).collect();
    let body = format!("{{{}}}", members.join(","));
    (body.into(), dropped.into_iter().map(|field| field.name.to_string()).collect())
}

#[cfg(test)]
mod tests;
