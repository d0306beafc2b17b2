//! The head that every reply of a run carries, answers and refusals alike.

use crate::domain::limit::{LimitView, Quota};

use super::run::{Run, unix_ms};

/// Longest list of names, in bytes: some clients refuse a head above 8 KiB.
const LONGEST_LIST: usize = 2_048;

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
        headers.push(("x-headgate-dropped", names(&run.dropped)));
    }
    limits(&run.limits, unix_ms(), &mut headers);
    headers
}

/// A list of names, some of which the client chose: percent-encoded where they are no visible ASCII, `...` for those
/// that don't fit.
fn names(names: &[String]) -> String {
    let mut list = String::new();
    for name in names {
        let separator = if list.is_empty() { "" } else { ", " };
        let encoded = encoded(name);
        if list.len() + encoded.len() > LONGEST_LIST {
            return list + separator + "...";
        }
        list.push_str(separator);
        list.push_str(&encoded);
    }
    list
}

fn encoded(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b',' | b'%' => format!("%{byte:02X}"),
        _ if byte.is_ascii_graphic() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(byte).collect()
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
