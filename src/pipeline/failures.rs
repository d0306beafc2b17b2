//! From what broke to what it means: failures of attempts, judged by the `errors` policy.

use std::time::Duration;

use crate::config::Provider;
use crate::domain::chat::InBandError;
use crate::domain::error::{GatewayError, UpstreamError};
use crate::domain::failure::{Category, ErrorVerdict, Failure, Phase};
use crate::egress::{BodyError, SendError};
use crate::providers::{DecodeError, FailureParts};

use super::route::Step;

/// A `Retry-After` above this is never sent: some SDKs really sleep that long.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

fn blank(step: &Step, phase: Phase, message: String) -> Failure {
    Failure {
        provider: step.target.provider.name.to_string(),
        kind: step.target.provider.kind,
        model: step.target.model.to_string(),
        phase,
        status: None,
        code: None,
        error_type: None,
        param: None,
        message: without_keys(&step.target.provider, message),
        retry_after: None,
        timeout: false,
        empty: false,
    }
}

/// Providers quote the key they refuse. Codecs know what keys of well-known vendors look like; only here is known which
/// key was sent. A key of a few letters is a placeholder for a server that asks for none.
fn without_keys(provider: &Provider, mut text: String) -> String {
    for key in provider.api_keys.iter().map(|key| key.secret.expose()) {
        if key.len() >= 8 && text.contains(key) {
            text = text.replace(key, "[key]");
        }
    }
    text
}

/// No response head.
pub(super) fn unsent(step: &Step, error: &SendError) -> Failure {
    let phase = match error {
        SendError::Connect(_) | SendError::Unsendable(_) => Phase::Connect,
        SendError::Broken(_) | SendError::Timeout => Phase::Headers,
    };
    Failure { timeout: matches!(error, SendError::Timeout), ..blank(step, phase, error.to_string()) }
}

/// An HTTP error status.
pub(super) fn status(step: &Step, status: u16, parts: FailureParts) -> Failure {
    Failure {
        status: Some(status),
        code: parts.code,
        error_type: parts.error_type,
        param: parts.param,
        retry_after: parts.retry_after,
        ..blank(step, Phase::Status, parts.message)
    }
}

/// The body of a 200 broke off, stalled or outgrew its cap.
pub(super) fn body(step: &Step, phase: Phase, error: &BodyError) -> Failure {
    Failure { status: Some(200), timeout: matches!(error, BodyError::Timeout), ..blank(step, phase, error.to_string()) }
}

/// A 200 that is no answer.
pub(super) fn undecodable(step: &Step, phase: Phase, error: DecodeError) -> Failure {
    match error {
        DecodeError::InBand(error) => in_band(step, phase, error),
        DecodeError::Malformed(why) => {
            Failure { status: Some(200), ..blank(step, phase, format!("the answer can't be read: {why}")) }
        }
        DecodeError::Empty => empty(step, phase),
    }
}

/// An error inside a 200.
pub(super) fn in_band(step: &Step, phase: Phase, error: InBandError) -> Failure {
    Failure {
        status: Some(200),
        code: error.code,
        error_type: error.error_type,
        param: error.param,
        ..blank(step, phase, error.message)
    }
}

pub(super) fn empty(step: &Step, phase: Phase) -> Failure {
    Failure { status: Some(200), empty: true, ..blank(step, phase, "the answer was empty".to_owned()) }
}

/// The stream ended without its end.
pub(super) fn truncated(step: &Step, phase: Phase) -> Failure {
    Failure { status: Some(200), ..blank(step, phase, "the stream ended in the middle".to_owned()) }
}

/// A word for logs and receipts: the provider's code where it sent one.
pub(super) fn word(failure: &Failure) -> String {
    if failure.timeout {
        return format!("timeout_{}", failure.phase.as_str());
    }
    if let Some(code) = failure.code.as_ref().or(failure.error_type.as_ref()) {
        return code.chars().take(64).collect();
    }
    if failure.empty { "empty".to_owned() } else { failure.phase.as_str().to_owned() }
}

/// The final failure of a run as the caller sees it. What the policy leaves open follows from the category.
pub(super) fn final_error(failure: &Failure, verdict: &ErrorVerdict) -> GatewayError {
    let (status, code) = match verdict.category {
        _ if failure.timeout => (504, "upstream_timeout"),
        _ if failure.empty => (502, "upstream_empty"),
        Category::Retryable if failure.status == Some(429) => (429, "rate_limit_exceeded"),
        Category::Retryable => (502, "upstream_failed"),
        Category::UserActionable => (400, "invalid_request"),
        Category::Permanent => (502, "upstream_failed"),
    };
    let message = verdict.message.clone().unwrap_or_else(|| match verdict.category {
        Category::Retryable => "The model provider is busy or failing. Try again in a moment.".to_owned(),
        Category::UserActionable => failure.message.clone(),
        Category::Permanent => "The model provider refused the call. The operator has to look at it.".to_owned(),
    });
    let retry_after = match verdict.category {
        Category::Retryable => Some(verdict.after.unwrap_or(Duration::from_secs(1)).min(LONGEST_RETRY_AFTER)),
        Category::UserActionable | Category::Permanent => None,
    };
    GatewayError::Upstream(Box::new(UpstreamError {
        status: verdict.status.unwrap_or(status),
        code: verdict.code.clone().unwrap_or_else(|| code.to_owned()),
        message,
        param: failure.param.clone(),
        category: verdict.category,
        retry_after,
    }))
}

/// The body is compressed although we asked for `identity`.
pub(super) fn encoded(step: &Step, status: u16) -> Failure {
    Failure { status: Some(status), ..blank(step, Phase::FirstContent, "the answer is compressed".to_owned()) }
}

/// A 200 of another kind than asked for.
pub(super) fn not_a_stream(step: &Step) -> Failure {
    let message = "a stream was asked for and something else came".to_owned();
    Failure { status: Some(200), ..blank(step, Phase::FirstContent, message) }
}

/// Every target of the plan is cooling or has an open breaker.
pub(super) fn all_resting(until: Duration) -> GatewayError {
    GatewayError::Upstream(Box::new(UpstreamError {
        status: 503,
        code: "upstream_failed".to_owned(),
        message: "All models of this tier are resting after failures. Try again in a moment.".to_owned(),
        param: None,
        category: Category::Retryable,
        retry_after: Some(until.clamp(Duration::from_secs(1), LONGEST_RETRY_AFTER)),
    }))
}

/// A stream event, or what came before the first content, passes its cap.
pub(super) fn oversized(step: &Step, phase: Phase) -> Failure {
    body(step, phase, &BodyError::TooLarge)
}
