//! When a target fails before its first content: who is asked next, when, how often, and what it costs.

mod bounds;
mod permanent;
mod switch;
mod waiting;

use headgate::simulator::{ErrorWords, Fault, RetryAfter, StatusFault, Step};

/// An HTTP error that says when to come back.
fn refusal(status: u16, retry_after: RetryAfter) -> Step {
    Step::fault(Fault::Status(StatusFault { status, retry_after: Some(retry_after), ..StatusFault::default() }))
}

/// An HTTP error with words of its own.
fn worded(status: u16, kind: &str, code: &str, message: &str) -> Step {
    let error = ErrorWords {
        kind: Some(kind.to_owned()),
        code: (!code.is_empty()).then(|| code.into()),
        message: Some(message.to_owned()),
    };
    Step::fault(Fault::Status(StatusFault { status, error, ..StatusFault::default() }))
}
