//! The head that every reply of a run carries, answers and refusals alike.

use crate::domain::limit::{LimitView, Quota};

use super::run::{Run, unix_ms};

/// Headers of a run's reply.
pub(super) fn of(run: &Run) -> Vec<(&'static str, String)> {
    let mut headers = Vec::with_capacity(16);
    let request_id = || run.call.request_id.clone();
    headers.push(("x-request-id", request_id()));
    headers.extend(run.call.dialect.request_id_header().map(|name| (name, request_id())));
    headers.push(("x-headgate-run", run.call.run.to_string()));
    if !run.tier.is_empty() {
        headers.push(("x-headgate-tier", run.tier.clone()));
    }
    if let Some(last) = run.attempts.last() {
        headers.push(("x-headgate-model", last.target.clone()));
    }
    headers.push(("x-headgate-attempts", run.attempts.len().to_string()));
    if let Some(cap) = run.clamped_to {
        headers.push(("x-headgate-max-tokens", cap.to_string()));
    }
    if !run.dropped.is_empty() {
        headers.push(("x-headgate-dropped", run.dropped.join(", ")));
    }
    limits(&run.limits, unix_ms(), &mut headers);
    headers
}

/// `RateLimit` fields for every limit that bound the call, and the older names for its tightest request limit.
pub(super) fn limits(views: &[LimitView], now_ms: u64, headers: &mut Vec<(&'static str, String)>) {
    let requests = views.iter().filter(|v| matches!(v.limit.quota, Quota::Requests { .. }));
    let Some(tightest) = requests.clone().min_by_key(|v| v.remaining()) else { return };
    let seconds = |view: &LimitView| view.resets_at_ms.saturating_sub(now_ms).div_ceil(1_000);
    let (mut policies, mut states) = (Vec::new(), Vec::new());
    for view in requests {
        let Quota::Requests { max, window_ms } = view.limit.quota else { continue };
        let scope = view.limit.scope;
        policies.push(format!("\"{scope}-requests\";q={max};w={}", window_ms.div_ceil(1_000)));
        states.push(format!("\"{scope}-requests\";r={};t={}", view.remaining(), seconds(view)));
    }
    headers.push(("ratelimit-policy", policies.join(", ")));
    headers.push(("ratelimit", states.join(", ")));
    headers.push(("x-ratelimit-limit-requests", tightest.max().to_string()));
    headers.push(("x-ratelimit-remaining-requests", tightest.remaining().to_string()));
    headers.push(("x-ratelimit-reset-requests", format!("{}s", seconds(tightest))));
}
