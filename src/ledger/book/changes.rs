//! What the file does not know yet, and the book's other side: loading and saving it.

use std::collections::HashSet;

use crate::domain::ids::RunId;

use super::super::counter::Counter;
use super::{Book, Entry, Run, Sum, SumKey};

/// Everything touched since the last commit, in the order in which it happened where that matters. What is held or
/// open is not listed: it follows from the runs.
#[derive(Debug, Default)]
pub(in super::super) struct Changes {
    pub sums: HashSet<SumKey>,
    pub runs: HashSet<RunId>,
    pub entries: Vec<(Counter, Entry, Put)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Put {
    In,
    Out,
}

impl Book {
    /// Hands out the changes and starts a new list.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    pub fn sum(&self, key: &SumKey) -> Sum {
        self.sums.get(key).copied().unwrap_or_default()
    }

    pub fn run(&self, run: &RunId) -> Option<&Run> {
        self.runs.get(run)
    }

    pub fn load_sum(&mut self, key: SumKey, settled: u64, waste: u64) {
        let sum = self.sums.entry(key).or_default();
        (sum.settled, sum.waste) = (settled, waste);
    }

    pub fn load_run(&mut self, run: RunId, state: Run) {
        if let Run::Open(hold) = &state {
            for bind in &hold.binds {
                self.load_held(bind, hold.amount);
            }
        }
        self.runs.insert(run, state);
    }

    /// Oldest first.
    pub fn load_entry(&mut self, counter: Counter, entry: Entry) {
        self.logs.entry(counter).or_default().put(entry);
    }
}
