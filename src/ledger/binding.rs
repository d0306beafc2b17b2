//! Which counters an ask binds, and what their readings mean. Both stores decide by these rules.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::caller::Caller;
use crate::domain::limit::{DAY_MS, Limit, LimitView, Quota, Scope};
use crate::domain::money::{MAX_NANO, NanoUsd};

use super::Reserved;

/// What a dollar counter can count exactly. It is the maximum of counters that no limit names, which so can't
/// overflow either.
pub(super) const CAPACITY: u64 = MAX_NANO;

/// One counter with the lowest maximum that the ask names for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bind {
    pub scope: Scope,
    /// Id within the scope; empty for the global one.
    pub subject: Arc<str>,
    pub quota: Quota,
}

impl Bind {
    fn counts_like(&self, scope: Scope, quota: Quota) -> bool {
        let same_window = match (self.quota, quota) {
            (Quota::UsdPerDay { .. }, Quota::UsdPerDay { .. }) => true,
            (Quota::Requests { window_ms: a, .. }, Quota::Requests { window_ms: b, .. }) => a == b,
            _ => false,
        };
        self.scope == scope && same_window
    }

    fn lower_to(&mut self, quota: Quota) {
        match (&mut self.quota, quota) {
            (Quota::UsdPerDay { max_nano: max }, Quota::UsdPerDay { max_nano: other })
            | (Quota::Requests { max, .. }, Quota::Requests { max: other, .. }) => *max = other.min(*max),
            _ => {}
        }
    }

    /// A counter at its full capacity is only tracked; a limit binds below that.
    fn is_limit(&self) -> bool {
        !matches!(self.quota, Quota::UsdPerDay { max_nano } if max_nano >= CAPACITY)
    }

    pub fn is_usd(&self) -> bool {
        matches!(self.quota, Quota::UsdPerDay { .. })
    }

    /// What the ask adds to this counter.
    fn step(&self, amount: NanoUsd) -> u64 {
        match self.quota {
            Quota::UsdPerDay { .. } => amount.get(),
            Quota::Requests { .. } => 1,
        }
    }

    fn admits(&self, amount: NanoUsd, used: u64) -> bool {
        let max = match self.quota {
            Quota::UsdPerDay { max_nano } => max_nano,
            Quota::Requests { max, .. } => max,
        };
        max.checked_sub(used).is_some_and(|free| self.step(amount) <= free)
    }

    fn view(&self, before: u64, after: u64, resets_at_ms: u64) -> LimitView {
        let limit = Limit { scope: self.scope, quota: self.quota };
        LimitView { limit, subject: self.subject.to_string(), before, after, resets_at_ms }
    }
}

/// The counters of `limits` for this caller, in their order and each once, then the dollars of user and global where
/// no limit names them.
pub(super) fn bind(caller: &Caller, limits: &[Limit]) -> Vec<Bind> {
    let mut binds: Vec<Bind> = Vec::with_capacity(limits.len() + 2);
    let tracked =
        [Scope::User, Scope::Global].map(|scope| Limit { scope, quota: Quota::UsdPerDay { max_nano: CAPACITY } });
    for Limit { scope, quota } in limits.iter().copied().chain(tracked) {
        let subject = match scope {
            Scope::User => Arc::clone(&caller.user),
            Scope::Key => Arc::clone(&caller.key),
            Scope::Team if caller.team.is_empty() => continue,
            Scope::Team => Arc::clone(&caller.team),
            Scope::Global => Arc::default(),
        };
        let quota = match quota {
            Quota::UsdPerDay { max_nano } => Quota::UsdPerDay { max_nano: max_nano.min(CAPACITY) },
            requests @ Quota::Requests { .. } => requests,
        };
        match binds.iter_mut().find(|bind| bind.counts_like(scope, quota)) {
            Some(known) => known.lower_to(quota),
            None => binds.push(Bind { scope, subject, quota }),
        }
    }
    binds
}

/// What a counter says before the ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Nano-dollars settled and held, or requests in the window.
    pub used: u64,
    /// Unix milliseconds of the end of the day, or when the oldest request leaves.
    pub resets_at_ms: u64,
    /// Unix milliseconds from which the same ask fits, if nobody else comes first.
    pub fits_at_ms: u64,
}

impl Reading {
    pub fn usd(used: u64, day: u64) -> Self {
        let end = day.saturating_add(1).saturating_mul(DAY_MS);
        Reading { used, resets_at_ms: end, fits_at_ms: end }
    }

    /// `oldest` and `blocker` are admission times: of the first request in the window, and of the one that must leave
    /// before another fits.
    pub fn requests(used: u64, window_ms: u64, oldest: Option<u64>, blocker: Option<u64>, now_ms: u64) -> Self {
        let leaves = |at: Option<u64>| leaves_at(at.unwrap_or(now_ms), window_ms);
        Reading { used, resets_at_ms: leaves(oldest), fits_at_ms: leaves(blocker) }
    }
}

/// When a window no longer counts a request admitted at `at_ms`. One more than its length: times are cut to whole
/// milliseconds, so two that differ by exactly the window may have been less than it apart.
pub(super) fn leaves_at(at_ms: u64, window_ms: u64) -> u64 {
    at_ms.saturating_add(window_ms).saturating_add(1)
}

/// Position, from the oldest, of the request that must leave a full window before another fits; none where one fits
/// now, or never.
pub(super) fn blocker(used: u64, max: u64) -> Option<u64> {
    used.checked_sub(max).filter(|position| *position < used)
}

/// Says yes if every counter does; else names the one that takes longest to heal.
pub(super) fn decide(binds: &[Bind], readings: &[Reading], amount: NanoUsd, now_ms: u64) -> Reserved {
    let pairs = || binds.iter().zip(readings);
    let slowest = pairs().filter(|(bind, at)| !bind.admits(amount, at.used)).max_by_key(|(_, at)| at.fits_at_ms);
    if let Some((bind, at)) = slowest {
        let view = bind.view(at.used, at.used, at.fits_at_ms);
        return Reserved::Refused { view, retry_after_ms: at.fits_at_ms.saturating_sub(now_ms) };
    }
    let limits = pairs().filter(|(bind, _)| bind.is_limit());
    let view =
        |(bind, at): (&Bind, &Reading)| bind.view(at.used, at.used.saturating_add(bind.step(amount)), at.resets_at_ms);
    Reserved::Held { limits: limits.map(view).collect() }
}

/// The views of a hold that is taken already, for an ask that comes a second time.
pub(super) fn repeat(binds: &[Bind], readings: &[Reading], amount: NanoUsd) -> Reserved {
    let limits = binds.iter().zip(readings).filter(|(bind, _)| bind.is_limit());
    let view =
        |(bind, at): (&Bind, &Reading)| bind.view(at.used.saturating_sub(bind.step(amount)), at.used, at.resets_at_ms);
    Reserved::Held { limits: limits.map(view).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(team: &str) -> Caller {
        Caller { key: "web".into(), team: team.into(), user: "ann".into(), alone: false }
    }

    fn usd(scope: Scope, max_nano: u64) -> Limit {
        Limit { scope, quota: Quota::UsdPerDay { max_nano } }
    }

    #[test]
    fn a_counter_named_twice_binds_once_with_its_lowest_maximum() {
        let binds = bind(&caller("core"), &[usd(Scope::User, 9), usd(Scope::Key, 4), usd(Scope::User, 5)]);
        let maxima: Vec<_> = binds.iter().map(|b| (b.scope, b.quota)).collect();
        let max = |max_nano| Quota::UsdPerDay { max_nano };
        assert_eq!(maxima, [(Scope::User, max(5)), (Scope::Key, max(4)), (Scope::Global, max(CAPACITY))]);
    }

    #[test]
    fn a_team_limit_does_not_bind_a_caller_without_team() {
        let binds = bind(&caller(""), &[usd(Scope::Team, 1)]);
        assert!(binds.iter().all(|bind| bind.scope != Scope::Team));
    }

    #[test]
    fn a_refusal_names_the_limit_that_takes_longest_to_heal() {
        let minute = Limit { scope: Scope::User, quota: Quota::Requests { max: 1, window_ms: 60_000 } };
        let binds = bind(&caller(""), &[minute, usd(Scope::Key, 10)]);
        let readings = [
            Reading::requests(1, 60_000, Some(1_000), Some(1_000), 5_000),
            Reading::usd(8, 0),
            Reading::usd(8, 0),
            Reading::usd(8, 0),
        ];
        let Reserved::Refused { view, retry_after_ms } = decide(&binds, &readings, NanoUsd::new(3), 5_000) else {
            panic!("both limits refuse");
        };
        assert_eq!((view.limit, view.before, retry_after_ms), (usd(Scope::Key, 10), 8, DAY_MS - 5_000));
    }

    #[test]
    fn the_blocker_of_a_window_over_its_lowered_maximum_is_the_last_that_must_leave() {
        assert_eq!((blocker(2, 3), blocker(3, 3), blocker(5, 3), blocker(4, 0)), (None, Some(0), Some(2), None));
    }
}
