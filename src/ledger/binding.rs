//! Which counters an ask binds, and what their readings mean. Both stores decide by these rules.

use crate::domain::limit::{Limit, Quota, Scope, Unit, Window};

use super::counter::{Bind, CAPACITY, Counter};
use super::{Amount, Reserved, Subjects};

/// When another of the runs that are open may have ended: nobody knows, so a client may try again soon.
const OPEN_RETRY_MS: u64 = 1_000;

/// Entries of a sliding window that are looked at, from the oldest, to tell when an ask fits. Where more must leave the
/// answer is too early, and whoever believes it is told again.
pub(super) const LOOKED_AT: usize = 1_000;

/// The counters of `limits` for this run, in their order and each once, then the dollars per UTC day of user and
/// global where no limit names them.
pub(super) fn bind(subjects: &Subjects, limits: &[Limit], now_ms: u64) -> Vec<Bind> {
    let mut binds: Vec<Bind> = Vec::with_capacity(limits.len() + 2);
    let mut add = |scope: &Scope, quota: &Quota| {
        let (max, ends_ms) = (quota.max.min(CAPACITY), quota.window.span(now_ms).map_or(0, |span| span.end_ms));
        for subject in subjects.ids(scope, quota.unit) {
            let counter = Counter { scope: scope.clone(), subject, unit: quota.unit, window: quota.window.clone() };
            match binds.iter_mut().find(|bind| bind.counter == counter) {
                Some(known) => known.max = known.max.min(max),
                None => binds.push(Bind { counter, max, ends_ms }),
            }
        }
    };
    for Limit { scope, quota, .. } in limits {
        add(scope, quota);
    }
    for scope in [Scope::User, Scope::Global] {
        add(&scope, &Quota { unit: Unit::Usd, max: CAPACITY, window: Window::DAY });
    }
    binds
}

/// What a counter says before the ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub used: u64,
    /// Unix milliseconds of the end of the calendar window, or when the oldest entry leaves.
    pub resets_at_ms: u64,
    /// Unix milliseconds from which the same ask fits, if nobody else comes first.
    pub fits_at_ms: u64,
}

impl Reading {
    /// `oldest` and `blocker` are admission times in a sliding window: of its first entry, and of the one that must
    /// leave before the ask fits.
    pub fn new(bind: &Bind, used: u64, oldest: Option<u64>, blocker: Option<u64>, now_ms: u64) -> Self {
        let (resets_at_ms, fits_at_ms) = match bind.counter.window {
            Window::Calendar(..) => (bind.ends_ms, bind.ends_ms),
            Window::Sliding { ms } => {
                let leaves = |at: Option<u64>| leaves_at(at.unwrap_or(now_ms), ms);
                (leaves(oldest), leaves(blocker))
            }
            Window::Open => (now_ms.saturating_add(OPEN_RETRY_MS), now_ms.saturating_add(OPEN_RETRY_MS)),
        };
        Reading { used, resets_at_ms, fits_at_ms }
    }
}

/// When a window no longer counts what was admitted at `at_ms`. One more than its length: times are cut to whole
/// milliseconds, so two that differ by exactly the window may have been less than it apart.
pub(super) fn leaves_at(at_ms: u64, window_ms: u64) -> u64 {
    at_ms.saturating_add(window_ms).saturating_add(1)
}

/// Says yes if every counter does; else names the one that takes longest to heal.
pub(super) fn decide(binds: &[Bind], readings: &[Reading], amount: Amount, now_ms: u64) -> Reserved {
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
pub(super) fn repeat(binds: &[Bind], readings: &[Reading], amount: Amount) -> Reserved {
    let limits = binds.iter().zip(readings).filter(|(bind, _)| bind.is_limit());
    let view =
        |(bind, at): (&Bind, &Reading)| bind.view(at.used.saturating_sub(bind.step(amount)), at.used, at.resets_at_ms);
    Reserved::Held { limits: limits.map(view).collect() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::domain::caller::Caller;
    use crate::domain::limit::DAY_MS;
    use crate::domain::money::NanoUsd;

    use super::*;

    fn subjects(team: &str) -> Subjects {
        Subjects {
            caller: Caller { key: "web".into(), team: team.into(), user: "ann".into(), alone: false },
            tier: "standard".into(),
            targets: vec!["one/small".into(), "one/large".into(), "two/small".into()],
            metadata: BTreeMap::from([("feature".into(), "search".into())]),
            fingerprint: None,
        }
    }

    fn usd(scope: Scope, max: u64) -> Limit {
        Limit::new(scope, Quota { unit: Unit::Usd, max, window: Window::DAY })
    }

    fn bound(binds: &[Bind]) -> Vec<(String, u64)> {
        binds.iter().map(|b| (format!("{}:{}", b.counter.scope, b.counter.subject), b.max)).collect()
    }

    #[test]
    fn a_counter_named_twice_binds_once_with_its_lowest_maximum() {
        let limits = [usd(Scope::User, 9), usd(Scope::Key, 4), usd(Scope::User, 5)];
        let binds = bind(&subjects("core"), &limits, 0);
        assert_eq!(bound(&binds), [("user:ann".into(), 5), ("key:web".into(), 4), ("global:".into(), CAPACITY)]);
    }

    #[test]
    fn a_scope_binds_each_of_its_ids_once_and_nobody_without_one() {
        let metadata = |key: &str| Scope::Metadata(key.into());
        let limits = [Scope::Team, Scope::Tier, Scope::Provider, Scope::Model, metadata("feature"), metadata("other")]
            .map(|scope| usd(scope, 1));
        let ids = |team| bound(&bind(&subjects(team), &limits, 0)).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        let targets = ["provider:one", "provider:two", "model:one/small", "model:one/large", "model:two/small"];
        let rest = ["metadata.feature:search", "user:ann", "global:"];
        assert_eq!(ids(""), [["tier:standard"].as_slice(), &targets, &rest].concat());
        assert_eq!(ids("core"), [["team:core", "tier:standard"].as_slice(), &targets, &rest].concat());
    }

    #[test]
    fn a_refusal_names_the_limit_that_takes_longest_to_heal() {
        let minute = Window::Sliding { ms: 60_000 };
        let minute = Limit::new(Scope::User, Quota { unit: Unit::Requests, max: 1, window: minute });
        let binds = bind(&subjects(""), &[minute, usd(Scope::Key, 10)], 5_000);
        let used = [1, 8, 8, 8];
        let readings: Vec<Reading> =
            binds.iter().zip(used).map(|(b, used)| Reading::new(b, used, Some(1_000), Some(1_000), 5_000)).collect();
        let Reserved::Refused { view, retry_after_ms } = decide(&binds, &readings, NanoUsd::new(3).into(), 5_000)
        else {
            panic!("both limits refuse");
        };
        assert_eq!((view.limit, view.before, retry_after_ms), (usd(Scope::Key, 10), 8, DAY_MS - 5_000));
    }
}
