//! `limits`: how much of what may be used, by whom and over which time.

use std::sync::Arc;
use std::time::Duration;

use super::guards::Guards;
use super::read::{Field, Section, short};
use crate::domain::limit::{Limit, OnStoreError, Period, Quota, Scope, Unit, Window, Zone};
use crate::domain::money::MAX_NANO;

/// Longest sliding window: its entries are kept one by one.
const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 3_600);

/// What an entry may limit, by its key.
const UNITS: [(&str, Unit); 4] =
    [("usd", Unit::Usd), ("requests", Unit::Requests), ("tokens", Unit::Tokens), ("concurrent", Unit::Concurrent)];

/// The limits that bind every caller.
pub(super) fn global(root: &Section<'_>) -> Vec<Limit> {
    root.get("limits").map(|field| list(&field)).unwrap_or_default()
}

pub(super) fn list(field: &Field<'_>) -> Vec<Limit> {
    let mut limits: Vec<Limit> = Vec::new();
    for entry in field.list() {
        let Some(limit) = limit(&entry) else { continue };
        if limits.iter().any(|earlier| same_counter(earlier, &limit)) {
            entry.problem("an earlier entry limits the same thing over the same time; keep one of them");
            continue;
        }
        limits.push(limit);
    }
    limits
}

/// Every limit of a call with a key that has limits and guards of its `own`. Shared where it has none. The guards
/// stand behind the limits that bind everybody, in front of the key's.
pub(super) fn combined(global: &Arc<[Limit]>, own: &[Limit], guards: &Guards) -> Arc<[Limit]> {
    if own.is_empty() && guards.says_nothing() {
        return Arc::clone(global);
    }
    let (others, mut all): (Vec<Limit>, Vec<Limit>) =
        global.iter().cloned().partition(|limit| limit.quota.unit.guard().is_some());
    all.extend(guards.over(&others));
    all.extend(own.iter().filter(|limit| !global.contains(limit)).cloned());
    all.into()
}

fn same_counter(one: &Limit, other: &Limit) -> bool {
    (&one.scope, one.quota.unit, &one.quota.window) == (&other.scope, other.quota.unit, &other.quota.window)
}

fn limit(field: &Field<'_>) -> Option<Limit> {
    let section = field.section(&["scope", "usd", "requests", "tokens", "concurrent", "per", "tz", "on_store_error"]);
    let scope = section.require("scope", "say whose use is counted, such as user or global").and_then(|field| {
        let text = field.text()?;
        text.parse::<Scope>().map_err(|why| field.problem(format!("\"{}\" is unknown here; {why}", short(text)))).ok()
    });
    let given: Vec<_> = UNITS.iter().filter_map(|(key, unit)| Some((section.get(key)?, *unit))).collect();
    let quota = match given.as_slice() {
        [(amount, unit)] => quota(&section, amount, *unit),
        [] => {
            field.problem("limits nothing; add usd: 5, per: day, or requests: 10, per: 1m, or concurrent: 4");
            None
        }
        _ => {
            field.problem("limits several things at once; make an entry of each");
            None
        }
    };
    let (scope, quota) = (scope?, quota?);
    let on_store_error = match section.get("on_store_error") {
        None => OnStoreError::Deny,
        Some(field) => on_store_error(&field, &scope, &quota)?,
    };
    Some(Limit { scope, quota, on_store_error })
}

fn on_store_error(field: &Field<'_>, scope: &Scope, quota: &Quota) -> Option<OnStoreError> {
    let all = [OnStoreError::Deny, OnStoreError::Allow, OnStoreError::LocalShare];
    let text = field.text()?;
    let Some(rule) = all.into_iter().find(|rule| rule.as_str() == text) else {
        field.problem(format!("\"{}\" is unknown here; write deny, allow or local_share", short(text)));
        return None;
    };
    // A share is set aside beforehand, in an amount, and stays charged to the scope if its process dies.
    let can_be_shared = scope.is_operators()
        && matches!(quota.unit, Unit::Usd | Unit::Tokens)
        && matches!(quota.window, Window::Calendar(..));
    if rule == OnStoreError::LocalShare && !can_be_shared {
        field.problem(
            "only usd or tokens per hour, day or month, of the scopes global, tier, model and provider, can be shared out; \
             write deny or allow",
        );
        return None;
    }
    Some(rule)
}

fn quota(section: &Section<'_>, amount: &Field<'_>, unit: Unit) -> Option<Quota> {
    let max = match unit {
        Unit::Usd => amount.usd().map(|usd| usd.get()),
        _ => amount.integer(1, MAX_NANO),
    };
    let window = if unit == Unit::Concurrent { open(section) } else { window(section) };
    Some(Quota { unit, max: max?, window: window? })
}

/// Concurrent runs are counted as long as they are open.
fn open(section: &Section<'_>) -> Option<Window> {
    let given = ["per", "tz"].into_iter().filter_map(|key| section.get(key));
    let wrong = given.inspect(|field| field.key_problem("concurrent runs have no window; remove the key")).count();
    (wrong == 0).then_some(Window::Open)
}

/// A word is a calendar window, a length a sliding one.
fn window(section: &Section<'_>) -> Option<Window> {
    let advice = "write hour, day or month for the calendar's, or a length such as 1m for any stretch of it";
    let per = section.require("per", advice)?;
    let text = per.text()?;
    let zone = section.get("tz").map(|field| (zone(&field), field));
    if let Some(period) = Period::parse(text) {
        return match zone {
            None => Some(Window::Calendar(period, Zone::UTC)),
            Some((zone, _)) => Some(Window::Calendar(period, zone?)),
        };
    }
    if text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        per.problem(format!("\"{}\" is unknown here; {advice}", short(text)));
        return None;
    }
    if let Some((_, field)) = zone {
        field.key_problem("a stretch of time has no time zone; remove it, or write per: hour, day or month");
        return None;
    }
    let ms = u64::try_from(per.duration(LONGEST_WINDOW)?.as_millis()).ok()?;
    Some(Window::Sliding { ms })
}

fn zone(field: &Field<'_>) -> Option<Zone> {
    let name = field.text()?;
    let zone = Zone::named(name);
    if zone.is_none() {
        field.problem(format!("\"{}\" is no time zone; write a name such as Europe/Berlin or UTC", short(name)));
    }
    zone
}
