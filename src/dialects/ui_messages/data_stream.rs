//! Pages of version 4 of the AI SDK, which read a data stream: lines of a code, a colon and JSON.

use bytes::Bytes;
use serde_json::json;

use super::{decode, lines, translate, whole};
use crate::dialects::errors;
use crate::dialects::{About, Decoded, Dialect, ErrorReply, StreamEncoder, StreamHead};
use crate::domain::chat::{ChatReply, ChatRequest, Wire};
use crate::domain::error::GatewayError;

pub(in crate::dialects) struct DataStream;

impl Dialect for DataStream {
    fn name(&self) -> &'static str {
        "ui_data_stream"
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
        Box::new(lines::Encoder::new(about))
    }

    /// Clients skip empty lines.
    fn keep_alive(&self) -> Bytes {
        Bytes::from_static(b"\n")
    }

    /// The format has no comments.
    fn comment(&self, _text: &str) -> Bytes {
        Bytes::new()
    }

    /// The shape that route handlers for this version usually answer with.
    fn error(&self, error: &GatewayError, _request_id: &str) -> ErrorReply {
        let facts = errors::facts(error);
        let mut body = json!({ "error": errors::sentence(error), "code": facts.code });
        let wait = facts.headers.iter().find(|(name, _)| *name == "retry-after");
        if let Some(seconds) = wait.and_then(|(_, seconds)| seconds.parse::<u64>().ok()) {
            body["retryAfter"] = seconds.into();
        }
        ErrorReply {
            status: facts.status,
            code: facts.code,
            headers: facts.headers,
            content_type: "application/json",
            body: body.to_string().into(),
        }
    }

    fn in_band_error(&self, error: &GatewayError, _request_id: &str) -> Bytes {
        lines::error(&errors::sentence(error))
    }

    fn stream_head(&self) -> StreamHead {
        StreamHead { content_type: "text/plain; charset=utf-8", headers: &[("x-vercel-ai-data-stream", "v1")] }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_error_is_a_sentence_under_error_with_its_code_and_its_wait() {
        let reply = DataStream.error(&GatewayError::StoreUnavailable, "req_1");
        let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!((reply.status, &body["code"], &body["retryAfter"]), (503, &json!("store_unavailable"), &json!(2)));
        assert!(body["error"].as_str().is_some_and(|text| text.ends_with('.')), "{body}");
        let reply = DataStream.error(&GatewayError::InvalidApiKey, "req_1");
        assert!(reply.body.len() <= 200 && !reply.body.windows(10).any(|bytes| bytes == b"retryAfter"));
    }
}
