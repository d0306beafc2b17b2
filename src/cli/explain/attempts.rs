//! What each attempt came to.

use crate::domain::record::{AttemptRecord, Outcome, RunRecord};

use super::words::{count, ms, usd};

pub(super) fn tell(record: &RunRecord) -> Option<String> {
    let last = record.attempts.len();
    let line = |(before, attempt): (usize, &AttemptRecord)| {
        let was_cut = record.outcome == Outcome::CutAtHold && before + 1 == last;
        format!("\n  {}. {}", before + 1, attempt_line(attempt, was_cut))
    };
    let lines: String = record.attempts.iter().enumerate().map(line).collect();
    let gave_up = match record.gave_up.as_deref() {
        Some("retry_budget") => "\n  No further one was made: the gateway was making enough retries (`retry.budget`).",
        _ => "",
    };
    (last > 0).then(|| format!("Attempts{lines}{gave_up}"))
}

fn attempt_line(attempt: &AttemptRecord, was_cut: bool) -> String {
    let key = attempt.key.map(|key| format!(" with key {key} of the provider")).unwrap_or_default();
    let waited = if attempt.wait_ms > 0 { format!(" after a wait of {}", ms(attempt.wait_ms)) } else { String::new() };
    let took = ms(attempt.ms);
    let ended = match (attempt.error.as_deref(), attempt.status) {
        (None, _) if was_cut => format!("was cut off after {took}"),
        (None, _) => format!("answered in {took}"),
        (Some("client_gone"), _) => format!("was stopped after {took}, when the client left"),
        (Some(error), Some(status)) => format!("failed after {took} with HTTP {status} ({error})"),
        (Some(error), None) => format!("failed after {took} ({error})"),
    };
    let class = attempt.class.as_ref().map(|class| format!(", judged {class}")).unwrap_or_default();
    let usage = attempt.usage;
    let tokens = if usage.total() == 0 {
        "no tokens".to_owned()
    } else {
        format!("{} in and {} out", count(usage.total_input(), "token"), count(usage.output, "token"))
    };
    let cached = if usage.cache_read > 0 { format!(" ({} from the cache)", usage.cache_read) } else { String::new() };
    let cost = usd(attempt.cost_pico.div_ceil(1_000));
    let counted = if attempt.estimated { ", by the gateway's own count" } else { "" };
    format!("{}{key}{waited} {ended}{class}: {tokens}{cached}, {cost}{counted}", attempt.target)
}
