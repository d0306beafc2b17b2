//! What failures mean when no script says so: the taxonomy of `policies/errors.lua`, without the odd cases.

use std::time::Duration;

use crate::domain::failure::{Category, ErrorVerdict, Failure};

const BUSY_SECONDS: f64 = 5.0;
const COOL_DOWN: Duration = Duration::from_secs(60);

/// Codes and types that say more than the status does.
const WORDS: &[(&str, Class)] = &[
    ("insufficient_quota", Class::Quota),
    ("credit_balance_exhausted", Class::Quota),
    ("organization_spend_limit_exceeded", Class::Quota),
    ("project_spend_limit_exceeded", Class::Quota),
    ("organization_usage_limit_exceeded", Class::Quota),
    ("enforced_spend_limit_reached", Class::Quota),
    ("billing_error", Class::Quota),
    ("invalid_api_key", Class::Auth),
    ("api_key_invalid", Class::Auth),
    ("authentication_error", Class::Auth),
    ("permission_error", Class::Auth),
    ("context_length_exceeded", Class::Context),
    ("exceed_context_size_error", Class::Context),
    ("content_policy_violation", Class::Content),
    ("content_filter", Class::Content),
    // Taken for anything else, these would be asked elsewhere: a way round a safety rule.
    ("moderation_blocked", Class::Content),
    ("responsibleaipolicyviolation", Class::Content),
    ("refusal", Class::Content),
    ("safety", Class::Content),
    ("image_safety", Class::Content),
    ("prohibited_content", Class::Content),
    ("blocklist", Class::Content),
    ("spii", Class::Content),
    ("recitation", Class::Content),
    ("model_not_found", Class::Model),
    ("rate_limit_error", Class::Busy),
    ("overloaded_error", Class::Overloaded),
    ("timeout_error", Class::Timeout),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Busy,
    Quota,
    Overloaded,
    Server,
    Timeout,
    Empty,
    Auth,
    Content,
    Context,
    Model,
    Invalid,
}

pub(super) fn classify(failure: &Failure) -> ErrorVerdict {
    let asked = failure.retry_after.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    let wait = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    let retryable = |after: Option<f64>, status: u16, code: &str, message: &str| ErrorVerdict {
        after: after.and_then(wait),
        next_target: true,
        ..verdict(Category::Retryable, status, code, message)
    };
    match class(failure) {
        Class::Busy => {
            let message = "Busy, retrying… The provider limits requests; try again later.";
            retryable(asked.or(Some(BUSY_SECONDS)), 429, "rate_limit_exceeded", message)
        }
        Class::Overloaded => {
            let message = "The provider is overloaded; try again later.";
            retryable(asked.or(Some(BUSY_SECONDS)), 503, "overloaded", message)
        }
        Class::Server => retryable(asked, 502, "upstream_failed", "Server error, retrying… Try again later."),
        Class::Timeout => retryable(asked, 504, "upstream_timeout", "The provider took too long; try again later."),
        Class::Empty => retryable(asked, 502, "upstream_empty", "The provider sent an empty answer; try again."),
        Class::Quota => ErrorVerdict {
            next_target: true,
            cool_down: Some(COOL_DOWN),
            ..verdict(
                Category::Permanent,
                402,
                "insufficient_quota",
                "The provider's account is out of credit or quota; ask the operator of this gateway to raise it.",
            )
        },
        Class::Auth => ErrorVerdict {
            cool_down: Some(COOL_DOWN),
            ..verdict(
                Category::Permanent,
                502,
                "upstream_auth",
                "Configuration error: the provider refused this gateway's credentials; tell its operator.",
            )
        },
        Class::Content => verdict(
            Category::UserActionable,
            400,
            "content_policy_violation",
            "Blocked by safety filter. Change the prompt and try again.",
        ),
        Class::Context => verdict(
            Category::UserActionable,
            400,
            "context_length_exceeded",
            "The conversation is longer than the model can read; shorten it.",
        ),
        Class::Model => verdict(
            Category::Permanent,
            404,
            "model_not_found",
            "Configuration error: the provider does not know the model; ask for another one.",
        ),
        Class::Invalid => {
            let text = match failure.message.is_empty() {
                true => "The provider refused the request; check its fields.",
                false => &failure.message,
            };
            verdict(Category::Permanent, 400, "invalid_request", text)
        }
    }
}

fn verdict(category: Category, status: u16, code: &str, message: &str) -> ErrorVerdict {
    ErrorVerdict {
        category,
        after: None,
        next_target: false,
        cool_down: None,
        message: Some(message.to_owned()),
        code: Some(code.to_owned()),
        status: Some(status),
    }
}

fn class(failure: &Failure) -> Class {
    if failure.empty {
        return Class::Empty;
    }
    if failure.timeout {
        return Class::Timeout;
    }
    if failure.status == Some(402) {
        return Class::Quota;
    }
    let words = [&failure.code, &failure.error_type];
    let said = words
        .into_iter()
        .flatten()
        .find_map(|word| WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, class)| *class));
    if let Some(class) = said {
        return class;
    }
    match failure.status {
        Some(401 | 403) => Class::Auth,
        Some(404) => Class::Model,
        Some(413) => Class::Context,
        Some(429) => Class::Busy,
        Some(408 | 409 | 425) => Class::Server,
        Some(400 | 422) if failure.message.to_ascii_lowercase().contains("maximum context length") => Class::Context,
        Some(424) => Class::Server,
        Some(400..=499) => Class::Invalid,
        Some(503 | 529) => Class::Overloaded,
        Some(504) => Class::Timeout,
        // A connection that failed, any other 5xx, or an error inside a 200 that says nothing we know.
        _ => Class::Server,
    }
}
