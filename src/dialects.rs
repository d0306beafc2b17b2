//! Client dialects: bytes of a client in, bytes for a client out. Pure: no I/O, no clock, no HTTP types.
//!
//! A new dialect is one file, its `mod` line, a static here and its row in [`DIALECTS`]. Status codes and error codes are
//! decided in `errors.rs` for all of them.

mod anthropic_messages;
mod data_url;
mod errors;
mod fields;
mod heads;
mod openai_chat;
mod openai_embeddings;
mod openai_error;
mod openai_responses;
mod text_files;
mod ui_messages;

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::domain::chat::{ChatEvent, ChatReply, ChatRequest, OwnedFields, Wire};
use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::domain::money::NanoUsd;
use crate::domain::sse::SseFrame;
use crate::domain::usage::Usage;

/// `POST /v1/chat/completions` as OpenAI defines it.
pub static OPENAI_CHAT: &dyn Dialect = &openai_chat::OpenAiChat;

/// `POST /v1/responses` as OpenAI and Open Responses define it.
pub static OPENAI_RESPONSES: &dyn Dialect = &openai_responses::OpenAiResponses;

/// `POST /v1/messages` as Anthropic defines it.
pub static ANTHROPIC_MESSAGES: &dyn Dialect = &anthropic_messages::AnthropicMessages;

/// `POST /v1/responses/compact` as OpenAI defines it.
pub static OPENAI_COMPACTION: &dyn Dialect = &openai_responses::Compaction;

/// `POST /v1/embeddings` as OpenAI defines it.
pub static OPENAI_EMBEDDINGS: &dyn Dialect = &openai_embeddings::OpenAiEmbeddings;

/// `POST /api/chat` as the AI SDK's `useChat` calls it since version 5.
pub static UI_MESSAGES: &dyn Dialect = &ui_messages::UiMessages;

/// `POST /api/chat` as version 4 of the AI SDK calls it; a [`Dialect::variant`] of [`UI_MESSAGES`].
pub static UI_DATA_STREAM: &dyn Dialect = &ui_messages::DataStream;

/// Every client format. A new one is a file, its `mod` line, a static above and a row here.
pub static DIALECTS: &[&dyn Dialect] =
    &[OPENAI_CHAT, OPENAI_RESPONSES, OPENAI_EMBEDDINGS, ANTHROPIC_MESSAGES, UI_MESSAGES, UI_DATA_STREAM];

/// Reads the body of `POST /v1/responses/input_tokens`: a call whose input may be its instructions alone.
pub fn countable_response(body: Bytes) -> Result<Decoded, GatewayError> {
    openai_responses::countable(body)
}

/// Reads the body of `POST /v1/messages/count_tokens`: a call without an output cap.
pub fn countable_messages(body: Bytes) -> Result<Decoded, GatewayError> {
    anthropic_messages::countable(body)
}

/// An error in one sentence, for people.
pub use errors::sentence;

/// A kept response of [`OPENAI_RESPONSES`], read back.
pub use openai_responses::{Stored, continued as continued_response, stored as stored_response};

/// A wire format that clients speak.
pub trait Dialect: Sync {
    /// Name in facts, logs and receipts.
    fn name(&self) -> &'static str;

    fn wire(&self) -> Wire;

    /// Reads what the gateway decides on, in one pass over the top-level fields; contents of messages stay bytes.
    /// Errors: whatever every target would refuse anyway, and fields that could be read two ways.
    fn decode(&self, body: Bytes) -> Result<Decoded, GatewayError>;

    /// The whole request in the internal language; needed only where the target speaks another format.
    /// Errors: parts that the internal language has no word for and that can't be left out in silence.
    fn chat(&self, call: &Decoded) -> Result<ChatRequest, GatewayError>;

    /// The call without what only a provider of another format can read, for a target of this one: clients send back
    /// what any target gave them before. `dropped` names what was left out; none = the call is fine as it is.
    fn without_foreign(&self, _call: &Decoded) -> Option<Decoded> {
        None
    }

    /// Text of all messages, one line feed between parts.
    fn prompt_text(&self, call: &Decoded) -> String;

    /// What an answer is called: as the provider called it where the format's clients only show it.
    fn answer_id(&self, run: &RunId, provider: Option<String>) -> String {
        provider.unwrap_or_else(|| run.to_string())
    }

    /// A whole translated answer. `reply.usage` is written as it is: put our own count there first where the
    /// provider reported none.
    fn encode(&self, reply: &ChatReply, about: &About) -> Bytes;

    /// A new encoder per translated stream.
    fn encoder(&self, about: &About) -> Box<dyn StreamEncoder>;

    /// An encoder that goes on behind the frames of an earlier one, which wrote them for the same answer.
    fn resumed(&self, about: &About, earlier: &[Bytes]) -> Box<dyn StreamEncoder> {
        let mut encoder = self.encoder(about);
        for raw in earlier {
            encoder.passed(&SseFrame { raw: raw.clone() });
        }
        encoder
    }

    /// What is said of an answer that waits to be made; none = the format has no words for that.
    fn waiting(&self, _about: &About) -> Option<Waiting> {
        None
    }

    /// A frame that keeps proxies and clients from timing out and that no client shows.
    fn keep_alive(&self) -> Bytes;

    /// A comment frame; line breaks in `text` become spaces.
    fn comment(&self, text: &str) -> Bytes;

    /// The reply to a call that failed before its head was sent.
    fn error(&self, error: &GatewayError, request_id: &str) -> ErrorReply;

    /// The frame for a failure after content. No end marker follows it, so that every SDK notices.
    fn in_band_error(&self, error: &GatewayError, request_id: &str) -> Bytes;

    /// The id that clients of this format ask for the answer by, read from a whole body or the first frame of a stream;
    /// none = they never do.
    fn told_id(&self, _first: &Bytes) -> Option<String> {
        None
    }

    /// Whether `frame` is the last that a stream of this format has, however it ended; false where no frame tells.
    fn is_last(&self, _frame: &Bytes) -> bool {
        false
    }

    /// The frames that end a stream which its own user stopped; none = the format has no words for that.
    fn stopped(&self) -> Option<Bytes> {
        None
    }

    /// How a stream of this format introduces itself.
    fn stream_head(&self) -> StreamHead {
        StreamHead { content_type: "text/event-stream; charset=utf-8", headers: &[] }
    }

    /// The dialect that `body` is really written in, where one route serves several; none = this one.
    fn variant(&self, _body: &[u8]) -> Option<&'static dyn Dialect> {
        None
    }

    /// Where this format's clients look for the request's id, beside `x-request-id`; in lower case.
    fn request_id_header(&self) -> Option<&'static str> {
        None
    }

    /// Request headers that a provider of the same format has to see, in lower case.
    fn forwarded_headers(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Turns the events of one answer into frames of the dialect. Every write is made of whole frames.
pub trait StreamEncoder: Send + Sync {
    /// `Usage`, `Error` and `End` write nothing: the first two are the caller's to judge, the end is [`finish`].
    ///
    /// [`finish`]: StreamEncoder::finish
    fn push(&mut self, event: &ChatEvent, out: &mut BytesMut);

    /// Takes note of a frame of this format that went to the client as it is. What is written later stands behind it.
    fn passed(&mut self, _frame: &SseFrame) {}

    /// Writes a failure after content where the format tells it with what was written before. False = it does not, and
    /// [`Dialect::in_band_error`] says it all.
    fn broken_off(&mut self, _error: &GatewayError, _out: &mut BytesMut) -> bool {
        false
    }

    /// Whether the stream that was passed has told its end.
    fn has_ended(&self) -> bool {
        false
    }

    /// The work on the answer begins, for the first time or once more: whatever was said of it before is void.
    fn work_begins(&mut self, _out: &mut BytesMut) {}

    /// Writes that the caller has cancelled the answer, where the format has words for it.
    fn cancelled(&mut self, _out: &mut BytesMut) {}

    /// Takes note of what the run costs, before [`finish`]. Most formats have no place for it.
    ///
    /// [`finish`]: StreamEncoder::finish
    fn priced(&mut self, _price: NanoUsd) {}

    /// Writes the usage, if the client asked for it, and the end marker. Only after a `Finish` event.
    fn finish(&mut self, usage: Option<&Usage>, out: &mut BytesMut);
}

/// What is said of an answer that nobody works on yet.
pub struct Waiting {
    /// For whoever polls.
    pub body: Bytes,
    /// The first frames of its stream.
    pub frames: Bytes,
}

/// A client's request, read just far enough to decide on it.
#[derive(Clone)]
pub struct Decoded {
    /// The client's bytes, without the fields named in `dropped`. All spans below point into it.
    pub body: Bytes,
    /// What the client asked for: a tier, `auto`, an alias or `provider/model`.
    pub model: Option<String>,
    pub stream: bool,
    /// The client's output cap in tokens; none = it named none.
    pub max_tokens: Option<u64>,
    /// Answers that are paid for: the larger of `n` and `best_of`.
    pub n: u32,
    /// The client wants the usage at the end of its stream.
    pub include_usage: bool,
    pub message_count: u32,
    pub has_images: bool,
    /// Parts that are not text (images, files, audio): their tokens do not follow from their bytes.
    pub media_count: u32,
    pub has_tools: bool,
    /// The request's `metadata`, text values only.
    pub metadata: BTreeMap<String, String>,
    pub user: Option<String>,
    /// Values that may reach the model, for an upper bound of the input tokens.
    pub billed: Vec<Range<usize>>,
    pub owned: OwnedFields,
    /// None where the format has no word for it.
    pub keeping: Option<Keeping>,
    /// The client's own conversation, in formats that name it.
    pub conversation: Option<Conversation>,
    /// Routing fields a caller has no say in, already removed from `body`.
    pub dropped: Vec<String>,
}

/// What the client wants to be kept of a call, and which kept answer it goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    pub previous_response_id: Option<String>,
    /// The answer can be retrieved later; so it is where the client says nothing.
    pub store: bool,
    /// The client polls for the answer instead of waiting.
    pub background: bool,
}

/// Where a call belongs in a client that keeps conversations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// The client's name for it: 1 to 256 bytes, no control characters.
    pub id: Option<String>,
    /// The client's message that the answer goes on with, and whose id it must bear; none = a new message.
    pub continues: Option<String>,
}

impl Decoded {
    /// A call of which nothing is read yet.
    fn of(body: Bytes) -> Self {
        Decoded {
            body,
            model: None,
            stream: false,
            max_tokens: None,
            n: 1,
            include_usage: false,
            message_count: 0,
            has_images: false,
            media_count: 0,
            has_tools: false,
            metadata: BTreeMap::new(),
            user: None,
            billed: Vec::with_capacity(4),
            owned: OwnedFields::default(),
            keeping: None,
            conversation: None,
            dropped: Vec::new(),
        }
    }

    /// Bytes of the body that may reach the model.
    pub fn billed_bytes(&self) -> usize {
        self.billed.iter().map(Range::len).sum()
    }
}

/// What a translated answer says about itself.
#[derive(Clone)]
pub struct About {
    /// The same on all frames of a stream.
    pub id: String,
    /// Unix seconds.
    pub created_s: u64,
    pub model: String,
    pub include_usage: bool,
    /// The client's body, for formats whose answers repeat what was asked.
    pub request: Bytes,
    /// Unix seconds when it is called: answers tell when they were complete.
    pub now_s: fn() -> u64,
}

/// The head of a streamed answer; names in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHead {
    pub content_type: &'static str,
    /// Beside the content type.
    pub headers: &'static [(&'static str, &'static str)],
}

/// A finished error answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorReply {
    pub status: u16,
    /// The code in the body, for logs and receipts.
    pub code: String,
    /// Beside the content type; names in lower case.
    pub headers: Vec<(&'static str, String)>,
    pub content_type: &'static str,
    pub body: Bytes,
}

/// A comment of an event stream, in one line whatever `text` holds.
fn comment(text: &str) -> Bytes {
    format!(": {}\n\n", text.replace(['\r', '\n'], " ")).into()
}
