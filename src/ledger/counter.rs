//! Counters: what is added up, for whom, over which time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::limit::{Limit, LimitView, Quota, Scope, Unit, Window};
use crate::domain::money::MAX_NANO;

use super::Amount;

/// What a counter can count exactly. It is the maximum of counters that no limit names, which so can't overflow
/// either.
pub(super) const CAPACITY: u64 = MAX_NANO;

/// Named without its maximum, so that a changed limit finds what was consumed before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Counter {
    pub scope: Scope,
    /// Id within the scope; empty for the global one.
    pub subject: Arc<str>,
    pub unit: Unit,
    pub window: Window,
}

impl Counter {
    /// What an expired hold of `held` is charged here: the operator's scopes pay for money and tokens that may have
    /// been used, the caller's pay nothing. A request stays one.
    pub fn at_expiry(&self, held: u64) -> u64 {
        match self.unit {
            Unit::Usd | Unit::SpendRate | Unit::Tokens if self.scope.is_operators() => held,
            Unit::Usd | Unit::SpendRate | Unit::Tokens | Unit::Concurrent => 0,
            Unit::Requests | Unit::Identical => held,
        }
    }

    /// True where an extension of the hold counts: it is no further request.
    pub fn grows(&self) -> bool {
        matches!(self.unit, Unit::Usd | Unit::SpendRate | Unit::Tokens)
    }
}

/// One counter with the lowest maximum that the ask names for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bind {
    pub counter: Counter,
    pub max: u64,
    /// End of the calendar window, in Unix milliseconds; it names the window. 0 for other windows.
    pub ends_ms: u64,
}

impl Bind {
    /// A counter at its full capacity is only tracked; a limit binds below that.
    pub fn is_limit(&self) -> bool {
        self.counter.unit != Unit::Usd || self.max < CAPACITY
    }

    /// What the ask adds to this counter.
    pub fn step(&self, amount: Amount) -> u64 {
        amount.in_unit(self.counter.unit)
    }

    /// A loop is what goes on: an ask that this counter refuses counts as one more, so that only a pause ends it.
    pub fn counts_refusals(&self, used: u64) -> bool {
        self.counter.unit == Unit::Identical && used >= self.max && self.max > 0
    }

    /// What must leave a sliding window before the ask fits. Where a refusal counts, it takes the place of the oldest.
    pub fn excess(&self, amount: Amount, used: u64) -> u64 {
        let excess = used.saturating_add(self.step(amount)).saturating_sub(self.max);
        if self.counts_refusals(used) { excess.saturating_add(1) } else { excess }
    }

    pub fn admits(&self, amount: Amount, used: u64) -> bool {
        self.max.checked_sub(used).is_some_and(|free| self.step(amount) <= free)
    }

    pub fn view(&self, before: u64, after: u64, resets_at_ms: u64) -> LimitView {
        let Counter { scope, subject, unit, window } = &self.counter;
        let quota = Quota { unit: *unit, max: self.max, window: window.clone() };
        let limit = Limit::new(scope.clone(), quota);
        let subject = match unit {
            // What the body is known by is nobody's business.
            Unit::Identical => subject.rsplit_once('#').map_or("", |(id, _)| id),
            _ => subject,
        };
        LimitView { limit, subject: subject.to_owned(), before, after, resets_at_ms }
    }
}
