//! The wall clock of one call.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Interrupts below which a script can't have used up its time by running: it gets here within microseconds, so the clock ran
/// because the thread was not scheduled (or one library function took long).
const BARELY_RAN: u32 = 256;

/// The clock is read at every n-th interrupt: reading it costs more than the interrupt. Library functions between two
/// readings are bounded (guards.luau), so this is small change.
const READ_EVERY: u32 = 4;

/// Asked at every interrupt of the VM: on each loop turn, call and return, and at each step of a pattern match.
#[derive(Default)]
pub(super) struct Watch {
    deadline: Cell<Option<Instant>>,
    limit: Cell<Duration>,
    interrupts: Cell<u32>,
    second_chance_used: Cell<bool>,
    expired: Cell<bool>,
}

impl Watch {
    pub(super) fn start(&self, limit: Duration) {
        self.deadline.set(Some(Instant::now() + limit));
        self.limit.set(limit);
        self.interrupts.set(0);
        self.second_chance_used.set(false);
        self.expired.set(false);
    }

    /// Ends the call; true when its time ran out, even if the script swallowed the error and returned.
    pub(super) fn stop(&self) -> bool {
        self.deadline.set(None);
        self.expired.get()
    }

    /// True = raise an error now. Once true it stays true, so a `pcall` around the loop only meets the next one.
    pub(super) fn is_over(&self) -> bool {
        if self.expired.get() {
            return true;
        }
        let Some(deadline) = self.deadline.get() else { return false };
        let interrupts = self.interrupts.get().saturating_add(1);
        self.interrupts.set(interrupts);
        if !interrupts.is_multiple_of(READ_EVERY) {
            return false;
        }
        let now = Instant::now();
        if now < deadline {
            return false;
        }
        if interrupts < BARELY_RAN && !self.second_chance_used.replace(true) {
            self.deadline.set(Some(now + self.limit.get()));
            return false;
        }
        self.expired.set(true);
        true
    }

    /// Time that the host used on the script's behalf is not the script's.
    pub(super) fn excuse(&self, spent: Duration) {
        if let Some(deadline) = self.deadline.get() {
            self.deadline.set(Some(deadline + spent));
        }
    }
}
