//! The ledger's rules as a state machine without clock, file or network. On SQLite it *is* the ledger, in the memory
//! of the writer thread; for Redis it is the model that the scripts are tested against.

mod changes;
mod log;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::ids::RunId;
use crate::domain::limit::{Quota, Scope, day_of};
use crate::domain::money::NanoUsd;
use crate::store::{Now, StoreError};

use super::binding::{Bind, Reading, bind, blocker, decide, repeat};
use super::{Expired, HOLD_TTL, RENEW_EVERY, Reserve, Reserved, SWEEP_EVERY, Settled};

pub(super) use changes::Changes;
pub(super) use log::{Log, LogKey, Slot};

/// Days for which counters are kept after their own.
pub(super) const KEPT_DAYS: u64 = 7;
/// How long an expired hold can be corrected.
pub(super) const EXPIRED_KEPT_MS: u64 = 24 * 60 * 60 * 1_000;
/// How long a reserve may be on its way after it was voided.
pub(super) const VOID_KEPT_MS: u64 = 60 * 60 * 1_000;
/// A longer gap between sweeps means that this side stood still, and so perhaps the renewals too.
pub(super) const SWEEP_GAP_MS: u64 = 30_000;
/// After such a gap nothing expires for as long as a living process needs for its next renewal.
pub(super) const GRACE_MS: u64 = ms(RENEW_EVERY) + ms(SWEEP_EVERY);
pub(super) const HOLD_TTL_MS: u64 = ms(HOLD_TTL);

/// `as`, because `try_from` is not const; the durations are seconds.
const fn ms(duration: std::time::Duration) -> u64 {
    duration.as_millis() as u64
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct UsdKey {
    pub day: u64,
    pub scope: Scope,
    pub subject: Arc<str>,
}

/// Nano-dollars of one counter on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usd {
    pub settled: u64,
    pub held: u64,
    /// Part of `settled` that paid for expired holds.
    pub waste: u64,
}

/// What one run has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hold {
    /// Nano-dollars, held in each of its dollar counters.
    pub amount: u64,
    /// UTC day that is charged, whenever the run ends.
    pub day: u64,
    pub binds: Vec<Bind>,
    /// When its request slots were taken.
    pub at_ms: u64,
    /// Not stored: a renewal writes nothing, and after a restart every hold gets a whole new term.
    #[serde(skip)]
    pub deadline_ms: u64,
}

impl Hold {
    fn usd(&self) -> impl Iterator<Item = (UsdKey, u64)> {
        self.binds.iter().filter_map(|bind| match bind.quota {
            Quota::UsdPerDay { max_nano } => Some((usd_key(self.day, bind), max_nano)),
            Quota::Requests { .. } => None,
        })
    }

    fn logs(&self) -> impl Iterator<Item = LogKey> {
        self.binds.iter().filter_map(LogKey::of)
    }
}

fn usd_key(day: u64, bind: &Bind) -> UsdKey {
    UsdKey { day, scope: bind.scope, subject: Arc::clone(&bind.subject) }
}

/// What the book remembers of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Open(Hold),
    Expired {
        hold: Hold,
        at_ms: u64,
    },
    /// Voided before its reserve came.
    Void {
        at_ms: u64,
    },
}

#[derive(Default)]
pub(super) struct Book {
    usd: HashMap<UsdKey, Usd>,
    logs: HashMap<LogKey, Log>,
    runs: HashMap<RunId, Run>,
    last_sweep_ms: Option<u64>,
    grace_until_ms: Option<u64>,
    changes: Changes,
}

impl Book {
    pub fn reserve(&mut self, ask: &Reserve, now: Now) -> Result<Reserved, StoreError> {
        let binds = bind(&ask.caller, &ask.limits);
        if let Some(known) = self.runs.get(&ask.run) {
            let Run::Open(hold) = known else { return Err(StoreError::NoHold(ask.run)) };
            let day = hold.day;
            return Ok(repeat(&binds, &self.readings(&binds, day, now), ask.amount));
        }
        let day = day_of(now.unix_ms);
        let readings = self.readings(&binds, day, now);
        let decision = decide(&binds, &readings, ask.amount, now.unix_ms);
        if matches!(decision, Reserved::Held { .. }) {
            let deadline_ms = now.steady_ms.saturating_add(HOLD_TTL_MS);
            self.take(ask.run, Hold { amount: ask.amount.get(), day, binds, at_ms: now.steady_ms, deadline_ms });
        }
        Ok(decision)
    }

    pub fn extend(&mut self, run: RunId, more: NanoUsd, now: Now) -> Result<Reserved, StoreError> {
        let Some(Run::Open(hold)) = self.runs.get(&run) else { return Err(StoreError::NoHold(run)) };
        let binds: Vec<Bind> = hold.binds.iter().filter(|bind| bind.is_usd()).cloned().collect();
        let readings = self.readings(&binds, hold.day, now);
        let decision = decide(&binds, &readings, more, now.unix_ms);
        if matches!(decision, Reserved::Held { .. })
            && let Some(Run::Open(hold)) = self.runs.get_mut(&run)
        {
            hold.amount = hold.amount.saturating_add(more.get());
            for (key, _) in hold.usd() {
                let usd = self.usd.entry(key).or_default();
                usd.held = usd.held.saturating_add(more.get());
            }
            self.changes.run(run);
        }
        Ok(decision)
    }

    pub fn settle(&mut self, run: RunId, price: NanoUsd) -> Settled {
        match self.forget(run) {
            Some(Run::Open(hold)) => {
                for (key, _) in hold.usd() {
                    let usd = self.usd.entry(key.clone()).or_default();
                    usd.held = usd.held.saturating_sub(hold.amount);
                    usd.settled = usd.settled.saturating_add(price.get());
                    self.changes.usd(key);
                }
                Settled::Booked
            }
            Some(Run::Expired { hold, .. }) => {
                self.correct(&hold, price);
                Settled::Corrected
            }
            Some(void @ Run::Void { .. }) => {
                self.runs.insert(run, void);
                Settled::Nothing
            }
            None => Settled::Nothing,
        }
    }

    pub fn void(&mut self, run: RunId, now: Now) {
        match self.forget(run) {
            Some(Run::Open(hold)) => {
                for (key, _) in hold.usd() {
                    let usd = self.usd.entry(key).or_default();
                    usd.held = usd.held.saturating_sub(hold.amount);
                }
                self.give_slots_back(run, &hold);
            }
            Some(Run::Expired { hold, .. }) => {
                self.correct(&hold, NanoUsd::ZERO);
                self.give_slots_back(run, &hold);
            }
            Some(Run::Void { at_ms }) => {
                self.runs.insert(run, Run::Void { at_ms });
            }
            None => {
                self.runs.insert(run, Run::Void { at_ms: now.steady_ms });
                self.changes.run(run);
            }
        }
    }

    pub fn renew(&mut self, runs: &[RunId], now: Now) {
        for run in runs {
            if let Some(Run::Open(hold)) = self.runs.get_mut(run) {
                hold.deadline_ms = now.steady_ms.saturating_add(HOLD_TTL_MS);
            }
        }
    }

    pub fn expire(&mut self, now: Now) -> Vec<Expired> {
        if self.in_grace(now.steady_ms) {
            return Vec::new();
        }
        let overdue = |run: &Run| matches!(run, Run::Open(hold) if hold.deadline_ms <= now.steady_ms);
        let ends: Vec<RunId> = self.runs.iter().filter(|(_, run)| overdue(run)).map(|(id, _)| *id).collect();
        ends.into_iter().filter_map(|run| self.expire_one(run, now)).collect()
    }

    /// Forgets days, windows and ended runs that no rule asks for any more.
    pub fn purge(&mut self, now: Now) {
        let oldest_day = day_of(now.unix_ms).saturating_sub(KEPT_DAYS);
        self.usd.retain(|key, usd| key.day >= oldest_day || usd.held > 0);
        self.logs.retain(|key, log| log.trim(key.window_ms, now.steady_ms) > 0);
        let outlived = |run: &Run| match run {
            Run::Open(_) => false,
            Run::Expired { at_ms, .. } => at_ms.saturating_add(EXPIRED_KEPT_MS) <= now.steady_ms,
            Run::Void { at_ms } => at_ms.saturating_add(VOID_KEPT_MS) <= now.steady_ms,
        };
        let ends: Vec<RunId> = self.runs.iter().filter(|(_, run)| outlived(run)).map(|(id, _)| *id).collect();
        for run in ends {
            self.forget(run);
        }
    }

    fn expire_one(&mut self, run: RunId, now: Now) -> Option<Expired> {
        let Some(Run::Open(hold)) = self.forget(run) else { return None };
        for (key, _) in hold.usd() {
            let usd = self.usd.entry(key.clone()).or_default();
            usd.held = usd.held.saturating_sub(hold.amount);
            if key.scope == Scope::Global {
                usd.settled = usd.settled.saturating_add(hold.amount);
                usd.waste = usd.waste.saturating_add(hold.amount);
                self.changes.usd(key);
            }
        }
        let amount = NanoUsd::new(hold.amount);
        self.runs.insert(run, Run::Expired { hold, at_ms: now.steady_ms });
        Some(Expired { run, amount })
    }

    fn correct(&mut self, hold: &Hold, price: NanoUsd) {
        for (key, _) in hold.usd() {
            let usd = self.usd.entry(key.clone()).or_default();
            usd.settled = usd.settled.saturating_add(price.get());
            if key.scope == Scope::Global {
                usd.settled = usd.settled.saturating_sub(hold.amount);
                usd.waste = usd.waste.saturating_sub(hold.amount);
            }
            self.changes.usd(key);
        }
    }

    fn take(&mut self, run: RunId, hold: Hold) {
        for (key, _) in hold.usd() {
            let usd = self.usd.entry(key).or_default();
            usd.held = usd.held.saturating_add(hold.amount);
        }
        for key in hold.logs() {
            let slot = Slot { at_ms: hold.at_ms, run };
            self.logs.entry(key.clone()).or_default().push(slot);
            self.changes.slot_taken(key, slot);
        }
        self.runs.insert(run, Run::Open(hold));
        self.changes.run(run);
    }

    fn give_slots_back(&mut self, run: RunId, hold: &Hold) {
        let slot = Slot { at_ms: hold.at_ms, run };
        for key in hold.logs() {
            if self.logs.get_mut(&key).is_some_and(|log| log.remove(slot)) {
                self.changes.slot_returned(key, slot);
            }
        }
    }

    fn forget(&mut self, run: RunId) -> Option<Run> {
        let known = self.runs.remove(&run)?;
        self.changes.run(run);
        Some(known)
    }

    fn readings(&mut self, binds: &[Bind], day: u64, now: Now) -> Vec<Reading> {
        binds.iter().map(|bind| self.reading(bind, day, now)).collect()
    }

    fn reading(&mut self, bind: &Bind, day: u64, now: Now) -> Reading {
        match bind.quota {
            Quota::UsdPerDay { .. } => {
                let usd = self.usd.get(&usd_key(day, bind)).copied().unwrap_or_default();
                Reading::usd(usd.settled.saturating_add(usd.held), day)
            }
            Quota::Requests { max, window_ms } => {
                let key = LogKey { scope: bind.scope, subject: Arc::clone(&bind.subject), window_ms };
                let Entry::Occupied(mut log) = self.logs.entry(key) else {
                    return Reading::requests(0, window_ms, None, None, now.unix_ms);
                };
                let used = log.get_mut().trim(window_ms, now.steady_ms);
                // The log goes by steady time, the answer by wall time.
                let wall = |at: u64| now.unix_ms.saturating_sub(now.steady_ms.saturating_sub(at));
                let at = |position| log.get().at(position).map(wall);
                let blocked = blocker(used, max).and_then(at);
                Reading::requests(used, window_ms, at(0), blocked, now.unix_ms)
            }
        }
    }

    /// True while a gap between sweeps may have kept living processes from renewing. A second gap in a row is no
    /// reason to wait again: a caller that always sweeps too rarely must still end what is dead.
    fn in_grace(&mut self, now_ms: u64) -> bool {
        let gap = self.last_sweep_ms.replace(now_ms).is_some_and(|last| now_ms.saturating_sub(last) > SWEEP_GAP_MS);
        match self.grace_until_ms {
            Some(until) if now_ms < until => true,
            Some(_) => {
                self.grace_until_ms = None;
                false
            }
            None if gap => {
                self.grace_until_ms = Some(now_ms.saturating_add(GRACE_MS));
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
