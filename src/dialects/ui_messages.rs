//! The AI SDK's chat page (`useChat`) at the client's side. One route, two formats: pages since version 5 read a UI
//! message stream; those of version 4, and whoever writes `{"messages":[{"role","content"}]}` by hand, a data stream. Both
//! write messages that are read alike; `form.rs` has the rule that tells them apart.

mod arguments;
mod calls;
mod chunks;
mod data_stream;
mod decode;
mod form;
mod lines;
mod media;
mod messages;
mod names;
mod parts;
mod sources;
mod stream;
mod tools;
mod translate;
mod usage;
mod whole;

use bytes::{Bytes, BytesMut};

use super::errors;
use super::{About, Decoded, Dialect, ErrorReply, StreamEncoder, StreamHead};
use crate::domain::chat::{ChatReply, ChatRequest, Wire};
use crate::domain::error::GatewayError;

pub(super) use data_stream::DataStream;

/// Pages since version 5.
pub(super) struct UiMessages;

impl Dialect for UiMessages {
    fn name(&self) -> &'static str {
        "ui_messages"
    }

    fn wire(&self) -> Wire {
        Wire::AiSdk
    }

    fn decode(&self, body: Bytes) -> Result<Decoded, GatewayError> {
        decode::decode(body)
    }

    fn chat(&self, call: &Decoded) -> Result<ChatRequest, GatewayError> {
        translate::chat(call)
    }

    fn prompt_text(&self, call: &Decoded) -> String {
        translate::prompt_text(call)
    }

    fn encode(&self, reply: &ChatReply, about: &About) -> Bytes {
        whole::reply(reply, self.encoder(about))
    }

    fn encoder(&self, about: &About) -> Box<dyn StreamEncoder> {
        Box::new(stream::Encoder::new(about))
    }

    fn keep_alive(&self) -> Bytes {
        Bytes::from_static(b": keep-alive\n\n")
    }

    fn comment(&self, text: &str) -> Bytes {
        super::comment(text)
    }

    /// The page shows the body as it is.
    fn error(&self, error: &GatewayError, _request_id: &str) -> ErrorReply {
        let facts = errors::facts(error);
        ErrorReply {
            status: facts.status,
            code: facts.code,
            headers: facts.headers,
            content_type: "text/plain; charset=utf-8",
            body: errors::sentence(error).into(),
        }
    }

    fn in_band_error(&self, error: &GatewayError, _request_id: &str) -> Bytes {
        let mut out = BytesMut::with_capacity(256);
        chunks::write_error(&errors::sentence(error), &mut out);
        out.freeze()
    }

    fn stopped(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b"data: {\"type\":\"abort\"}\n\ndata: [DONE]\n\n"))
    }

    fn variant(&self, body: &[u8]) -> Option<&'static dyn Dialect> {
        form::is_older(body).then_some(super::UI_DATA_STREAM)
    }

    fn stream_head(&self) -> StreamHead {
        let headers = &[("x-vercel-ai-ui-message-stream", "v1")];
        StreamHead { content_type: "text/event-stream; charset=utf-8", headers }
    }
}
