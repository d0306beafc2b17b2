//! What every live counter stands at.

use crate::domain::limit::{Scope, Unit, Window};
use crate::domain::money::NanoUsd;

use super::book::Sum;
use super::counter::Counter;

/// What every live counter stands at. One at zero is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// Sorted by scope, id, unit and window. The global dollars of today (UTC) are always there.
    pub counters: Vec<CounterUsage>,
    /// What expired holds have cost today (UTC). It is part of what the global scope has settled.
    pub platform_waste: NanoUsd,
    pub open_holds: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CounterUsage {
    pub scope: Scope,
    /// Id within the scope; empty for `global`.
    pub id: String,
    pub unit: Unit,
    pub window: Window,
    pub used: Used,
    /// Unix milliseconds: end of the calendar window, or when the oldest entry leaves a sliding one; the time of the
    /// report for concurrent runs.
    pub resets_at_ms: u64,
}

/// In the counter's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Used {
    /// Money and tokens of a calendar window.
    Parted { settled: u64, held: u64 },
    /// Everything else: settled and held are not told apart, or mean nothing.
    Whole(u64),
}

/// A report in the making.
pub(super) struct Totals {
    now_ms: u64,
    report: UsageReport,
}

impl Totals {
    pub fn new(now_ms: u64, open_holds: u64) -> Self {
        Totals { now_ms, report: UsageReport { open_holds, ..UsageReport::default() } }
    }

    /// A calendar window, if it is the one that is running.
    pub fn sum(&mut self, counter: Counter, ends_ms: u64, sum: Sum) {
        if counter.window.span(self.now_ms).is_none_or(|span| span.end_ms != ends_ms) {
            return;
        }
        if is_global_day(&counter) {
            self.report.platform_waste = NanoUsd::new(sum.waste);
        }
        let used = if counter.grows() {
            Used::Parted { settled: sum.settled, held: sum.held }
        } else {
            Used::Whole(sum.settled.saturating_add(sum.held))
        };
        self.add(counter, used, ends_ms);
    }

    pub fn sliding(&mut self, counter: Counter, used: u64, resets_at_ms: u64) {
        self.add(counter, Used::Whole(used), resets_at_ms);
    }

    pub fn running(&mut self, counter: Counter, runs: u64) {
        let now_ms = self.now_ms;
        self.add(counter, Used::Whole(runs), now_ms);
    }

    fn add(&mut self, counter: Counter, used: Used, resets_at_ms: u64) {
        let is_nothing = matches!(used, Used::Whole(0) | Used::Parted { settled: 0, held: 0 });
        // One for each body in the last minute: of no use to anyone who reads a report.
        if !is_nothing && counter.unit != Unit::Identical {
            let Counter { scope, subject, unit, window } = counter;
            let id = subject.to_string();
            self.report.counters.push(CounterUsage { scope, id, unit, window, used, resets_at_ms });
        }
    }

    pub fn report(mut self) -> UsageReport {
        let shown = |c: &CounterUsage| c.scope == Scope::Global && c.unit == Unit::Usd && c.window == Window::DAY;
        if let Some(today) = Window::DAY.span(self.now_ms)
            && !self.report.counters.iter().any(shown)
        {
            self.report.counters.push(CounterUsage {
                scope: Scope::Global,
                id: String::new(),
                unit: Unit::Usd,
                window: Window::DAY,
                used: Used::Parted { settled: 0, held: 0 },
                resets_at_ms: today.end_ms,
            });
        }
        self.report.counters.sort();
        self.report
    }
}

fn is_global_day(counter: &Counter) -> bool {
    counter.scope == Scope::Global && counter.unit == Unit::Usd && counter.window == Window::DAY
}
