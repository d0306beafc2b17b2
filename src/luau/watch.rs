//! The clock of one call.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The clock is read at every n-th interrupt: reading it costs more than the interrupt. Library functions between two
/// readings are bounded (guards.luau), so this is small change.
const READ_EVERY: u32 = 4;

/// Limits after which the wall clock alone decides.
const PATIENCE: u32 = 10;

/// Asked at every interrupt of the VM: on each loop turn, call and return, and at each step of a pattern match.
///
/// Time is up when the wall clock says so and the thread really ran: on a busy machine a thread may wait longer for a
/// processor than any script takes, and that must not turn a harmless script's verdict into a refusal.
#[derive(Default)]
pub(super) struct Watch {
    limit: Cell<Duration>,
    /// None outside of a call.
    deadline: Cell<Option<Instant>>,
    interrupts: Cell<u32>,
    /// The thread's running time, read once a quarter of the limit has passed: short calls never pay for it.
    ran_at_quarter: Cell<Option<Duration>>,
    expired: Cell<bool>,
}

impl Watch {
    pub(super) fn start(&self, limit: Duration) {
        self.limit.set(limit);
        self.deadline.set(Some(Instant::now() + limit));
        self.interrupts.set(0);
        self.ran_at_quarter.set(None);
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
        let interrupts = self.interrupts.get().wrapping_add(1);
        self.interrupts.set(interrupts);
        if !interrupts.is_multiple_of(READ_EVERY) {
            return false;
        }
        let (now, limit) = (Instant::now(), self.limit.get());
        if now + limit * 3 / 4 < deadline {
            return false;
        }
        let ran_at_quarter = self.ran_at_quarter.get().unwrap_or_else(|| {
            let ran = thread_time();
            self.ran_at_quarter.set(Some(ran));
            ran
        });
        if now < deadline {
            return false;
        }
        let ran = thread_time().saturating_sub(ran_at_quarter);
        self.expired.set(ran >= limit / 2 || now >= deadline + limit * PATIENCE);
        self.expired.get()
    }

    /// Time that the host used on the script's behalf is not the script's.
    pub(super) fn excuse(&self, spent: Duration) {
        if let Some(deadline) = self.deadline.get() {
            self.deadline.set(Some(deadline + spent));
        }
    }
}

/// How long this thread has been running on a processor.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanos)
}
