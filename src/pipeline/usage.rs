//! What an attempt costs: the provider's word where it can be believed, our own count where not.

use crate::domain::money::NanoUsd;
use crate::domain::usage::Usage;
use crate::pricing::tokens;

use super::route::{self, Step};
use super::run::Run;

/// What is known of the tokens of one attempt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sighting {
    /// The provider's last running total.
    pub reported: Option<Usage>,
    /// Bytes of model output that reached us.
    pub output_bytes: usize,
    /// The answer came to its end. Before it a running total may lag behind what was delivered: Anthropic's says one
    /// token until the last event.
    pub whole: bool,
}

/// Tokens to bill.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Billed {
    pub usage: Usage,
    pub pico: u128,
    /// At least one part is our own count, or may not be the provider's last word.
    pub counted: bool,
}

/// Bytes that one output token can stand for at most; a lower bound of what was delivered must stay below it.
const BYTES_PER_TOKEN_AT_MOST: usize = 32;

impl Sighting {
    /// The request was sent and answered, wholly or in part: never 0, whatever the provider says.
    pub(super) fn bill(&self, run: &Run, step: &Step) -> Billed {
        let mut usage = self.reported.unwrap_or_default();
        // What was told of an answer that did not end is no bill yet.
        let mut counted = !self.whole;
        if usage.total_input() == 0 {
            usage.input = tokens::output_count(run.call.decoded.billed_bytes()).max(1);
            counted = true;
        }
        let delivered = tokens::output_count(self.output_bytes);
        if usage.output < delivered && (usage.output == 0 || !self.whole) {
            usage.output = delivered;
            counted = true;
        }
        // A shorter context than feared may be cheaper per token.
        let price = route::price(&run.now, &step.target, usage.total_input()).unwrap_or(step.price);
        let mut pico = price.pico(&usage);
        // Searches that nobody prices are on the provider's bill and not on ours: the receipt must not look exact.
        counted |= usage.web_searches > 0 && price.web_search == NanoUsd::ZERO;
        // A plan's worst case is the most an honest provider can charge for one call of ours. Beyond it the report
        // is a mistake: the caller pays what was set aside and the anomaly is counted.
        if pico > step.worst_pico {
            pico = step.worst_pico;
            counted = true;
        }
        Billed { usage, pico, counted }
    }

    /// True once the provider's own total, or a lower bound of what was delivered, costs more than `room_pico`.
    pub(super) fn exceeds(&self, step: &Step, room_pico: u128) -> bool {
        let at_least = Usage {
            output: u64::try_from(self.output_bytes / BYTES_PER_TOKEN_AT_MOST).unwrap_or(u64::MAX),
            ..Usage::default()
        };
        let reported = self.reported.as_ref().map_or(0, |usage| step.price.pico(usage));
        reported.max(step.price.pico(&at_least)) > room_pico
    }
}
