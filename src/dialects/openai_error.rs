//! Errors as both of OpenAI's formats write them.

use serde_json::{Map, Value, json};

use super::ErrorReply;
use super::errors::{self, Class, ErrorFacts};
use crate::domain::error::GatewayError;

pub(super) fn reply(error: &GatewayError) -> ErrorReply {
    let facts = errors::facts(error);
    let body = envelope(&facts).to_string().into();
    ErrorReply {
        status: facts.status,
        code: facts.code,
        headers: facts.headers,
        content_type: "application/json",
        body,
    }
}

pub(super) fn envelope(facts: &ErrorFacts) -> Value {
    let mut error = Map::new();
    error.insert("message".into(), facts.message.as_str().into());
    error.insert("type".into(), error_type(facts.class).into());
    // The published schema wants all four keys, null or not.
    error.insert("param".into(), facts.param.as_deref().into());
    error.insert("code".into(), facts.code.as_str().into());
    if let Some(limit) = &facts.limit {
        error.insert("limit".into(), Value::Object(limit.clone()));
    }
    json!({ "error": error })
}

fn error_type(class: Class) -> &'static str {
    match class {
        Class::InvalidRequest | Class::Authentication | Class::NotFound | Class::TooLarge => "invalid_request_error",
        Class::Permission => "permission_error",
        Class::Quota => "insufficient_quota",
        Class::RateLimit => "rate_limit_error",
        Class::Unavailable => "service_unavailable_error",
        Class::Timeout => "timeout_error",
        Class::Server => "server_error",
    }
}
