//! What a model is told to do: plain data, the same from Rust, from a YAML or JSON file, or over HTTP.
//!
//! ```yaml
//! gpt-4o:                                       # a model name and its steps: call n uses step n, the last repeats
//!   - fault: { status: { status: 429, retry_after: { seconds: 2 } } }
//!   - { text: "now it works", latency_ms: 50 }
//! ```

mod fault;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use fault::{ErrorWords, Fault, InBandError, RetryAfter, StatusFault};

/// How one call is answered. The default is a short greeting, at once, whole, with honest usage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Wait before the response head, in milliseconds.
    pub latency_ms: u64,
    /// Wait before each content frame of a stream, in milliseconds.
    pub gap_ms: u64,
    /// What the model says; a greeting that names the model when absent.
    pub text: Option<String>,
    /// Says the last user message back instead of `text`.
    pub echo: bool,
    /// Repeats the words of the text up to this number, 1,000,000 at most. One word is one token.
    pub words: Option<u64>,
    /// Words in one content frame of a stream; 1 when absent.
    pub words_per_frame: Option<NonZeroUsize>,
    pub tool_calls: Vec<ToolCall>,
    /// Finish reason to report instead of the true one.
    pub finish: Option<Finish>,
    pub usage: UsageReport,
    /// Says the whole text even where `max_tokens` is smaller.
    pub ignore_max_tokens: bool,
    /// Sent after the head and before anything else of a stream.
    pub keep_alive: Option<KeepAlive>,
    pub framing: Framing,
    /// Splits every write into pieces of this many bytes.
    pub bytes_per_write: Option<NonZeroUsize>,
    /// Further response headers, written as they are: odd bytes and line breaks too.
    pub headers: BTreeMap<String, String>,
    pub fault: Option<Fault>,
}

impl Step {
    pub fn text(text: impl Into<String>) -> Step {
        Step { text: Some(text.into()), ..Step::default() }
    }

    /// An HTTP error in the body shape that the provider uses for it.
    pub fn status(status: u16) -> Step {
        Step::fault(Fault::Status(StatusFault { status, ..StatusFault::default() }))
    }

    pub fn fault(fault: Fault) -> Step {
        Step { fault: Some(fault), ..Step::default() }
    }
}

/// A tool the model wants called. It costs one token, and one more per eight characters of arguments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToolCall {
    /// Minted when absent.
    pub id: Option<String>,
    pub name: String,
    /// An object; a string is sent as it is, valid JSON or not.
    pub arguments: Value,
}

/// A finish reason in neutral words; each format has its own for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    /// The text becomes the refusal (OpenAI), or the answer ends with `refusal` (Anthropic) or `SAFETY` (Gemini).
    Refusal,
    /// Sent as it is.
    #[serde(untagged)]
    Other(String),
}

/// What the answer says about tokens. What it is billed is in [`super::Counts`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one per step of a script; a box would only be in the writer's way")]
pub enum UsageReport {
    #[default]
    Honest,
    /// No usage anywhere in the answer.
    Missing,
    /// What the last user message says behind `usage=`, a [`FixedUsage`] as JSON; honest where it says nothing.
    Asked,
    /// These values; any JSON will do (`-1`, `1e18`, `"many"`).
    #[serde(untagged)]
    Fixed(FixedUsage),
}

/// Values in the format's own algebra: cached tokens are inside `input` for OpenAI and Gemini and beside it for Anthropic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixedUsage {
    /// The honest count when absent.
    pub input: Option<Value>,
    /// The honest count when absent.
    pub output: Option<Value>,
    /// 0 when absent.
    pub cache_read: Option<Value>,
    /// 0 when absent.
    pub cache_write: Option<Value>,
    /// Searches on the way (Anthropic only). Left out when absent.
    pub web_searches: Option<Value>,
    /// The part of `cache_write` that is kept for an hour (Anthropic only). 0 when absent.
    pub cache_write_1h: Option<Value>,
}

/// Signs of life: comments (OpenAI, Gemini) or `ping` events (Anthropic).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepAlive {
    pub every_ms: u64,
    /// How many; for ever when absent.
    #[serde(default)]
    pub count: Option<u64>,
}

/// How the frames of a stream are written. Everything here is legal, and met in the field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Framing {
    /// Ends lines with CR LF.
    pub crlf: bool,
    /// Writes `data:{` instead of `data: {`.
    pub no_space: bool,
    /// Spreads the JSON of a frame over several `data:` lines.
    pub split_data: bool,
    /// Leaves out the `event:` lines of Anthropic frames.
    pub no_event_lines: bool,
    /// Leaves out the frames before the first content (the role; `message_start` and its companions).
    pub no_opening: bool,
    /// Puts usage on the chunk with the finish reason, asked for or not (OpenAI only).
    pub usage_on_finish: bool,
}

/// Why a script was not accepted.
#[derive(Debug)]
pub struct ScriptError(serde_saphyr::Error);

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nothing was changed, the script is not valid: {}; GET /_mock and `headgate mock --help` list the fields",
            self.0
        )
    }
}

impl std::error::Error for ScriptError {}

/// Reads the steps of one model. JSON is YAML, so one reader takes both.
pub(super) fn parse_steps(text: &str) -> Result<Vec<Step>, ScriptError> {
    serde_saphyr::from_str(text).map_err(ScriptError)
}

/// Reads a file of models and their steps.
pub(super) fn parse_models(text: &str) -> Result<BTreeMap<String, Vec<Step>>, ScriptError> {
    serde_saphyr::from_str(text).map_err(ScriptError)
}
