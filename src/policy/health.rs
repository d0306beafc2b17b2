//! How a script is doing: counted, logged sparingly, and left alone for a while when it only fails.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::hook::Hook;

/// Failures in a row that quarantine a script.
const IN_A_ROW: u32 = 20;
const QUARANTINE: Duration = Duration::from_secs(60);
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Failures of one hook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookFailures {
    pub total: u64,
    /// The script is not run at the moment; its built-in rule applies.
    pub quarantined: bool,
}

#[derive(Default)]
pub(super) struct Health {
    total: AtomicU64,
    in_a_row: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    quarantined_until: Option<Instant>,
    logged_at: Option<Instant>,
    unlogged: u64,
}

impl Health {
    pub(super) fn is_quarantined(&self, now: Instant) -> bool {
        // The lock is for failing scripts only.
        self.in_a_row.load(Ordering::Relaxed) >= IN_A_ROW && self.state().quarantined_until.is_some_and(|end| now < end)
    }

    pub(super) fn succeeded(&self) {
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn failed(&self, now: Instant, hook: Hook, reason: &str) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let mut state = self.state();
        state.unlogged += 1;
        if state.logged_at.is_none_or(|at| now.duration_since(at) >= LOG_EVERY) {
            state.logged_at = Some(now);
            let failures = std::mem::take(&mut state.unlogged);
            tracing::warn!(hook = hook.as_str(), failures, reason, "A policy failed; its built-in rule was used");
        }
        let was_free = state.quarantined_until.is_none_or(|end| now >= end);
        // After a quarantine the first failure starts the next one; only a success clears the count.
        if in_a_row >= IN_A_ROW && was_free {
            state.quarantined_until = Some(now + QUARANTINE);
            let seconds = QUARANTINE.as_secs();
            tracing::warn!(
                hook = hook.as_str(),
                seconds,
                reason,
                "A policy failed {IN_A_ROW} times in a row and is quarantined"
            );
        }
    }

    pub(super) fn failures(&self, now: Instant) -> HookFailures {
        HookFailures { total: self.total.load(Ordering::Relaxed), quarantined: self.is_quarantined(now) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(health: &Health, now: Instant, times: u32) {
        for _ in 0..times {
            health.failed(now, Hook::Tiers, "test");
        }
    }

    #[test]
    fn twenty_failures_in_a_row_quarantine_a_script_for_a_minute() {
        let health = Health::default();
        let start = Instant::now();
        fail(&health, start, 19);
        assert!(!health.is_quarantined(start));
        fail(&health, start, 1);
        assert!(health.is_quarantined(start + Duration::from_secs(59)));
        assert!(!health.is_quarantined(start + Duration::from_secs(60)));
        assert_eq!(health.failures(start), HookFailures { total: 20, quarantined: true });
    }

    #[test]
    fn a_success_starts_the_count_anew() {
        let health = Health::default();
        let start = Instant::now();
        fail(&health, start, 19);
        health.succeeded();
        fail(&health, start, 19);
        assert!(!health.is_quarantined(start));
    }

    #[test]
    fn after_a_quarantine_one_failure_starts_the_next_and_one_success_ends_it() {
        let health = Health::default();
        let start = Instant::now();
        fail(&health, start, 20);
        let later = start + Duration::from_secs(61);
        fail(&health, later, 1);
        assert!(health.is_quarantined(later + Duration::from_secs(59)));
        let much_later = start + Duration::from_secs(200);
        health.succeeded();
        fail(&health, much_later, 1);
        assert!(!health.is_quarantined(much_later));
    }
}
