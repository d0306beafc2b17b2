//! The ledger's rules as a state machine without clock, file or network. On SQLite it *is* the ledger, in the memory
//! of the writer thread; for Redis it is the model that the scripts are tested against.

mod changes;
mod hold;
mod log;

use std::collections::HashMap;

use crate::domain::ids::RunId;
use crate::domain::limit::Window;
use crate::store::{Now, StoreError};

use super::binding::{Reading, bind, decide, leaves_at, repeat};
use super::counter::{Bind, Counter};
use super::{Amount, Bill, Expired, HOLD_TTL, RENEW_EVERY, Reserve, Reserved, SWEEP_EVERY, Settled};

pub(super) use changes::{Changes, Put};
pub(super) use hold::{Hold, Run};
pub(super) use log::{Entry, Log};

/// How long a calendar window is kept after its end.
pub(super) const KEPT_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
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

/// One calendar window of one counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SumKey {
    pub ends_ms: u64,
    pub counter: Counter,
}

impl SumKey {
    fn of(bind: &Bind) -> Self {
        SumKey { ends_ms: bind.ends_ms, counter: bind.counter.clone() }
    }
}

/// What one calendar window has counted, in its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub settled: u64,
    pub held: u64,
    /// Part of `settled` that paid for expired holds.
    pub waste: u64,
}

#[derive(Default)]
pub(super) struct Book {
    sums: HashMap<SumKey, Sum>,
    logs: HashMap<Counter, Log>,
    /// Open runs by counter. None is zero.
    open: HashMap<Counter, u64>,
    runs: HashMap<RunId, Run>,
    last_sweep_ms: Option<u64>,
    grace_until_ms: Option<u64>,
    changes: Changes,
}

impl Book {
    pub fn reserve(&mut self, ask: &Reserve, now: Now) -> Result<Reserved, StoreError> {
        if let Some(known) = self.runs.get(&ask.run) {
            let Run::Open(hold) = known else { return Err(StoreError::NoHold(ask.run)) };
            let (binds, held) = (hold.binds.clone(), hold.amount);
            return Ok(repeat(&binds, &self.readings(&binds, held, now), held));
        }
        let binds = bind(&ask.subjects, &ask.limits, now.unix_ms);
        self.reserve_under(ask.run, ask.amount, binds, now)
    }

    /// As [`Book::reserve`], under these counters.
    pub fn reserve_under(
        &mut self,
        run: RunId,
        amount: Amount,
        binds: Vec<Bind>,
        now: Now,
    ) -> Result<Reserved, StoreError> {
        if self.runs.contains_key(&run) {
            return Err(StoreError::NoHold(run));
        }
        let readings = self.readings(&binds, amount, now);
        let decision = decide(&binds, &readings, amount, now.unix_ms);
        if matches!(decision, Reserved::Held { .. }) {
            self.take(run, amount, binds, now);
        } else {
            self.note_loops(run, &binds, &readings, now);
        }
        Ok(decision)
    }

    /// Takes a hold whatever the counters say, if the run has none and has not ended.
    pub fn take_whatever(&mut self, run: RunId, amount: Amount, binds: Vec<Bind>, now: Now) -> Reserved {
        if !self.runs.contains_key(&run) {
            self.take(run, amount, binds, now);
        }
        Reserved::Held { limits: Vec::new() }
    }

    pub fn extend(&mut self, run: RunId, more: Amount, now: Now) -> Result<Reserved, StoreError> {
        let Some(Run::Open(hold)) = self.runs.get(&run) else { return Err(StoreError::NoHold(run)) };
        let old = hold.clone();
        let binds: Vec<Bind> = old.binds.iter().filter(|bind| bind.counter.grows()).cloned().collect();
        let mut readings = self.readings(&binds, more, now);
        for (bind, reading) in binds.iter().zip(&mut readings) {
            // What a sliding window has let go comes back with the extension.
            if let Some(entry) = old.entry(run, bind).filter(|entry| !self.counts(&bind.counter, *entry)) {
                reading.used = reading.used.saturating_add(entry.amount);
            }
        }
        let decision = decide(&binds, &readings, more, now.unix_ms);
        if matches!(decision, Reserved::Held { .. }) {
            let grown = Hold { amount: old.amount.plus(more), grown_ms: now.steady_ms, ..old.clone() };
            for bind in &binds {
                self.grow(run, bind, &old, &grown);
            }
            self.runs.insert(run, Run::Open(grown));
            self.changes.runs.insert(run);
        }
        Ok(decision)
    }

    pub fn settle(&mut self, run: RunId, bill: &Bill, now: Now) -> Settled {
        match self.forget(run) {
            Some(Run::Open(hold)) => {
                for bind in &hold.binds {
                    let charge = bill.charge(&bind.counter.scope, &bind.counter.subject, bind.counter.unit);
                    self.release(run, bind, &hold, charge, now);
                }
                Settled::Booked
            }
            Some(Run::Expired { hold, .. }) => {
                for bind in &hold.binds {
                    let charge = bill.charge(&bind.counter.scope, &bind.counter.subject, bind.counter.unit);
                    self.correct(run, bind, &hold, charge, now);
                }
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
                for bind in &hold.binds {
                    self.release(run, bind, &hold, 0, now);
                }
            }
            Some(Run::Expired { hold, .. }) => {
                for bind in &hold.binds {
                    self.correct(run, bind, &hold, 0, now);
                }
            }
            Some(Run::Void { at_ms }) => {
                self.runs.insert(run, Run::Void { at_ms });
            }
            None => {
                self.runs.insert(run, Run::Void { at_ms: now.steady_ms });
                self.changes.runs.insert(run);
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

    /// Forgets windows and ended runs that no rule asks for any more.
    pub fn purge(&mut self, now: Now) {
        self.sums.retain(|key, sum| key.ends_ms.saturating_add(KEPT_MS) > now.unix_ms || sum.held > 0);
        self.logs.retain(|counter, log| match counter.window {
            Window::Sliding { ms } => log.trim(ms, now.steady_ms) > 0,
            Window::Calendar(..) | Window::Open => false,
        });
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
        for bind in &hold.binds {
            let booked = bind.counter.at_expiry(bind.step(hold.amount));
            self.release(run, bind, &hold, booked, now);
            if bind.counter.grows() && booked > 0 && bind.ends_ms > 0 {
                let sum = self.sums.entry(SumKey::of(bind)).or_default();
                sum.waste = sum.waste.saturating_add(booked);
            }
        }
        let amount = hold.amount.usd;
        self.runs.insert(run, Run::Expired { hold, at_ms: now.steady_ms });
        Some(Expired { run, amount })
    }

    fn take(&mut self, run: RunId, amount: Amount, binds: Vec<Bind>, now: Now) {
        let deadline_ms = now.steady_ms.saturating_add(HOLD_TTL_MS);
        let hold = Hold { amount, binds, at_ms: now.steady_ms, grown_ms: now.steady_ms, deadline_ms };
        for bind in &hold.binds {
            self.load_held(bind, hold.amount);
            if let Some(entry) = hold.entry(run, bind) {
                self.put(&bind.counter, entry);
            }
        }
        self.runs.insert(run, Run::Open(hold));
        self.changes.runs.insert(run);
    }

    /// Counts an ask that was refused for being one too many of the same.
    fn note_loops(&mut self, run: RunId, binds: &[Bind], readings: &[Reading], now: Now) {
        for (bind, _) in binds.iter().zip(readings).filter(|(bind, at)| bind.counts_refusals(at.used)) {
            self.put(&bind.counter, Entry { at_ms: now.steady_ms, run, amount: 1 });
            let over = self.logs.get_mut(&bind.counter).map(|log| log.keep(bind.max)).unwrap_or_default();
            self.changes.entries.extend(over.into_iter().map(|entry| (bind.counter.clone(), entry, Put::Out)));
        }
    }

    /// What an open hold keeps in this counter, as far as it is not written down by itself.
    fn load_held(&mut self, bind: &Bind, amount: Amount) {
        match bind.counter.window {
            Window::Calendar(..) => {
                let sum = self.sums.entry(SumKey::of(bind)).or_default();
                sum.held = sum.held.saturating_add(bind.step(amount));
            }
            Window::Open => *self.open.entry(bind.counter.clone()).or_default() += 1,
            Window::Sliding { .. } => {}
        }
    }

    /// Replaces what an open hold keeps in this counter by `charge`.
    fn release(&mut self, run: RunId, bind: &Bind, hold: &Hold, charge: u64, now: Now) {
        match bind.counter.window {
            Window::Calendar(..) => {
                let key = SumKey::of(bind);
                let sum = self.sums.entry(key.clone()).or_default();
                sum.held = sum.held.saturating_sub(bind.step(hold.amount));
                sum.settled = sum.settled.saturating_add(charge);
                if charge > 0 {
                    self.changes.sums.insert(key);
                }
            }
            Window::Sliding { ms } => self.replace(run, bind, hold, (bind.step(hold.amount), charge), (ms, now)),
            Window::Open => {
                if let Some(left) = self.open.get_mut(&bind.counter) {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        self.open.remove(&bind.counter);
                    }
                }
            }
        }
    }

    /// Replaces what an expired hold was charged in this counter by `charge`.
    fn correct(&mut self, run: RunId, bind: &Bind, hold: &Hold, charge: u64, now: Now) {
        let booked = bind.counter.at_expiry(bind.step(hold.amount));
        match bind.counter.window {
            Window::Calendar(..) if booked == 0 && charge == 0 => {}
            Window::Calendar(..) => {
                let key = SumKey::of(bind);
                let sum = self.sums.entry(key.clone()).or_default();
                sum.settled = sum.settled.saturating_add(charge).saturating_sub(booked);
                if bind.counter.grows() {
                    sum.waste = sum.waste.saturating_sub(booked);
                }
                self.changes.sums.insert(key);
            }
            Window::Sliding { ms } => self.replace(run, bind, hold, (booked, charge), (ms, now)),
            Window::Open => {}
        }
    }

    fn replace(&mut self, run: RunId, bind: &Bind, hold: &Hold, (from, to): (u64, u64), (window_ms, now): (u64, Now)) {
        let entry = |amount| Entry { at_ms: hold.since(bind), run, amount };
        if from == to || (from > 0 && !self.remove(&bind.counter, entry(from))) {
            return;
        }
        if to > 0 && leaves_at(hold.since(bind), window_ms) > now.steady_ms {
            self.put(&bind.counter, entry(to));
        }
    }

    fn grow(&mut self, run: RunId, bind: &Bind, old: &Hold, grown: &Hold) {
        if bind.counter.window.is_sliding() {
            if let Some(entry) = old.entry(run, bind) {
                self.remove(&bind.counter, entry);
            }
            if let Some(entry) = grown.entry(run, bind) {
                self.put(&bind.counter, entry);
            }
        } else {
            let sum = self.sums.entry(SumKey::of(bind)).or_default();
            sum.held = sum.held.saturating_add(bind.step(grown.amount)).saturating_sub(bind.step(old.amount));
        }
    }

    fn put(&mut self, counter: &Counter, entry: Entry) {
        self.logs.entry(counter.clone()).or_default().put(entry);
        self.changes.entries.push((counter.clone(), entry, Put::In));
    }

    fn remove(&mut self, counter: &Counter, entry: Entry) -> bool {
        let removed = self.logs.get_mut(counter).is_some_and(|log| log.remove(entry));
        if removed {
            self.changes.entries.push((counter.clone(), entry, Put::Out));
        }
        removed
    }

    fn counts(&self, counter: &Counter, entry: Entry) -> bool {
        self.logs.get(counter).is_some_and(|log| log.has(entry))
    }

    fn forget(&mut self, run: RunId) -> Option<Run> {
        let known = self.runs.remove(&run)?;
        self.changes.runs.insert(run);
        Some(known)
    }

    fn readings(&mut self, binds: &[Bind], amount: Amount, now: Now) -> Vec<Reading> {
        binds.iter().map(|bind| self.reading(bind, amount, now)).collect()
    }

    fn reading(&mut self, bind: &Bind, amount: Amount, now: Now) -> Reading {
        match bind.counter.window {
            Window::Calendar(..) => {
                let sum = self.sum(&SumKey::of(bind));
                Reading::new(bind, sum.settled.saturating_add(sum.held), None, None, now.unix_ms)
            }
            Window::Sliding { ms } => {
                let Some(log) = self.logs.get_mut(&bind.counter) else {
                    return Reading::new(bind, 0, None, None, now.unix_ms);
                };
                let used = log.trim(ms, now.steady_ms);
                let excess = bind.excess(amount, used);
                // The log goes by steady time, the answer by wall time.
                let wall = |at: u64| now.unix_ms.saturating_sub(now.steady_ms.saturating_sub(at));
                Reading::new(bind, used, log.oldest().map(wall), log.blocker(excess).map(wall), now.unix_ms)
            }
            Window::Open => {
                let used = self.open.get(&bind.counter).copied().unwrap_or_default();
                Reading::new(bind, used, None, None, now.unix_ms)
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
