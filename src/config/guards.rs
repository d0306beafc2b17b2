//! `guards`: what stops a caller that has run away.

use std::time::Duration;

use super::read::{Field, Section};
use crate::domain::limit::{HOUR_MS, Limit, Quota, Scope, Unit, Window};

/// Longest time over which equal requests are looked for.
const LONGEST_LOOP: Duration = Duration::from_secs(24 * 3_600);

/// What a `guards` section says. What it does not mention stays as it is elsewhere.
#[derive(Default)]
pub(super) struct Guards {
    /// `Some(None)` = off.
    looping: Option<Option<Limit>>,
    usd_per_hour: Vec<Limit>,
}

impl Guards {
    pub fn says_nothing(&self) -> bool {
        self.looping.is_none() && self.usd_per_hour.is_empty()
    }

    pub fn limits(&self) -> Vec<Limit> {
        self.looping.clone().flatten().into_iter().chain(self.usd_per_hour.iter().cloned()).collect()
    }

    /// These guards where they say something, and `others` where not.
    pub fn over(&self, others: &[Limit]) -> Vec<Limit> {
        let stays = |limit: &&Limit| match limit.quota.unit {
            Unit::Identical => self.looping.is_none(),
            _ => !self.usd_per_hour.iter().any(|own| own.scope == limit.scope),
        };
        others.iter().filter(stays).cloned().chain(self.limits()).collect()
    }
}

pub(super) fn guards(section: &Section<'_>) -> Guards {
    let Some(field) = section.get("guards") else { return Guards::default() };
    let section = field.section(&["loop", "usd_per_hour"]);
    Guards {
        looping: section.get("loop").and_then(|field| looping(&field)),
        usd_per_hour: section.get("usd_per_hour").map(|field| usd_per_hour(&field)).unwrap_or_default(),
    }
}

fn looping(field: &Field<'_>) -> Option<Option<Limit>> {
    if !field.is_map() {
        if field.text()? != "off" {
            field.problem("write off, or how many equal requests are a loop: { same: 20, in: 60s }");
            return None;
        }
        return Some(None);
    }
    let section = field.section(&["same", "in"]);
    let same = section.require("same", "write how many equal requests are still no loop, such as same: 20");
    let within = section.require("in", "write the time in which they count, such as in: 60s");
    let (max, within) =
        (same.and_then(|field| field.integer(1, 1_000)), within.and_then(|field| field.duration(LONGEST_LOOP)));
    let window = Window::Sliding { ms: u64::try_from(within?.as_millis()).ok()? };
    Some(Some(Limit::new(Scope::User, Quota { unit: Unit::Identical, max: max?, window })))
}

/// One amount for each user, or amounts by scope.
fn usd_per_hour(field: &Field<'_>) -> Vec<Limit> {
    let limit = |scope, amount: &Field<'_>| {
        let quota = Quota { unit: Unit::SpendRate, max: amount.usd()?.get(), window: Window::Sliding { ms: HOUR_MS } };
        Some(Limit::new(scope, quota))
    };
    if !field.is_map() {
        return limit(Scope::User, field).into_iter().collect();
    }
    let section = field.section(&["user", "key", "tier", "global"]);
    let scopes = [("user", Scope::User), ("key", Scope::Key), ("tier", Scope::Tier), ("global", Scope::Global)];
    scopes.into_iter().filter_map(|(key, scope)| limit(scope, &section.get(key)?)).collect()
}
