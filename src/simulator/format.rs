//! The wire formats, and how their frames become bytes.
//!
//! Nothing here comes from the gateway's own codecs: a shared mistake would cancel out and no test would see it.

mod anthropic;
mod gemini;
mod openai;
mod responses;
mod tasks;

use std::sync::atomic::AtomicU64;

use serde_json::Value;

use super::answer::{Answer, Piece, Usage};
use super::ask::{Ask, Task};
use super::request::Request;
use super::script::{ErrorWords, Framing, InBandError, RetryAfter};

pub(super) use anthropic::Anthropic;
pub(super) use gemini::Gemini;
pub(super) use openai::OpenAi;
pub(super) use responses::Responses;
pub(super) use tasks::{Embeddings, GeminiEmbeddings, Moderations};

/// One call as a format renders it.
pub(super) struct Call<'a> {
    pub(super) number: u64,
    /// Unix seconds.
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) choices: u64,
    pub(super) include_usage: bool,
    pub(super) framing: Framing,
    pub(super) answer: Answer,
    pub(super) task: &'a Task,
    pub(super) usage: Option<Usage>,
    /// Events made so far, for formats that number them.
    pub(super) events: AtomicU64,
}

pub(super) trait Format: Sync {
    /// Its name in the log.
    fn name(&self) -> &'static str;
    fn request_id_header(&self) -> &'static str;
    fn requires_max_tokens(&self) -> bool;
    /// Errors: what is wrong with the request, in one sentence.
    fn ask<'a>(&self, request: &'a Request) -> Result<Ask<'a>, String> {
        Ask::parse(&request.body)
    }
    fn error(&self, status: u16, words: &ErrorWords, request_id: &str) -> Value;
    /// Writes a wait into an error's body; false where it belongs into a header.
    fn tells_wait(&self, _body: &mut Value, _wait: &RetryAfter) -> bool {
        false
    }
    fn plain(&self, call: &Call<'_>) -> Value;
    /// Frames before the first content.
    fn opening(&self, call: &Call<'_>) -> Vec<Event>;
    fn content(&self, call: &Call<'_>, piece: &Piece<'_>) -> Vec<Event>;
    /// Finish reason and usage.
    fn finish(&self, call: &Call<'_>) -> Vec<Event>;
    /// The end marker, where the format has one.
    fn done(&self) -> Option<Event>;
    fn keep_alive(&self) -> &'static str;
    fn malformed(&self) -> Event;
    fn in_band_error(&self, call: &Call<'_>, error: &InBandError, request_id: &str) -> Event;
    /// Input tokens to bill for what the answer reports; none where that is absurd.
    fn billed_input(&self, usage: &Usage) -> Option<u64>;
}

/// A server-sent event.
pub(super) struct Event {
    pub(super) name: Option<&'static str>,
    pub(super) data: String,
}

impl Event {
    fn data(data: &Value) -> Event {
        Event { name: None, data: data.to_string() }
    }

    fn named(name: &'static str, data: &Value) -> Event {
        Event { name: Some(name), data: data.to_string() }
    }
}

/// The bytes of some events, to be written at once.
pub(super) fn frames(events: &[Event], framing: &Framing) -> Vec<u8> {
    let end = if framing.crlf { "\r\n" } else { "\n" };
    let field = if framing.no_space { "data:" } else { "data: " };
    let mut text = String::new();
    for event in events {
        if let Some(name) = event.name.filter(|_| !framing.no_event_lines) {
            text.extend(["event: ", name, end]);
        }
        for line in lines(&event.data, framing.split_data).lines() {
            text.extend([field, line, end]);
        }
        text.push_str(end);
    }
    text.into_bytes()
}

fn lines(data: &str, split: bool) -> std::borrow::Cow<'_, str> {
    let value = split.then(|| serde_json::from_str::<Value>(data).ok()).flatten();
    match value {
        // Line breaks are allowed between JSON tokens and nowhere else; `{:#}` puts them there.
        Some(value) => format!("{value:#}").into(),
        None => data.into(),
    }
}
