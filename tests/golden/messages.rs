//! Anthropic's format at the client's side: its requests to every provider, and every provider's answers to it.

use std::time::Duration;

use bytes::Bytes;
use headgate::dialects::ANTHROPIC_MESSAGES;
use headgate::domain::error::{GatewayError, UpstreamError};
use headgate::domain::failure::Category;
use headgate::domain::limit::{Limit, LimitView, Quota, Scope, Unit, Window};
use headgate::domain::money::NanoUsd;
use headgate::providers::{Ask, Passed};
use serde_json::{Value, json};

use super::cases::{each_json, each_stream, one};
use super::{about, encode, provider};

#[test]
fn requests_reach_every_provider_with_the_same_meaning() {
    each_json("messages/requests", "out", |kind, body| {
        let adapter = provider(kind);
        let call = match ANTHROPIC_MESSAGES.decode(Bytes::from(body.to_string())) {
            Ok(call) => call,
            Err(error) => return refused(&error),
        };
        if adapter.wire() == ANTHROPIC_MESSAGES.wire() {
            let passed = Passed {
                body: &call.body,
                owned: &call.owned,
                model: "target-model",
                stream: true,
                max_tokens: Some(256),
                cap_field: "max_tokens",
            };
            let sent = adapter.pass(&passed).expect("it passes");
            return json!({ "passed": String::from_utf8(sent.to_vec()).expect("UTF-8") });
        }
        let ask = Ask { model: "target-model", stream: true, max_tokens: 256, cap_field: "max_completion_tokens" };
        match ANTHROPIC_MESSAGES.chat(&call).and_then(|chat| adapter.encode(&chat, &ask)) {
            Ok(encoded) => {
                let body: Value = serde_json::from_slice(&encoded.body).expect("JSON");
                json!({ "body": body, "dropped": encoded.dropped })
            }
            Err(error) => refused(&error),
        }
    });
}

pub fn refused(error: &GatewayError) -> Value {
    match error {
        GatewayError::InvalidRequest { message, param } => json!({ "refused": message, "param": param }),
        other => json!({ "refused": format!("{other:?}") }),
    }
}

#[test]
fn answers_reach_the_client_with_the_same_meaning() {
    each_json("answers", "messages", |kind, body| match provider(kind).decode(body.to_string().as_bytes()) {
        Ok(reply) => serde_json::from_slice(&ANTHROPIC_MESSAGES.encode(&reply, &about())).expect("JSON"),
        Err(error) => json!({ "no_answer": error.to_string() }),
    });
}

#[test]
fn streams_reach_the_client_with_the_same_meaning() {
    each_stream("streams", "messages", |kind, bytes| encode(ANTHROPIC_MESSAGES, kind, bytes));
}

#[test]
fn every_error_has_a_type_that_clients_know() {
    let rows: Vec<Value> = errors()
        .iter()
        .map(|error| {
            let reply = ANTHROPIC_MESSAGES.error(error, "req_golden");
            let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
            json!({ "status": reply.status, "headers": reply.headers, "body": body })
        })
        .collect();
    one("messages/errors.json", &(serde_json::to_string_pretty(&rows).expect("JSON") + "\n"));
}

/// One of each kind.
fn errors() -> Vec<GatewayError> {
    let view = |quota| {
        let limit = Limit::new(Scope::User, quota);
        Box::new(LimitView { limit, subject: "ada".into(), before: 9, after: 9, resets_at_ms: 1_795_564_800_000 })
    };
    let upstream = |status: u16, code: &str, category: Category, retry_after: Option<u64>| {
        GatewayError::Upstream(Box::new(UpstreamError {
            status,
            code: code.into(),
            message: "What the provider or the policy said.".into(),
            param: None,
            category,
            retry_after: retry_after.map(Duration::from_secs),
        }))
    };
    vec![
        GatewayError::invalid("`max_tokens` is missing.", Some("max_tokens")),
        GatewayError::DuplicateField { field: "model".into() },
        GatewayError::UnsupportedMediaType { message: "Send the body without Content-Encoding.".into() },
        GatewayError::BodyTooLarge { limit_bytes: 1_000 },
        GatewayError::RequestTimeout,
        GatewayError::InvalidApiKey,
        GatewayError::Forbidden { message: "This key may not use the tier complex.".into() },
        GatewayError::RouteNotFound { path: "/v1/message".into() },
        GatewayError::MethodNotAllowed { method: "GET".into(), path: "/v1/messages".into(), allowed: "POST".into() },
        GatewayError::ModelNotFound { model: "gpt-9".into(), known: vec!["standard".into()] },
        GatewayError::UnpricedModel { model: "local/x".into() },
        GatewayError::Denied { status: 403, code: "tier_not_allowed".into(), message: "Upgrade.".into() },
        GatewayError::PolicyFailed { hook: "admission" },
        GatewayError::CostCapExceeded { estimate: NanoUsd::new(2_000_000_000), cap: NanoUsd::new(1_000_000_000) },
        GatewayError::BudgetExceeded {
            view: view(Quota { unit: Unit::Usd, max: 10, window: Window::DAY }),
            asked: NanoUsd::new(5),
            retry_after: Duration::from_secs(40_000),
        },
        GatewayError::RateLimited {
            view: view(Quota { unit: Unit::Requests, max: 9, window: Window::Sliding { ms: 60_000 } }),
            asked: 1,
            retry_after: Duration::from_secs(12),
        },
        GatewayError::StoreUnavailable,
        GatewayError::ShuttingDown,
        upstream(400, "content_policy_violation", Category::UserActionable, None),
        upstream(400, "context_length_exceeded", Category::UserActionable, None),
        upstream(402, "insufficient_quota", Category::Permanent, None),
        upstream(404, "model_not_found", Category::Permanent, None),
        upstream(429, "rate_limit_exceeded", Category::Retryable, Some(7)),
        upstream(502, "upstream_failed", Category::Retryable, Some(1)),
        upstream(502, "upstream_auth", Category::Permanent, None),
        upstream(503, "overloaded", Category::Retryable, Some(5)),
        upstream(504, "upstream_timeout", Category::Retryable, Some(1)),
        GatewayError::Internal,
    ]
}
