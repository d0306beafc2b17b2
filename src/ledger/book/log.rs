//! The admissions that one sliding window still counts.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::ids::RunId;
use crate::domain::limit::{Quota, Scope};

use super::super::binding::{Bind, leaves_at};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct LogKey {
    pub scope: Scope,
    pub subject: Arc<str>,
    pub window_ms: u64,
}

impl LogKey {
    pub(super) fn of(bind: &Bind) -> Option<Self> {
        match bind.quota {
            Quota::Requests { window_ms, .. } => {
                Some(LogKey { scope: bind.scope, subject: Arc::clone(&bind.subject), window_ms })
            }
            Quota::UsdPerDay { .. } => None,
        }
    }
}

/// One admission: when, by the steady clock, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Slot {
    pub at_ms: u64,
    pub run: RunId,
}

/// Oldest first. Exact, not an approximation by buckets: a limit of N means N in *any* window.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Log {
    slots: VecDeque<Slot>,
}

impl Log {
    pub fn push(&mut self, slot: Slot) {
        self.slots.push_back(slot);
    }

    /// Drops what the window no longer counts and returns how many it still does.
    pub(super) fn trim(&mut self, window_ms: u64, now_ms: u64) -> u64 {
        while self.slots.front().is_some_and(|slot| leaves_at(slot.at_ms, window_ms) <= now_ms) {
            self.slots.pop_front();
        }
        u64::try_from(self.slots.len()).unwrap_or(u64::MAX)
    }

    /// Admission time at a position from the oldest.
    pub(super) fn at(&self, position: u64) -> Option<u64> {
        self.slots.get(usize::try_from(position).ok()?).map(|slot| slot.at_ms)
    }

    /// Takes an admission out again; false where the window had let it go already.
    pub(super) fn remove(&mut self, slot: Slot) -> bool {
        let first = self.slots.partition_point(|other| other.at_ms < slot.at_ms);
        let found = self.slots.range(first..).take_while(|o| o.at_ms == slot.at_ms).position(|o| o.run == slot.run);
        found.is_some_and(|offset| self.slots.remove(first + offset).is_some())
    }
}
