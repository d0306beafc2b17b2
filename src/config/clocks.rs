//! `timeouts`, `retry`, `breaker`, `background`.

use std::time::Duration;

use super::parsed::{Background, Breaker, Retry, RetryBudget, Timeouts};
use super::read::Section;

const LONGEST: Duration = Duration::from_secs(24 * 3_600);
const LONGEST_KEPT: Duration = Duration::from_secs(31 * 24 * 3_600);

pub(super) fn timeouts(root: &Section<'_>) -> Timeouts {
    let section = root.section(
        "timeouts",
        &[
            "connect",
            "headers",
            "first_content",
            "idle",
            "total",
            "head_hold",
            "keep_alive",
            "write",
            "client_headers",
            "client_body",
            "client_idle",
        ],
    );
    let read = |key, seconds| section.duration_or(key, LONGEST, Duration::from_secs(seconds));
    Timeouts {
        connect: read("connect", 3),
        headers: read("headers", 30),
        first_content: read("first_content", 60),
        idle: read("idle", 30),
        total: read("total", 600),
        head_hold: read("head_hold", 10),
        keep_alive: read("keep_alive", 15),
        write: read("write", 30),
        client_headers: read("client_headers", 10),
        client_body: read("client_body", 30),
        client_idle: read("client_idle", 75),
    }
}

pub(super) fn retry(root: &Section<'_>) -> Retry {
    let section = root.section("retry", &["attempts", "max_wait", "budget"]);
    let budget = section.section("budget", &["percent", "per_second"]);
    let calls = |key, usual| budget.get(key).and_then(|field| field.small(0, 1_000_000)).unwrap_or(usual);
    Retry {
        attempts: section.get("attempts").and_then(|field| field.small(1, 10)).unwrap_or(3),
        max_wait: section.duration_or("max_wait", LONGEST, Duration::from_secs(10)),
        budget: RetryBudget { percent: calls("percent", 20), per_second: calls("per_second", 10) },
    }
}

pub(super) fn breaker(root: &Section<'_>) -> Breaker {
    let section = root.section("breaker", &["errors", "open"]);
    Breaker {
        errors: section.get("errors").and_then(|field| field.small(1, 1_000)).unwrap_or(5),
        open: section.duration_or("open", LONGEST, Duration::from_secs(30)),
    }
}

pub(super) fn background(root: &Section<'_>) -> Background {
    let section = root.section("background", &["timeout", "concurrency", "poison_limit", "keep_results"]);
    Background {
        timeout: section.duration_or("timeout", LONGEST_KEPT, Duration::from_secs(3_600)),
        concurrency: section.get("concurrency").and_then(|field| field.small(1, 10_000)).unwrap_or(64),
        poison_limit: section.get("poison_limit").and_then(|field| field.small(1, 1_000)).unwrap_or(3),
        keep_results: section.duration_or("keep_results", LONGEST_KEPT, Duration::from_secs(24 * 3_600)),
    }
}
