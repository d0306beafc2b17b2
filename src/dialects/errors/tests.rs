use crate::domain::failure::Category;
use crate::domain::limit::{Limit, Scope};

use super::*;

fn header<'a>(facts: &'a ErrorFacts, name: &str) -> Option<&'a str> {
    facts.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
}

fn budget(retry_after: Duration) -> GatewayError {
    let view = LimitView {
        limit: Limit { scope: Scope::User, quota: Quota::UsdPerDay { max_nano: 5_000_000_000 } },
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

#[test]
fn a_rate_refusal_says_how_long_to_wait() {
    let view = LimitView {
        limit: Limit { scope: Scope::Global, quota: Quota::Requests { max: 10, window_ms: 60_000 } },
        subject: String::new(),
        before: 10,
        after: 10,
        resets_at_ms: 1_795_564_800_000,
    };
    let error = GatewayError::RateLimited { view: Box::new(view), retry_after: Duration::from_millis(11_200) };
    let facts = facts(&error);

    assert_eq!((facts.status, facts.code.as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(facts.message, "Global limit of 10 requests per 1m reached; try again in 12 s.");
    assert_eq!(header(&facts, "retry-after"), Some("12"));
}

#[test]
fn a_final_upstream_failure_tells_sdks_to_stop_even_where_a_wait_would_help() {
    let soon = facts(&upstream_failure(429, Some(Duration::from_secs(7))));
    assert_eq!((header(&soon, "retry-after"), header(&soon, "x-should-retry")), (Some("7"), Some("false")));

    let late = facts(&upstream_failure(502, Some(Duration::from_secs(3_600))));
    assert_eq!((header(&late, "retry-after"), header(&late, "x-should-retry")), (None, Some("false")));
}

#[test]
fn windows_read_as_config_writes_them() {
    let per = |window_ms| window(&Quota::Requests { max: 1, window_ms });
    assert_eq!([per(60_000), per(90_000), per(3_600_000), per(1_500)], ["1m", "90s", "1h", "1500ms"]);
}

#[test]
fn a_clients_text_is_repeated_in_part_only() {
    let model = "x".repeat(10_000);
    let facts = facts(&GatewayError::ModelNotFound { model, known: vec!["simple".into()] });
    assert!(facts.message.len() < 300);
    assert!(facts.message.ends_with("use one of: simple"));
}
