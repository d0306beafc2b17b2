//! What this process wrote last, so that a Redis that has forgotten its last moments can be told of them again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// How long a write is remembered after it was acknowledged. An outage does not count: without newer writes none goes.
const KEPT: Duration = Duration::from_secs(60);

/// Writes remembered at most, some hundred bytes each; more in [`KEPT`] than that shorten it.
const MOST: usize = 50_000;

/// The verbs whose effect must not be forgotten. Expiry is none: whatever was due is due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Reserve,
    Extend,
    Settle,
    Void,
}

/// One acknowledged write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub verb: Verb,
    /// Its own arguments, which hold no line feed, joined by line feeds.
    pub args: String,
    /// When it was made, by the store's clock.
    pub at_ms: u64,
}

/// Why the tail can't fill the gap: so many writes that the store has forgotten are forgotten here as well, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap(pub u64);

pub(super) struct Tail {
    process: String,
    newest: AtomicU64,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    writes: BTreeMap<u64, (Instant, Write)>,
    /// The newest number that is not remembered any more.
    dropped: u64,
}

impl Log {
    /// Whether the oldest write may go.
    fn is_over(&self, now: Instant) -> bool {
        let oldest = self.writes.first_key_value();
        self.writes.len() > MOST || oldest.is_some_and(|(_, (noted, _))| now.duration_since(*noted) > KEPT)
    }
}

impl Tail {
    pub fn new() -> Self {
        Tail { process: Uuid::now_v7().simple().to_string(), newest: AtomicU64::new(0), log: Mutex::default() }
    }

    /// Names this process in the store.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// The highest number that the store has acknowledged.
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Remembers an acknowledged write. Numbers may come out of order.
    pub fn note(&self, number: u64, write: Write) {
        let now = Instant::now();
        let mut log = locked(&self.log);
        log.writes.insert(number, (now, write));
        while log.is_over(now)
            && let Some((gone, _)) = log.writes.pop_first()
        {
            log.dropped = log.dropped.max(gone);
        }
        // Under the lock: who sees the number finds the write.
        self.newest.fetch_max(number, Ordering::Release);
    }

    /// Everything after write `known`, in order. Errors: some of it is forgotten.
    pub fn after(&self, known: u64) -> Result<Vec<(u64, Write)>, Gap> {
        let log = locked(&self.log);
        if log.dropped > known {
            return Err(Gap(log.dropped - known));
        }
        Ok(log.writes.range(known + 1..).map(|(number, (_, write))| (*number, write.clone())).collect())
    }

    /// From now on nobody asks for what is forgotten here.
    pub fn forgive(&self) {
        locked(&self.log).dropped = 0;
    }
}

fn locked(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    // Every write is whole in it, whatever panicked while it was locked.
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at_ms: u64) -> Write {
        Write { verb: Verb::Void, args: String::new(), at_ms }
    }

    fn numbers(tail: &Tail, known: u64) -> Result<Vec<u64>, Gap> {
        tail.after(known).map(|writes| writes.into_iter().map(|(number, _)| number).collect())
    }

    #[test]
    fn what_comes_after_a_number_is_told_in_order_however_it_was_acknowledged() {
        let tail = Tail::new();
        for number in [2, 1, 4, 3] {
            tail.note(number, write(number));
        }
        assert_eq!((tail.newest(), numbers(&tail, 2), numbers(&tail, 4)), (4, Ok(vec![3, 4]), Ok(vec![])));
    }

    #[test]
    fn a_gap_that_is_not_remembered_is_an_error_until_it_is_forgiven() {
        let tail = Tail::new();
        let most = MOST as u64;
        for number in 1..=most + 2 {
            tail.note(number, write(number));
        }
        assert_eq!((numbers(&tail, 1), numbers(&tail, 2).map(|all| all.len())), (Err(Gap(1)), Ok(MOST)));
        tail.forgive();
        assert_eq!(numbers(&tail, 0).map(|all| all.len()), Ok(MOST));
    }
}
