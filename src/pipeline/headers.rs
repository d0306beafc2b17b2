//! The head that every reply of a run carries, answers and refusals alike.

use crate::domain::limit::{DAY_MS, HOUR_MS, Limit, LimitView, Period, Unit, Window};

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

/// `RateLimit` fields for every limit on requests, tokens and concurrent runs that bound the call, and the older names
/// for its tightest limits on requests and tokens.
pub(super) fn limits(views: &[LimitView], now_ms: u64, headers: &mut Vec<(&'static str, String)>) {
    let shown = views.iter().filter(|view| !view.unit().is_money() && view.unit() != Unit::Identical);
    fields(shown, now_ms, headers);
    for (unit, [limit, remaining, reset]) in OLDER {
        let of_unit = views.iter().filter(|view| view.unit() == unit);
        let Some(tightest) = of_unit.min_by_key(|view| view.remaining()) else { continue };
        headers.push((limit, tightest.max().to_string()));
        headers.push((remaining, tightest.remaining().to_string()));
        headers.push((reset, format!("{}s", seconds(tightest, now_ms))));
    }
}

/// The limit that refused a call: `RateLimit` fields in every unit, money in micro-dollars.
pub(super) fn refused(view: &LimitView, now_ms: u64, headers: &mut Vec<(&'static str, String)>) {
    match view.unit() {
        Unit::Usd | Unit::SpendRate | Unit::Identical => fields(std::iter::once(view), now_ms, headers),
        Unit::Requests | Unit::Tokens | Unit::Concurrent => limits(std::slice::from_ref(view), now_ms, headers),
    }
}

const OLDER: [(Unit, [&str; 3]); 2] = [
    (Unit::Requests, ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]),
    (Unit::Tokens, ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]),
];

/// `RateLimit-Policy` and `RateLimit`, one item for each view.
fn fields<'a>(views: impl Iterator<Item = &'a LimitView>, now_ms: u64, headers: &mut Vec<(&'static str, String)>) {
    let (mut names, mut policies, mut states) = (Vec::new(), Vec::new(), Vec::new());
    for view in views {
        let Limit { scope, quota, .. } = &view.limit;
        let mut name = format!("{scope}-{}", quota.unit.guard().unwrap_or(quota.unit.as_str()));
        if names.contains(&name) {
            // Two windows of one kind: the policy's name must tell them apart.
            name = format!("{name}-{}", quota.window);
        }
        // Structured fields hold integers of 15 digits at most, and nano-dollars may need 16.
        let (quota_unit, scale) = match quota.unit {
            Unit::Usd | Unit::SpendRate => (";qu=\"micro-usd\"", 1_000),
            Unit::Tokens => (";qu=\"tokens\"", 1),
            Unit::Concurrent => (";qu=\"concurrent-requests\"", 1),
            Unit::Requests | Unit::Identical => ("", 1),
        };
        let window = window_seconds(&quota.window).map(|w| format!(";w={w}")).unwrap_or_default();
        let reset = match quota.window {
            Window::Open => String::new(),
            _ => format!(";t={}", seconds(view, now_ms)),
        };
        policies.push(format!("\"{name}\";q={}{quota_unit}{window}", view.max() / scale));
        states.push(format!("\"{name}\";r={}{reset}", view.remaining() / scale));
        names.push(name);
    }
    if !names.is_empty() {
        headers.push(("ratelimit-policy", policies.join(", ")));
        headers.push(("ratelimit", states.join(", ")));
    }
}

fn seconds(view: &LimitView, now_ms: u64) -> u64 {
    view.resets_at_ms.saturating_sub(now_ms).div_ceil(1_000)
}

/// None where the length varies, or there is none.
fn window_seconds(window: &Window) -> Option<u64> {
    match window {
        Window::Sliding { ms } => Some(ms.div_ceil(1_000)),
        Window::Calendar(Period::Hour, _) => Some(HOUR_MS / 1_000),
        Window::Calendar(Period::Day, _) => Some(DAY_MS / 1_000),
        Window::Calendar(Period::Month, _) | Window::Open => None,
    }
}
