//! What one call is billed, at every moment of its life.

use super::book::OpenCall;
use super::counts::End;

pub(super) struct Meter {
    open: OpenCall,
    input_tokens: u64,
    delivered_tokens: u64,
    /// What the answer says it cost, where that is to be believed.
    reported_output: Option<u64>,
}

impl Meter {
    pub(super) fn new(open: OpenCall) -> Meter {
        Meter { open, input_tokens: 0, delivered_tokens: 0, reported_output: None }
    }

    /// From here on the prompt is billed, however the call ends.
    pub(super) fn accept(&mut self, input_tokens: u64, reported_output: Option<u64>) {
        self.input_tokens = input_tokens;
        self.reported_output = reported_output;
    }

    pub(super) fn deliver(&mut self, tokens: u64) {
        self.delivered_tokens += tokens;
    }

    /// The last bytes, which carry `tokens`, are about to leave.
    pub(super) fn answered(&mut self, tokens: u64) {
        let output = self.reported_output.unwrap_or(self.delivered_tokens + tokens);
        self.open.settle(End::Answered, self.input_tokens, output);
    }

    pub(super) fn aborted(&mut self) {
        self.open.settle(End::Aborted, self.input_tokens, self.delivered_tokens);
    }

    pub(super) fn broken_off(&mut self) {
        self.open.settle(End::BrokenOff, self.input_tokens, self.delivered_tokens);
    }
}
