//! Shares of limits that this process holds in the store, for when it is away.
//!
//! A share is a hold of its own on one counter, a twentieth of the limit. It is taken only while a fifth of the limit is
//! free besides, and given back where the limit refuses, so that it is in nobody's way while the store answers. Only
//! limits of the operator's scopes have shares: a hold that nobody renews is charged to those in full, so that what a
//! process spends of its share is within the limit however long it can't reach a store that others reach.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::ids::RunId;
use crate::domain::limit::{Limit, LimitView, OnStoreError, Quota, Unit};
use crate::domain::money::NanoUsd;

use super::Amount;
use super::counter::{Bind, Counter};

/// Part of the limit that one process sets aside.
const SHARE: u64 = 20;

/// Part of the limit that must stay free beside a share.
const FREE: u64 = 5;

/// A share is given back and taken anew so often: so it follows its window, and what others spend.
const RENEW: Duration = Duration::from_secs(15);

/// A limit that nobody has met for so long has no share here.
const IDLE: Duration = Duration::from_secs(600);

#[derive(Default)]
pub(super) struct Shares {
    all: Mutex<HashMap<Counter, Share>>,
    /// Holds that nothing counts on any more and that the store still has, or may have.
    owed: Mutex<Vec<RunId>>,
}

struct Share {
    max: u64,
    seen: Instant,
    /// When it was last taken, or tried to be.
    tried: Option<Instant>,
    lease: Option<Lease>,
}

/// One hold, on the counter's window that ends at `ends_ms`.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    pub hold: RunId,
    pub amount: u64,
    pub ends_ms: u64,
}

impl Shares {
    /// Notes the limits that have a share among those that a run has just met.
    pub fn see(&self, limits: &[Limit], views: &[LimitView]) {
        let shared = |view: &&LimitView| {
            let same = |limit: &&Limit| {
                let (one, other) = (&limit.quota, &view.limit.quota);
                limit.scope == view.limit.scope && one.unit == other.unit && one.window == other.window
            };
            limits.iter().find(same).is_some_and(|limit| limit.on_store_error == OnStoreError::LocalShare)
        };
        for view in views.iter().filter(shared) {
            let (counter, seen) = (counter(view), Instant::now());
            let mut all = locked(&self.all);
            let share = all.entry(counter).or_insert(Share { max: view.max(), seen, tried: None, lease: None });
            (share.max, share.seen) = (view.max(), seen);
        }
    }

    /// What this process holds of the counter, in its unit.
    pub fn held(&self, bind: &Bind) -> u64 {
        let all = locked(&self.all);
        let lease = all.get(&bind.counter).and_then(|share| share.lease).filter(|lease| lease.ends_ms == bind.ends_ms);
        lease.map_or(0, |lease| lease.amount)
    }

    /// Counts no longer on the share in a limit that has just refused. True where there was one.
    pub fn give_up(&self, view: &LimitView) -> bool {
        let counter = counter(view);
        let had = locked(&self.all).get(&counter).is_some_and(|share| share.lease.is_some());
        if had {
            self.replace(&counter, None);
        }
        had
    }

    /// The counters whose share is to be taken anew, with how much; with nothing where none is wanted any more, as for
    /// all of them when the process ends.
    pub fn due(&self, now_ms: u64, at_the_end: bool) -> Vec<(Bind, u64)> {
        let mut due = Vec::new();
        for (counter, share) in locked(&self.all).iter_mut() {
            let is_idle = at_the_end || share.seen.elapsed() > IDLE;
            if !is_idle && share.tried.is_some_and(|tried| tried.elapsed() < RENEW) {
                continue;
            }
            share.tried = Some(Instant::now());
            let ends_ms = counter.window.span(now_ms).map_or(0, |span| span.end_ms);
            let bind = Bind { counter: counter.clone(), max: share.max - share.max / FREE, ends_ms };
            due.push((bind, if is_idle { 0 } else { share.max / SHARE }));
        }
        due
    }

    /// Counts on another hold, or on none, instead of the one before.
    pub fn replace(&self, counter: &Counter, lease: Option<Lease>) {
        let mut all = locked(&self.all);
        let old = match all.get_mut(counter) {
            Some(share) => std::mem::replace(&mut share.lease, lease),
            None => lease,
        };
        if all.get(counter).is_some_and(|share| share.lease.is_none() && share.seen.elapsed() > IDLE) {
            all.remove(counter);
        }
        drop(all);
        self.owes(old.map(|lease| lease.hold));
    }

    /// Notes holds that are to be given back.
    pub fn owes(&self, holds: impl IntoIterator<Item = RunId>) {
        locked(&self.owed).extend(holds);
    }

    pub fn owed(&self) -> Vec<RunId> {
        locked(&self.owed).clone()
    }

    /// Notes that the store has `hold` back.
    pub fn paid(&self, hold: RunId) {
        locked(&self.owed).retain(|other| *other != hold);
    }
}

/// So much of a counter's unit.
pub(super) fn amount_of(counter: &Counter, amount: u64) -> Amount {
    match counter.unit {
        Unit::Tokens => Amount { tokens: amount, ..Amount::default() },
        _ => NanoUsd::new(amount).into(),
    }
}

fn counter(view: &LimitView) -> Counter {
    let Quota { unit, window, .. } = &view.limit.quota;
    let (scope, subject) = (view.limit.scope.clone(), view.subject.as_str().into());
    Counter { scope, subject, unit: *unit, window: window.clone() }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every entry is whole whatever panicked while they were locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
