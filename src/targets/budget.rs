//! What further calls (retries and fallbacks) the fleet makes: a share of its runs, and some per second.
//!
//! Each process keeps its own budget. The share is of its own runs, so the shares add up to that of the fleet; the
//! calls per second are divided by the replicas that live.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many further calls the fleet may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryRule {
    /// Of all runs.
    pub percent: u32,
    /// Besides those, so that a gateway with little to do can retry at all.
    pub per_second: u32,
}

/// What is not used is kept for so long: a provider that goes down takes many calls with it at once, and they should find
/// their fallback; what older times have saved up would be a storm.
const KEPT: Duration = Duration::from_secs(10);

/// In billionths, so that nanoseconds and percents are whole numbers.
const CALL: u64 = 1_000_000_000;

#[derive(Debug, Default)]
pub(super) struct RetryBudget {
    /// What time has brought. A second's worth at the start, so that from the start on the fleet never makes more calls
    /// than it was brought, but those.
    by_time: u64,
    /// None before its first use.
    filled_at: Option<Instant>,
    /// What runs have brought, by the seconds in which they began.
    by_runs: VecDeque<(Instant, u64)>,
}

impl RetryBudget {
    /// A run begins, and with it the calls that there may be grow.
    pub(super) fn count_run(&mut self, rule: RetryRule, replicas: u32, now: Instant) {
        self.pass(rule, replicas, now);
        let share = u64::from(rule.percent) * CALL / 100;
        match self.by_runs.back_mut().filter(|(since, _)| now.saturating_duration_since(*since).as_secs() == 0) {
            Some((_, brought)) => *brought = brought.saturating_add(share),
            None => self.by_runs.push_back((now, share)),
        }
    }

    /// Takes one further call out. False = there is none left.
    pub(super) fn take(&mut self, rule: RetryRule, replicas: u32, now: Instant) -> bool {
        self.pass(rule, replicas, now);
        let left = self.by_runs.iter().fold(self.by_time, |sum, (_, brought)| sum.saturating_add(*brought));
        if left < CALL {
            return false;
        }
        // What goes soonest is used first.
        let mut owed = CALL;
        for (_, brought) in &mut self.by_runs {
            let paid = owed.min(*brought);
            (*brought, owed) = (*brought - paid, owed - paid);
        }
        self.by_time = self.by_time.saturating_sub(owed);
        true
    }

    /// Lets time bring what it brings, and take what is too old.
    fn pass(&mut self, rule: RetryRule, replicas: u32, now: Instant) {
        while self.by_runs.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) > KEPT) {
            self.by_runs.pop_front();
        }
        let second = a_second(rule, replicas);
        let Some(before) = self.filled_at else {
            (self.filled_at, self.by_time) = (Some(now), second);
            return;
        };
        // Threads read their clocks before they come here, so time may seem to go back a little.
        let passed = now.saturating_duration_since(before).min(KEPT).as_nanos() as u64;
        let brought = passed.saturating_mul(rule.per_second.into()) / u64::from(replicas.max(1));
        self.filled_at = Some(now.max(before));
        self.by_time = self.by_time.saturating_add(brought).min(second.saturating_mul(KEPT.as_secs()));
    }
}

/// What a second brings; one call at least where the rule allows any, or many replicas would never have a whole one.
fn a_second(rule: RetryRule, replicas: u32) -> u64 {
    let least = if rule.percent == 0 && rule.per_second == 0 { 0 } else { CALL };
    (u64::from(rule.per_second) * CALL / u64::from(replicas.max(1))).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: RetryRule = RetryRule { percent: 20, per_second: 10 };

    fn taken(budget: &mut RetryBudget, rule: RetryRule, replicas: u32, now: Instant) -> u32 {
        (0..1_000).take_while(|_| budget.take(rule, replicas, now)).count() as u32
    }

    #[test]
    fn it_starts_with_a_seconds_calls_and_every_second_brings_as_many() {
        let (mut budget, start) = (RetryBudget::default(), Instant::now());
        assert_eq!(taken(&mut budget, RULE, 1, start), 10);
        assert_eq!(taken(&mut budget, RULE, 1, start + Duration::from_millis(500)), 5);
        assert_eq!(taken(&mut budget, RULE, 1, start + Duration::from_secs(3_600)), 100, "ten seconds' are kept");
    }

    #[test]
    fn five_runs_bring_one_call() {
        let (mut budget, now) = (RetryBudget::default(), Instant::now());
        taken(&mut budget, RULE, 1, now);
        let made: u32 = (0..500)
            .map(|_| {
                budget.count_run(RULE, 1, now);
                taken(&mut budget, RULE, 1, now)
            })
            .sum();
        assert_eq!(made, 100);
    }

    #[test]
    fn what_runs_bring_is_kept_for_ten_seconds() {
        let start = Instant::now();
        for (seconds, calls) in [(5, 100 + 60), (10, 100 + 100), (11, 100)] {
            let mut budget = RetryBudget::default();
            (0..500).for_each(|_| budget.count_run(RULE, 1, start));
            assert_eq!(taken(&mut budget, RULE, 1, start + Duration::from_secs(seconds)), calls, "{seconds} s");
        }
    }

    #[test]
    fn the_calls_per_second_are_divided_by_the_replicas_and_none_is_left_without_any() {
        let start = Instant::now();
        for (replicas, calls) in [(2, 5), (10, 1), (30, 1)] {
            let mut budget = RetryBudget::default();
            assert_eq!(taken(&mut budget, RULE, replicas, start), calls, "{replicas}");
            let second = taken(&mut budget, RULE, replicas, start + Duration::from_secs(1));
            assert_eq!(second, 10 / replicas, "{replicas}");
        }
    }

    #[test]
    fn a_rule_that_allows_nothing_allows_nothing() {
        let (mut budget, now) = (RetryBudget::default(), Instant::now());
        let nothing = RetryRule { percent: 0, per_second: 0 };
        budget.count_run(nothing, 1, now);
        assert_eq!(taken(&mut budget, nothing, 1, now + Duration::from_secs(5)), 0);
    }
}
