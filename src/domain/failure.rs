//! What went wrong upstream, and what a policy says it means.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where in an attempt the failure happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the request was sent: name lookup, refused, TLS, connect time-out. Nothing was billed.
    Connect,
    /// Sent, no response head yet.
    Headers,
    /// An HTTP error status with a body.
    Status,
    /// A 200 whose body or first events are an error, empty or not decodable; no content yet.
    FirstContent,
    /// After content reached the client: never retried.
    MidStream,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Connect => "connect",
            Phase::Headers => "headers",
            Phase::Status => "status",
            Phase::FirstContent => "first_content",
            Phase::MidStream => "mid_stream",
        }
    }
}

/// The facts of one failed attempt, as the `errors` policy sees them. Never holds a key or a prompt of ours;
/// `message` is the provider's own text, capped at 2 KiB.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub provider: String,
    /// Wire format of the provider: `openai`, `anthropic`, …
    pub kind: &'static str,
    pub model: String,
    pub phase: Phase,
    /// HTTP status, when there was one. A failure inside a 200 keeps 200.
    pub status: Option<u16>,
    /// The provider's machine-readable code, when it sent one (numbers as text).
    pub code: Option<String>,
    /// The provider's error type, when it sent one.
    pub error_type: Option<String>,
    /// The request field at fault, when the provider names it.
    pub param: Option<String>,
    pub message: String,
    /// Seconds the provider asks to wait, from any of its headers or its body; fractions kept.
    pub retry_after: Option<f64>,
    /// One of our own clocks ran out.
    pub timeout: bool,
    /// The answer held nothing at all (no content, no error).
    pub empty: bool,
}

/// The guide's three categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    Retryable,
    UserActionable,
    Permanent,
}

impl Category {
    pub fn as_str(self) -> &'static str {
        match self {
            Category::Retryable => "retryable",
            Category::UserActionable => "user_actionable",
            Category::Permanent => "permanent",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the `errors` policy made of a failure.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorVerdict {
    pub category: Category,
    /// Retryable: earliest time for another call to the same target.
    pub after: Option<Duration>,
    /// The next target may be tried. Always true for retryable, false by default for the others.
    pub next_target: bool,
    /// No run may call this target for so long (spend caps, dead keys); none = only what `after` says.
    pub cool_down: Option<Duration>,
    /// What the caller reads when this failure is the final one; none = our own words.
    pub message: Option<String>,
    /// Error code the caller reads; none = the one the built-in table gives.
    pub code: Option<String>,
    /// Status the caller reads (400, 402, 404, 413, 422, 429, 451, 502, 503, 504); none = the built-in table's.
    pub status: Option<u16>,
}
