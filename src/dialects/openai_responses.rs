//! OpenAI's responses, as clients speak them; also known as Open Responses.

mod compact;
mod decode;
mod encode;
mod envelope;
mod follow;
mod foreign;
mod input;
mod items;
mod reasoning;
mod stored;
mod stream;
mod tools;
mod translate;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::json;

use super::{About, Decoded, Dialect, ErrorReply, StreamEncoder, Waiting, errors, openai_error};
use crate::domain::chat::{ChatReply, ChatRequest, Wire};
use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;

pub(super) use compact::Compaction;
pub(super) use decode::countable;
pub use stored::{Stored, continued, stored};

pub(super) struct OpenAiResponses;

impl Dialect for OpenAiResponses {
    fn name(&self) -> &'static str {
        "openai_responses"
    }

    fn wire(&self) -> Wire {
        Wire::OpenAiResponses
    }

    fn decode(&self, body: Bytes) -> Result<Decoded, GatewayError> {
        decode::decode(body)
    }

    fn chat(&self, call: &Decoded) -> Result<ChatRequest, GatewayError> {
        translate::chat(call)
    }

    fn without_foreign(&self, call: &Decoded) -> Option<Decoded> {
        let goes_on = call.keeping.as_ref().is_some_and(|keeping| keeping.previous_response_id.is_some());
        let (body, dropped) = match foreign::cut(&call.body) {
            Some(body) => (body, vec!["input.reasoning".to_owned()]),
            None if goes_on => (call.body.clone(), Vec::new()),
            None => return None,
        };
        Some(Decoded { dropped, ..countable(stored::detached(&body)).ok()? })
    }

    fn prompt_text(&self, call: &Decoded) -> String {
        translate::prompt_text(call)
    }

    /// Clients of this format come back with the id: it has to be one that we know.
    fn answer_id(&self, run: &RunId, _provider: Option<String>) -> String {
        run.to_string().replacen("run_", "resp_", 1)
    }

    fn told_id(&self, first: &Bytes) -> Option<String> {
        stored::id_of(first)
    }

    fn encode(&self, reply: &ChatReply, about: &About) -> Bytes {
        encode::reply(reply, about)
    }

    fn encoder(&self, about: &About) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(about))
    }

    fn resumed(&self, about: &About, earlier: &[Bytes]) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::resumed(about, earlier))
    }

    fn is_last(&self, frame: &Bytes) -> bool {
        let ends = ["completed", "incomplete", "failed"].map(|end| format!("event: response.{end}\n"));
        ends.iter().any(|end| frame.starts_with(end.as_bytes()))
    }

    fn waiting(&self, about: &About) -> Option<Waiting> {
        Some(stream::waiting(about))
    }

    fn keep_alive(&self) -> Bytes {
        Bytes::from_static(b": keep-alive\n\n")
    }

    fn comment(&self, text: &str) -> Bytes {
        super::comment(text)
    }

    fn error(&self, error: &GatewayError, _request_id: &str) -> ErrorReply {
        openai_error::reply(error)
    }

    /// Of a stream that has said nothing at all; any other is broken off by its encoder.
    fn in_band_error(&self, error: &GatewayError, _request_id: &str) -> Bytes {
        let mut event = json!({ "type": "error", "sequence_number": 0 });
        event["error"] = openai_error::envelope(&errors::facts(error))["error"].take();
        let mut out = BytesMut::with_capacity(256);
        out.put_slice(b"event: error\ndata: ");
        out.put_slice(event.to_string().as_bytes());
        out.put_slice(b"\n\n");
        out.freeze()
    }
}
