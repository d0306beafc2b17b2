//! Amounts, times and names of limits as a person reads them.

use crate::domain::limit::{Scope, Unit, Window};
use crate::domain::money::NanoUsd;

/// An amount in a limit's unit.
pub(super) fn amount(unit: Unit, number: u64) -> String {
    if unit.is_money() { usd(number) } else { number.to_string() }
}

pub(super) fn usd(nano: u64) -> String {
    format!("${}", NanoUsd::new(nano))
}

/// `2026-11-24 18:40:03 UTC`
pub(super) fn at(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "at an unknown time".to_owned(), |at| at.strftime("%F %T UTC").to_string())
}

pub(super) fn ms(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// `user ann`, `everybody`.
pub(super) fn whose(scope: &Scope, id: &str) -> String {
    if *scope == Scope::Global { "everybody".to_owned() } else { format!("{scope} {id}") }
}

/// `dollars per day`, `requests in any 1m`, `calls at the same time`.
pub(super) fn what(unit: Unit, window: &Window) -> String {
    format!("{} {}", noun(unit), over(window))
}

/// `per day`, `in any 1m`, `at the same time`.
pub(super) fn over(window: &Window) -> String {
    let zone = window.foreign_zone().map(|zone| format!(" ({zone})")).unwrap_or_default();
    match (window, window.per()) {
        (Window::Calendar(..), Some(per)) => format!("per {per}{zone}"),
        (Window::Sliding { .. }, Some(per)) => format!("in any {per}"),
        _ => "at the same time".to_owned(),
    }
}

/// `spend $5 per day`, `make 10 requests in any 1m`: what a limit allows.
pub(super) fn allowed(unit: Unit, most: u64, window: &Window) -> String {
    let over = over(window);
    match unit {
        Unit::Usd | Unit::SpendRate => format!("spend {} {over}", usd(most)),
        Unit::Requests => format!("make {} {over}", count(most, "request")),
        Unit::Tokens => format!("use {} {over}", count(most, "token")),
        Unit::Concurrent => format!("have {} open {over}", count(most, "call")),
        Unit::Identical => format!("send one request {} {over}", count(most, "time")),
    }
}

fn noun(unit: Unit) -> &'static str {
    match unit {
        Unit::Usd => "dollars",
        Unit::SpendRate => "dollars (guard)",
        Unit::Requests => "requests",
        Unit::Tokens => "tokens",
        Unit::Concurrent => "calls",
        Unit::Identical => "equal requests (guard)",
    }
}

/// `1 token`, `2 tokens`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}
