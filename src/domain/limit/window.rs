//! The time over which something is counted.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Milliseconds of one hour.
pub const HOUR_MS: u64 = 3_600_000;

/// Milliseconds of one UTC day.
pub const DAY_MS: u64 = 86_400_000;

/// The UTC day that holds `now_ms`, counted from 1970-01-01.
pub fn day_of(now_ms: u64) -> u64 {
    now_ms / DAY_MS
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Window {
    /// From one turn of the calendar to the next.
    Calendar(Period, Zone),
    /// *Any* stretch of that length.
    Sliding { ms: u64 },
    /// As long as a run is open.
    Open,
}

impl Window {
    /// The UTC calendar day.
    pub const DAY: Window = Window::Calendar(Period::Day, Zone(TimeZone::UTC));

    pub fn is_sliding(&self) -> bool {
        matches!(self, Window::Sliding { .. })
    }

    /// As config writes it behind `per`: `day`, `1m`; none for what has no window.
    pub fn per(&self) -> Option<String> {
        match self {
            Window::Calendar(period, _) => Some(period.as_str().to_owned()),
            Window::Sliding { ms } => Some(print_ms(*ms)),
            Window::Open => None,
        }
    }

    /// The time zone of a calendar window that is not UTC's.
    pub fn foreign_zone(&self) -> Option<&str> {
        match self {
            Window::Calendar(_, zone) if !zone.is_utc() => Some(zone.name()),
            _ => None,
        }
    }

    /// The calendar window that holds `at_ms`; none for the others, which have no fixed edges.
    pub fn span(&self, at_ms: u64) -> Option<Span> {
        match self {
            Window::Calendar(period, zone) => Some(period.span(zone, at_ms)),
            Window::Sliding { .. } | Window::Open => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    Hour,
    Day,
    Month,
}

/// From `start_ms` up to but without `end_ms`, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start_ms: u64,
    pub end_ms: u64,
}

impl Period {
    const NAMED: [(&str, Period); 3] = [("hour", Period::Hour), ("day", Period::Day), ("month", Period::Month)];

    pub fn as_str(self) -> &'static str {
        match self {
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Month => "month",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Period::NAMED.iter().find(|(name, _)| *name == text).map(|(_, period)| *period)
    }

    fn span(self, zone: &Zone, at_ms: u64) -> Span {
        let whole = |ms: u64| Span { start_ms: at_ms - at_ms % ms, end_ms: (at_ms - at_ms % ms).saturating_add(ms) };
        match self {
            Period::Hour if zone.is_utc() => whole(HOUR_MS),
            Period::Day if zone.is_utc() => whole(DAY_MS),
            // A date beyond the calendar's end never comes; one window holds all of what is out there.
            _ => self.in_calendar(zone, at_ms).unwrap_or(Span { start_ms: 0, end_ms: u64::MAX }),
        }
    }

    fn in_calendar(self, zone: &Zone, at_ms: u64) -> Option<Span> {
        let at = Timestamp::from_millisecond(i64::try_from(at_ms).ok()?).ok()?.to_zoned(zone.0.clone());
        if self == Period::Hour {
            let time = at.time();
            let minutes = u64::try_from(time.minute()).ok()?;
            let seconds = u64::try_from(time.second()).ok()?;
            let past_ms = (minutes * 60 + seconds) * 1_000 + at_ms % 1_000;
            let start_ms = at_ms.checked_sub(past_ms)?;
            return Some(Span { start_ms, end_ms: start_ms.checked_add(HOUR_MS)? });
        }
        // The first instant of a date: where midnight is skipped, the one behind it.
        let begins = |date: Date| {
            let zoned = date.to_zoned(zone.0.clone()).ok()?;
            u64::try_from(zoned.timestamp().as_millisecond()).ok()
        };
        let (first, last) = match self {
            Period::Month => (at.date().first_of_month(), at.date().last_of_month()),
            Period::Hour | Period::Day => (at.date(), at.date()),
        };
        Some(Span { start_ms: begins(first)?, end_ms: begins(last.tomorrow().ok()?)? })
    }
}

/// A time zone of the IANA database, by its name.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    pub const UTC: Zone = Zone(TimeZone::UTC);

    pub fn named(name: &str) -> Option<Self> {
        if name == "UTC" {
            return Some(Zone::UTC);
        }
        TimeZone::get(name).ok().filter(|zone| zone.iana_name().is_some()).map(Zone)
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    pub fn is_utc(&self) -> bool {
        self.name() == "UTC"
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

const LENGTHS: [(&str, u64); 5] = [("d", DAY_MS), ("h", HOUR_MS), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A length in its largest whole unit, as config writes it: `1m`, `90s`, `1500ms`.
pub fn print_ms(ms: u64) -> String {
    let fits = |(_, unit_ms): &&(&str, u64)| ms.is_multiple_of(*unit_ms);
    let (name, unit_ms) = LENGTHS.iter().find(fits).unwrap_or(&("ms", 1));
    format!("{}{name}", ms / unit_ms)
}

/// `day`, `month@Europe/Berlin`, `1m`, `open`.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Calendar(period, zone) if zone.is_utc() => f.write_str(period.as_str()),
            Window::Calendar(period, zone) => write!(f, "{}@{}", period.as_str(), zone.name()),
            Window::Sliding { ms } => f.write_str(&print_ms(*ms)),
            Window::Open => f.write_str("open"),
        }
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("no window is called {text}");
        let (name, zone) = match text.split_once('@') {
            Some((name, zone)) => (name, Zone::named(zone).ok_or_else(unknown)?),
            None => (text, Zone::UTC),
        };
        if name == "open" {
            return Ok(Window::Open);
        }
        if let Some(period) = Period::parse(name) {
            return Ok(Window::Calendar(period, zone));
        }
        let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
        let unit_ms = LENGTHS.iter().find(|(known, _)| *known == unit).map(|(_, ms)| *ms).ok_or_else(unknown)?;
        let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms)).ok_or_else(unknown)?;
        Ok(Window::Sliding { ms })
    }
}

impl From<Window> for String {
    fn from(window: Window) -> String {
        window.to_string()
    }
}

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        let at: Timestamp = text.parse().expect("a time");
        u64::try_from(at.as_millisecond()).expect("after 1970")
    }

    fn edges(window: &str, at: &str) -> (String, String) {
        let span = window.parse::<Window>().expect("a window").span(ms(at)).expect("of the calendar");
        let print = |ms: u64| Timestamp::from_millisecond(i64::try_from(ms).expect("fits")).expect("valid").to_string();
        (print(span.start_ms), print(span.end_ms))
    }

    #[test]
    fn a_calendar_window_has_the_edges_of_its_time_zone() {
        let cases = [
            ("hour", "2026-11-24T15:59:59.999Z", "2026-11-24T15:00:00Z", "2026-11-24T16:00:00Z"),
            ("day", "2026-11-24T00:00:00Z", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"),
            ("month", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("month", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("day@Europe/Berlin", "2026-11-24T23:30:00Z", "2026-11-24T23:00:00Z", "2026-11-25T23:00:00Z"),
            // Clocks go forward: 23 hours. Back: 25.
            ("day@Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("day@Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            ("month@America/New_York", "2026-11-01T03:59:00Z", "2026-10-01T04:00:00Z", "2026-11-01T04:00:00Z"),
            ("hour@Asia/Kolkata", "2026-11-24T15:10:00Z", "2026-11-24T14:30:00Z", "2026-11-24T15:30:00Z"),
        ];
        for (window, at, start, end) in cases {
            assert_eq!(edges(window, at), (start.to_owned(), end.to_owned()), "{window} at {at}");
        }
    }

    #[test]
    fn a_window_reads_as_it_is_written() {
        for text in ["hour", "day", "month", "day@Europe/Berlin", "1m", "90s", "24ms", "1d", "36h", "open"] {
            assert_eq!(text.parse::<Window>().map(|window| window.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "week", "day@Mars/Olympus", "1", "m", "1y"] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }
}
