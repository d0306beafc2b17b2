//! Upstream codecs: the internal language out, a provider's answers in. Pure: no I/O and no clock; sending, pools,
//! retries and time-outs live elsewhere.

mod anthropic;
mod cohere;
mod embeddings;
mod errors;
mod extras;
mod gemini;
mod mistral;
mod moderation;
mod openai;
mod openai_responses;
mod pass;
mod retry_after;
mod tokens;

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;

use crate::domain::chat::{ChatEvent, ChatReply, ChatRequest, Finish, InBandError, OwnedFields, Wire};
use crate::domain::error::GatewayError;
use crate::domain::sse::SseFrame;
use crate::domain::usage::Usage;

pub use moderation::{Moderator, Said};

/// Every provider kind `config.yaml` may name. A new one is a file, its `mod` line and a row here.
pub const ADAPTERS: &[&dyn Adapter] = &[
    &openai::OpenAi,
    &openai_responses::OpenAiResponses,
    &anthropic::Anthropic,
    &gemini::Gemini,
    &mistral::Mistral,
    &cohere::Cohere,
];

pub fn adapter(kind: &str) -> Option<&'static dyn Adapter> {
    ADAPTERS.iter().find(|a| a.kind() == kind).copied()
}

/// A wire format that providers speak, and what its vendor's own endpoint looks like.
pub trait Adapter: Sync {
    /// Value of `providers.*.kind`.
    fn kind(&self) -> &'static str;

    /// Nothing passes as it is where this is not a format that clients speak, too.
    fn wire(&self) -> Wire {
        Wire::ProvidersOnly
    }

    /// The adapter of the same account that takes calls in this other wire as they are. None = this one translates
    /// them, or, where the wire is no chat, the account has nothing of the kind.
    fn speaks(&self, _wire: Wire) -> Option<&'static dyn Adapter> {
        None
    }

    /// The judge of texts at the same account, where the provider has one.
    fn moderator(&self) -> Option<&'static dyn Moderator> {
        None
    }

    /// None = the config has to name one.
    fn default_base_url(&self) -> Option<&'static str>;

    /// Id of the vendor in the price catalogue.
    fn catalogue(&self) -> Option<&'static str>;

    /// Headers of every call beside `content-type` and `accept`; names in lower case.
    fn headers(&self, api_key: Option<&str>) -> Vec<(&'static str, String)>;

    /// Appended to the base URL, which is written as the vendor's own SDK takes it.
    fn path(&self, model: &str, stream: bool) -> String;

    /// The client's own bytes for a target that speaks its format: owned fields are rewritten, the rest stays byte
    /// for byte.
    fn pass(&self, _call: &Passed<'_>) -> Result<Bytes, GatewayError> {
        Err(GatewayError::invalid("Calls in this provider's own format are not taken; send a chat completion.", None))
    }

    /// Fields of a request that is passed on which this provider has no word for.
    fn unsaid(&self, _call: &Passed<'_>) -> Vec<String> {
        Vec::new()
    }

    /// A request from another format. Errors: `InvalidRequest` for what this provider can't do and that must not be
    /// left out in silence.
    fn encode(&self, chat: &ChatRequest, ask: &Ask<'_>) -> Result<Encoded, GatewayError>;

    /// A whole 200 answer, to be translated.
    fn decode(&self, body: &[u8]) -> Result<ChatReply, DecodeError>;

    /// A whole 200 answer that is passed on as it is: only what accounting and fallback need, nothing copied.
    fn inspect(&self, body: &[u8]) -> Result<Inspected, DecodeError> {
        let reply = self.decode(body)?;
        let output_bytes = reply.output_bytes();
        Ok(Inspected { usage: reply.usage, finish: reply.finish, has_content: output_bytes > 0, output_bytes })
    }

    /// A whole 200 answer to a call that was passed on, as its client reads it: usually as it is. `usage` makes the
    /// numbers where the provider has none.
    fn answer(&self, body: Bytes, _call: &Passed<'_>, _usage: &dyn Fn() -> Usage) -> Result<Bytes, DecodeError> {
        Ok(body)
    }

    /// A new decoder per streamed answer.
    fn decoder(&self) -> Box<dyn StreamDecoder>;

    /// The facts of an error answer. `headers` looks a header up by its lower-case name.
    fn failure(
        &self,
        status: u16,
        headers: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: SystemTime,
    ) -> FailureParts;
}

/// Reads the frames of one streamed answer, for translation as well as beside a passthrough. An in-band error is a
/// `ChatEvent::Error`. Nothing is held back: when the connection ends, all that came has been reported, and the
/// stream was whole if `Finish` or `End` was among it.
pub trait StreamDecoder: Send {
    /// Appends the events of `frame`. Errors: `Malformed` when it can't be read.
    fn push(&mut self, frame: &SseFrame, out: &mut Vec<ChatEvent>) -> Result<FrameKind, DecodeError>;
}

/// What a passthrough may do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Comments and other frames without data.
    Comment,
    Data,
    /// Only the usage; hidden from a client that did not ask for it.
    UsageOnly,
    /// The protocol's terminal marker.
    End,
}

/// A request that is passed on in its own format.
pub struct Passed<'a> {
    pub body: &'a Bytes,
    pub owned: &'a OwnedFields,
    /// The target's model.
    pub model: &'a str,
    /// How upstream is asked, whatever the client's own `stream` says.
    pub stream: bool,
    /// Output cap in tokens that the body must carry; none = as the client wrote it.
    pub max_tokens: Option<u64>,
    /// Name of the cap where the client wrote none; providers with one name for it ignore this.
    pub cap_field: &'a str,
}

/// How a translated request is asked.
pub struct Ask<'a> {
    pub model: &'a str,
    pub stream: bool,
    /// Output cap in tokens.
    pub max_tokens: u64,
    /// As in [`Passed`].
    pub cap_field: &'a str,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    pub body: Bytes,
    /// Fields of the client's request that this provider has no word for.
    pub dropped: Vec<String>,
}

/// What is known of a whole answer without translating it.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspected {
    pub usage: Option<Usage>,
    pub finish: Option<Finish>,
    /// Text, a refusal, reasoning or a tool call.
    pub has_content: bool,
    /// Bytes of model output over all choices.
    pub output_bytes: usize,
}

/// Why a 200 answer is none.
#[derive(Clone, Debug, PartialEq)]
pub enum DecodeError {
    /// Not in the provider's format; the text says what was wrong and holds nothing of the answer.
    Malformed(String),
    InBand(InBandError),
    /// Neither content nor an end.
    Empty,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Malformed(what) => write!(f, "the provider's answer can't be read: {what}"),
            DecodeError::InBand(error) => f.write_str(&error.message),
            DecodeError::Empty => f.write_str("the provider answered with nothing"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// What an error answer says, whatever its shape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FailureParts {
    pub code: Option<String>,
    pub error_type: Option<String>,
    pub param: Option<String>,
    /// The provider's words, at most 2 KiB, without anything that looks like a key.
    pub message: String,
    /// Seconds to wait, fractions kept.
    pub retry_after: Option<f64>,
}
