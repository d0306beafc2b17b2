//! What the book remembers of a run.

use serde::{Deserialize, Serialize};

use crate::domain::ids::RunId;

use super::super::Amount;
use super::super::counter::Bind;
use super::Entry;

/// What one run has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Hold {
    /// Held in each of its counters, in the counter's unit.
    pub amount: Amount,
    pub binds: Vec<Bind>,
    /// When it was taken, by the steady clock.
    pub at_ms: u64,
    /// When it was last extended, or taken: its money and tokens count in sliding windows from then on.
    pub grown_ms: u64,
    /// Not stored: a renewal writes nothing, and after a restart every hold gets a whole new term.
    #[serde(skip)]
    pub deadline_ms: u64,
}

impl Hold {
    /// Since when a sliding window counts this hold.
    pub fn since(&self, bind: &Bind) -> u64 {
        if bind.counter.grows() { self.grown_ms } else { self.at_ms }
    }

    /// Its entry in a sliding window; none elsewhere, and none for nothing.
    pub fn entry(&self, run: RunId, bind: &Bind) -> Option<Entry> {
        let amount = bind.step(self.amount);
        let counts = bind.counter.window.is_sliding() && amount > 0;
        counts.then(|| Entry { at_ms: self.since(bind), run, amount })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Run {
    Open(Hold),
    Expired {
        hold: Hold,
        at_ms: u64,
    },
    /// Voided before its reserve came.
    Void {
        at_ms: u64,
    },
}
