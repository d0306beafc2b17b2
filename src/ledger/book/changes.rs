//! What the file does not know yet, and the book's other side: loading and saving it.

use std::collections::HashSet;

use crate::domain::ids::RunId;

use super::{Book, Hold, LogKey, Run, Slot, Usd, UsdKey};

/// Everything touched since the last commit, each thing once however often it changed. Held sums are not listed:
/// they follow from the runs.
#[derive(Debug, Default)]
pub(in super::super) struct Changes {
    pub usd: HashSet<UsdKey>,
    pub runs: HashSet<RunId>,
    pub taken: Vec<(LogKey, Slot)>,
    /// Given back by a void.
    pub returned: Vec<(LogKey, Slot)>,
}

impl Changes {
    pub(super) fn usd(&mut self, key: UsdKey) {
        self.usd.insert(key);
    }

    pub(super) fn run(&mut self, run: RunId) {
        self.runs.insert(run);
    }

    pub(super) fn slot_taken(&mut self, key: LogKey, slot: Slot) {
        self.taken.push((key, slot));
    }

    pub(super) fn slot_returned(&mut self, key: LogKey, slot: Slot) {
        self.returned.push((key, slot));
    }
}

impl Book {
    /// Hands out the changes and starts a new list.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    pub fn usd(&self, key: &UsdKey) -> Usd {
        self.usd.get(key).copied().unwrap_or_default()
    }

    pub fn run(&self, run: &RunId) -> Option<&Run> {
        self.runs.get(run)
    }

    pub fn load_usd(&mut self, key: UsdKey, settled: u64, waste: u64) {
        let usd = self.usd.entry(key).or_default();
        (usd.settled, usd.waste) = (settled, waste);
    }

    pub fn load_run(&mut self, run: RunId, state: Run) {
        if let Run::Open(hold) = &state {
            self.load_held(hold);
        }
        self.runs.insert(run, state);
    }

    /// Oldest first.
    pub fn load_slot(&mut self, key: LogKey, slot: Slot) {
        self.logs.entry(key).or_default().push(slot);
    }

    fn load_held(&mut self, hold: &Hold) {
        for (key, _) in hold.usd() {
            let usd = self.usd.entry(key).or_default();
            usd.held = usd.held.saturating_add(hold.amount);
        }
    }
}
