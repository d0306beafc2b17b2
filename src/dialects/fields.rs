//! Top-level fields of a client's body, as every dialect reads them: routing fields go, a field that decides anything
//! stands once and in its own spelling, and values have their type.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dialects::Decoded;
use crate::domain::error::GatewayError;
use crate::domain::json::{self, Field};

/// The largest output cap that is taken for a number of tokens.
pub(super) const MAX_CAP_TOKENS: u64 = 10_000_000;

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

pub(super) fn read(body: &[u8]) -> Result<Vec<Field<'_>>, GatewayError> {
    json::fields(body).map_err(|e| GatewayError::invalid(format!("{e}; send a JSON object."), None))
}

/// What the client wants to be answered by.
pub(super) fn model(field: &Field<'_>) -> Result<String, GatewayError> {
    let model = text(field)?;
    if model.trim().is_empty() {
        return Err(GatewayError::invalid("`model` is empty; name a tier or a model.", Some("model")));
    }
    Ok(model)
}

pub(super) fn flag(field: &Field<'_>) -> Result<bool, GatewayError> {
    match field.value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong(field, "true or false")),
    }
}

/// Whether a list has any members.
pub(super) fn holds_any(field: &Field<'_>) -> Result<bool, GatewayError> {
    if !field.value.starts_with('[') {
        return Err(wrong(field, "a list"));
    }
    Ok(serde_json::from_str::<Vec<&RawValue>>(field.value).is_ok_and(|list| !list.is_empty()))
}

pub(super) fn text(field: &Field<'_>) -> Result<String, GatewayError> {
    serde_json::from_str(field.value).map_err(|_| wrong(field, "a text"))
}

pub(super) fn number(field: &Field<'_>) -> Result<(), GatewayError> {
    let is_number = field.value.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    is_number.then_some(()).ok_or_else(|| wrong(field, "a number"))
}

/// A positive whole number, written as one.
pub(super) fn whole(field: &Field<'_>, max: u64) -> Result<u64, GatewayError> {
    match field.value.parse::<u64>() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(wrong(field, &format!("a whole number from 1 to {max}"))),
    }
}

/// The texts of an object; other values are left out.
pub(super) fn texts(field: &Field<'_>) -> Result<BTreeMap<String, String>, GatewayError> {
    let all: BTreeMap<String, Value> = serde_json::from_str(field.value).map_err(|_| wrong(field, "an object"))?;
    let texts = all.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        _ => None,
    });
    Ok(texts.collect())
}

pub(super) fn wrong(field: &Field<'_>, want: &str) -> GatewayError {
    GatewayError::invalid(format!("`{}` must be {want}.", field.name), Some(&field.name))
}

/// A deciding field may stand once, in its own spelling: what we read first a server may read last, and servers in
/// Go take `Max_Tokens` for `max_tokens`.
pub(super) fn refuse_ambiguous(fields: &[Field<'_>], deciding: &[&str]) -> Result<(), GatewayError> {
    let mut seen = vec![false; deciding.len()];
    for field in fields {
        let name = field.name.as_ref();
        if let Some(at) = deciding.iter().position(|known| *known == name) {
            if std::mem::replace(&mut seen[at], true) {
                return Err(GatewayError::DuplicateField { field: name.to_owned() });
            }
        } else if let Some(known) = deciding.iter().find(|known| folds_to(name, known)) {
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

/// The body without its routing fields, and their names; none when it has no such field. The values that stay keep
/// their bytes.
pub(super) fn without_routing(fields: &[Field<'_>]) -> Option<(Bytes, Vec<String>)> {
    if !fields.iter().any(is_routing) {
        return None;
    }
    let (dropped, kept): (Vec<_>, Vec<_>) = fields.iter().partition(|field| is_routing(field));
    let members: Vec<String> =
        kept.iter().map(|field| format!("{}:{}", Value::from(field.name.as_ref()), field.value)).collect();
    let body = format!("{{{}}}", members.join(","));
    Some((body.into(), dropped.into_iter().map(|field| field.name.to_string()).collect()))
}

/// What no chat call does without, whatever its dialect.
pub(super) fn require_model_and_messages(call: &Decoded) -> Result<(), GatewayError> {
    if call.model.is_none() {
        return Err(GatewayError::invalid("`model` is missing; name a tier or a model.", Some("model")));
    }
    if call.message_count == 0 {
        return Err(GatewayError::invalid("`messages` is missing; send at least one message.", Some("messages")));
    }
    Ok(())
}
