//! The numbers, and nothing about how they come about.

use serde::Serialize;

/// Every snapshot of one model adds up: `calls = answered + aborted + broken_off + open_calls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls whose request was read whole.
    pub calls: u64,
    /// Answered to the last byte, whatever the status.
    pub answered: u64,
    /// The peer left before our last byte.
    pub aborted: u64,
    /// We broke the answer off, as scripted.
    pub broken_off: u64,
    /// Connections open now; for one model, those that carry a call of it.
    pub open_sockets: u64,
    pub open_calls: u64,
    /// Billed: the whole prompt of every call that was not refused with an error status.
    pub input_tokens: u64,
    /// Billed: what was delivered, up to the abort if there was one.
    pub output_tokens: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: Counts) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.aborted += other.aborted;
        self.broken_off += other.broken_off;
        self.open_sockets += other.open_sockets;
        self.open_calls += other.open_calls;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
    }

    /// The count of calls that ended this way.
    pub(super) fn ended(&mut self, end: End) -> &mut u64 {
        match end {
            End::Answered => &mut self.answered,
            End::Aborted => &mut self.aborted,
            End::BrokenOff => &mut self.broken_off,
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    Answered,
    Aborted,
    BrokenOff,
}
