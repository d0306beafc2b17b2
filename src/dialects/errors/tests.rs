use crate::domain::failure::Category;
use crate::domain::limit::{Limit, Quota, Scope};

use super::*;

fn header<'a>(facts: &'a ErrorFacts, name: &str) -> Option<&'a str> {
    facts.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
}

fn budget(retry_after: Duration) -> GatewayError {
    let view = LimitView {
        limit: Limit::new(Scope::User, Quota { unit: Unit::Usd, max: 5_000_000_000, window: Window::DAY }),
        subject: "ada".into(),
        before: 4_980_000_000,
        after: 4_980_000_000,
        resets_at_ms: 1_795_564_800_000,
    };
    GatewayError::BudgetExceeded { view: Box::new(view), asked: NanoUsd::new(30_000_000), retry_after }
}

fn upstream_failure(status: u16, retry_after: Option<Duration>) -> GatewayError {
    GatewayError::Upstream(Box::new(UpstreamError {
        status,
        code: "upstream_failed".into(),
        message: "The provider failed.".into(),
        param: None,
        category: Category::Retryable,
        retry_after,
    }))
}

#[test]
fn a_spent_budget_names_limit_window_use_and_reset_and_is_not_retried() {
    let facts = facts(&budget(Duration::from_secs(40_000)));

    assert_eq!((facts.status, facts.code.as_str()), (402, "budget_exceeded"));
    assert!(facts.message.starts_with("User budget $5 per day reached: $4.98 used"), "{}", facts.message);
    assert!(facts.message.contains("resets at 2026-11-25T00:00:00Z"), "{}", facts.message);
    let limit = Value::Object(facts.limit.clone().expect("limit facts"));
    assert_eq!(
        limit,
        serde_json::json!({
            "scope": "user", "id": "ada", "unit": "usd", "per": "day", "limit_nano": 5_000_000_000u64,
            "used_nano": 4_980_000_000u64, "asked_nano": 30_000_000, "resets_at": "2026-11-25T00:00:00Z"
        })
    );
    assert_eq!((header(&facts, "retry-after"), header(&facts, "x-should-retry")), (None, Some("false")));
}

#[test]
fn a_refusal_that_heals_within_a_minute_says_when_and_rounds_up() {
    let facts = facts(&budget(Duration::from_millis(1_001)));

    assert_eq!(header(&facts, "retry-after"), Some("2"));
    assert_eq!(header(&facts, "retry-after-ms"), Some("1001"));
    assert_eq!(header(&facts, "x-should-retry"), None);
}

fn rate(unit: Unit, max: u64, window: Window, asked: u64) -> GatewayError {
    let view = LimitView {
        limit: Limit::new(Scope::Global, Quota { unit, max, window }),
        subject: String::new(),
        before: 10,
        after: 10,
        resets_at_ms: 1_795_564_800_000,
    };
    GatewayError::RateLimited { view: Box::new(view), asked, retry_after: Duration::from_millis(11_200) }
}

#[test]
fn a_rate_refusal_says_how_long_to_wait() {
    let minute = Window::Sliding { ms: 60_000 };
    let facts = facts(&rate(Unit::Requests, 10, minute, 1));

    assert_eq!((facts.status, facts.code.as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(facts.message, "Global limit of 10 requests per 1m reached; try again in 12 s.");
    assert_eq!(header(&facts, "retry-after"), Some("12"));
}

#[test]
fn a_refusal_says_what_is_counted_and_in_which_calendar() {
    let said = |error: &GatewayError| facts(error).message;
    let berlin: Window = "day@Europe/Berlin".parse().expect("a window");
    assert_eq!(
        said(&rate(Unit::Tokens, 100, berlin.clone(), 95)),
        "Global limit of 100 tokens per day (Europe/Berlin) reached: 10 used or held, this call may take 95; try again \
         in 12 s, or ask for less (max_tokens)."
    );
    assert_eq!(
        said(&rate(Unit::Concurrent, 10, Window::Open, 1)),
        "Global limit of 10 concurrent requests reached; try again when one of them has ended."
    );
    let limit = facts(&rate(Unit::Tokens, 100, berlin, 95)).limit.expect("limit facts");
    assert_eq!(
        Value::Object(limit),
        serde_json::json!({
            "scope": "global", "id": "", "unit": "tokens", "per": "day", "tz": "Europe/Berlin", "limit": 100,
            "used": 10, "asked": 95, "resets_at": "2026-11-25T00:00:00Z"
        })
    );
}

#[test]
fn a_loop_is_told_from_a_busy_moment_and_names_its_guard() {
    let GatewayError::RateLimited { view, retry_after, .. } =
        rate(Unit::Identical, 20, Window::Sliding { ms: 60_000 }, 1)
    else {
        panic!("a rate refusal")
    };
    let facts = facts(&GatewayError::LoopDetected { view, retry_after });
    assert_eq!((facts.status, facts.code.as_str()), (429, "loop_detected"));
    assert!(facts.message.starts_with("This same request was sent more than 20 times in 1m"), "{}", facts.message);
    assert_eq!(facts.limit.expect("limit facts")["guard"], "loop");
}

#[test]
fn a_call_that_is_larger_than_its_limit_is_not_told_to_wait() {
    let facts = facts(&rate(Unit::Tokens, 100, Window::Sliding { ms: 60_000 }, 101));
    assert_eq!(
        facts.message,
        "This call may take 101 tokens, and the global limit is 100 per 1m; ask for less (max_tokens) or shorten the \
         input."
    );
    assert_eq!((header(&facts, "retry-after"), header(&facts, "x-should-retry")), (None, Some("false")));
}

#[test]
fn a_final_upstream_failure_tells_sdks_to_stop_even_where_a_wait_would_help() {
    let soon = facts(&upstream_failure(429, Some(Duration::from_secs(7))));
    assert_eq!((header(&soon, "retry-after"), header(&soon, "x-should-retry")), (Some("7"), Some("false")));

    let late = facts(&upstream_failure(502, Some(Duration::from_secs(3_600))));
    assert_eq!((header(&late, "retry-after"), header(&late, "x-should-retry")), (None, Some("false")));
}

#[test]
fn a_clients_text_is_repeated_in_part_only() {
    let model = "x".repeat(10_000);
    let facts = facts(&GatewayError::ModelNotFound { model, known: vec!["simple".into()] });
    assert!(facts.message.len() < 300);
    assert!(facts.message.ends_with("use one of: simple"));
}
