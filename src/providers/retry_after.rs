//! How long a provider asks us to wait.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};

/// Waits beyond a year are typing errors of somebody.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Where the wait is looked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Looks a header up by its lower-case name.
    pub(super) headers: &'a dyn Fn(&str) -> Option<String>,
    pub(super) now: SystemTime,
    /// Pairs of (requests or tokens left, when they are refilled).
    pub(super) resets: &'a [(&'a str, &'a str)],
}

/// Seconds to wait, fractions kept. Resets of limits count only on a 429 and only for the limit that ran out; the
/// latest of them decides.
pub(super) fn seconds(status: u16, asked: Asked<'_>) -> Option<f64> {
    let header = |name: &str| (asked.headers)(name).map(|value| value.trim().to_owned());
    let plain = |text: String, scale: f64| text.parse::<f64>().ok().and_then(|number| sane(number * scale));
    header("retry-after-ms")
        .and_then(|ms| plain(ms, 1e-3))
        .or_else(|| {
            let text = header("retry-after")?;
            plain(text.clone(), 1.0).or_else(|| until(httpdate::parse_http_date(&text).ok()?, asked.now))
        })
        .or_else(|| {
            let ran_out = |(left, _): &&(&str, &str)| header(left).is_none_or(|left| left == "0");
            let waits = asked.resets.iter().filter(|_| status == 429).filter(ran_out);
            waits.filter_map(|(_, reset)| reset_in(&header(reset)?, asked.now)).reduce(f64::max)
        })
}

/// A reset is a number of seconds, a duration such as `6m0s`, or an instant in RFC 3339.
pub(super) fn reset_in(text: &str, now: SystemTime) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        return sane(number);
    }
    if let Ok(duration) = text.parse::<SignedDuration>() {
        return sane(duration.as_secs_f64());
    }
    until(text.parse::<Timestamp>().ok()?.into(), now)
}

fn until(then: SystemTime, now: SystemTime) -> Option<f64> {
    sane(then.duration_since(now).unwrap_or_default().as_secs_f64())
}

fn sane(seconds: f64) -> Option<f64> {
    (0.0..=LONGEST.as_secs_f64()).contains(&seconds).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESETS: &[(&str, &str)] = &[("left-requests", "reset-requests"), ("left-tokens", "reset-tokens")];

    fn wait(status: u16, headers: &[(&str, &str)]) -> Option<f64> {
        let find = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 10:00:00 GMT").expect("a date");
        seconds(status, Asked { headers: &find, now, resets: RESETS })
    }

    #[test]
    fn seconds_dates_and_milliseconds_are_read() {
        assert_eq!(wait(429, &[("retry-after", "7")]), Some(7.0));
        assert_eq!(wait(503, &[("retry-after", "1.5")]), Some(1.5));
        assert_eq!(wait(429, &[("retry-after", "7"), ("retry-after-ms", "250")]), Some(0.25));
        assert_eq!(wait(429, &[("retry-after", "Tue, 24 Nov 2026 10:01:30 GMT")]), Some(90.0));
        assert_eq!(wait(429, &[("retry-after", "Tue, 24 Nov 2026 09:00:00 GMT")]), Some(0.0), "already over");
    }

    #[test]
    fn nonsense_is_no_wait() {
        for text in ["", "soon", "-5", "NaN", "inf", "1e30"] {
            assert_eq!(wait(429, &[("retry-after", text)]), None, "{text}");
        }
    }

    #[test]
    fn the_limit_that_ran_out_says_when_it_is_refilled() {
        let headers =
            [("left-requests", "3"), ("reset-requests", "1h"), ("left-tokens", "0"), ("reset-tokens", "6m0.5s")];
        assert_eq!(wait(429, &headers), Some(360.5));
        assert_eq!(wait(500, &headers), None, "not a matter of limits");
        let dated = [
            ("left-tokens", "0"),
            ("reset-tokens", "2026-11-24T10:00:12Z"),
            ("left-requests", "0"),
            ("reset-requests", "12ms"),
        ];
        assert_eq!(wait(429, &dated), Some(12.0));
    }
}
