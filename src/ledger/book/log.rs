//! What one sliding window still counts.

use std::collections::VecDeque;

use crate::domain::ids::RunId;

use super::super::binding::{LOOKED_AT, leaves_at};

/// One run's part: since when, by the steady clock, whose, and how much. Never nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Entry {
    pub at_ms: u64,
    pub run: RunId,
    pub amount: u64,
}

/// Oldest first, of one time by run, as Redis has it. Exact, not an approximation by buckets: a limit of N means N in *any* window.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Log {
    entries: VecDeque<Entry>,
    total: u64,
}

impl Log {
    pub fn put(&mut self, entry: Entry) {
        self.total = self.total.saturating_add(entry.amount);
        let place = self.entries.partition_point(|other| (other.at_ms, other.run) <= (entry.at_ms, entry.run));
        self.entries.insert(place, entry);
    }

    /// Drops what the window no longer counts and returns how much it still does.
    pub(super) fn trim(&mut self, window_ms: u64, now_ms: u64) -> u64 {
        while let Some(oldest) = self.entries.front().filter(|e| leaves_at(e.at_ms, window_ms) <= now_ms) {
            self.total = self.total.saturating_sub(oldest.amount);
            self.entries.pop_front();
        }
        self.total
    }

    /// Takes out the oldest entries until `most` are left.
    pub(super) fn keep(&mut self, most: u64) -> Vec<Entry> {
        let over = self.entries.len().saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
        let gone: Vec<Entry> = self.entries.drain(..over).collect();
        self.total = self.total.saturating_sub(gone.iter().map(|entry| entry.amount).sum());
        gone
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.at_ms)
    }

    /// When the entry was admitted that must leave, after all before it, before `excess` is gone; none where there is
    /// no excess or not as much. At most [`LOOKED_AT`] entries are looked at.
    pub(super) fn blocker(&self, excess: u64) -> Option<u64> {
        if excess == 0 || excess > self.total {
            return None;
        }
        let mut left = excess;
        for entry in self.entries.iter().take(LOOKED_AT) {
            left = left.saturating_sub(entry.amount);
            if left == 0 {
                return Some(entry.at_ms);
            }
        }
        self.entries.get(LOOKED_AT - 1).map(|entry| entry.at_ms)
    }

    /// True where the window still counts this entry, or has not been trimmed since it left.
    pub(super) fn has(&self, entry: Entry) -> bool {
        self.place(entry).is_some()
    }

    /// Takes an entry out again; false where the window had let it go already.
    pub(super) fn remove(&mut self, entry: Entry) -> bool {
        let Some(place) = self.place(entry) else { return false };
        self.total = self.total.saturating_sub(entry.amount);
        self.entries.remove(place).is_some()
    }

    fn place(&self, entry: Entry) -> Option<usize> {
        let first = self.entries.partition_point(|other| other.at_ms < entry.at_ms);
        let same_time = self.entries.range(first..).take_while(|other| other.at_ms == entry.at_ms);
        same_time.enumerate().find(|(_, other)| other.run == entry.run).map(|(offset, _)| first + offset)
    }
}
