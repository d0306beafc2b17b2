//! OpenAI's chat completions, as clients speak them.

mod decode;
mod details;
mod encode;
mod messages;
mod stream;
mod translate;

use bytes::{BufMut, Bytes, BytesMut};

use super::{About, Decoded, Dialect, ErrorReply, StreamEncoder, errors, openai_error};
use crate::domain::chat::{ChatReply, ChatRequest, Wire};
use crate::domain::error::GatewayError;

pub(super) struct OpenAiChat;

impl Dialect for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai_chat"
    }

    fn wire(&self) -> Wire {
        Wire::OpenAiChat
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
        encode::reply(reply, about)
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

    fn error(&self, error: &GatewayError, _request_id: &str) -> ErrorReply {
        openai_error::reply(error)
    }

    fn in_band_error(&self, error: &GatewayError, _request_id: &str) -> Bytes {
        let mut out = BytesMut::with_capacity(256);
        // Some SDKs look at the event's name, some at the `error` key: both make them raise.
        out.put_slice(b"event: error\ndata: ");
        out.put_slice(openai_error::envelope(&errors::facts(error)).to_string().as_bytes());
        out.put_slice(b"\n\n");
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_wrong_key_gets_one_constant_body_of_at_most_200_bytes() {
        let reply = OpenAiChat.error(&GatewayError::InvalidApiKey, "req_1");
        assert_eq!(reply.status, 401);
        assert!(reply.body.len() <= 200, "{} bytes", reply.body.len());
        let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!(body["error"]["code"], "invalid_api_key");
    }

    #[test]
    fn every_error_has_all_four_keys() {
        for error in [GatewayError::Internal, GatewayError::invalid("no", Some("messages"))] {
            let body: Value = serde_json::from_slice(&OpenAiChat.error(&error, "req_1").body).expect("JSON");
            let keys: Vec<&String> = body["error"].as_object().expect("object").keys().collect();
            assert_eq!(keys, ["message", "type", "param", "code"]);
        }
    }

    #[test]
    fn a_failure_in_a_stream_is_a_named_event_without_an_end_marker() {
        let frame = OpenAiChat.in_band_error(&GatewayError::StoreUnavailable, "req_1");
        let text = std::str::from_utf8(&frame).expect("UTF-8");
        assert!(text.starts_with("event: error\ndata: {\"error\":{\"message\":"), "{text}");
        assert!(text.ends_with("}}\n\n") && !text.contains("[DONE]"), "{text}");
    }

    #[test]
    fn a_comment_stays_one_comment() {
        assert_eq!(OpenAiChat.comment("cost\ndata: x"), Bytes::from_static(b": cost data: x\n\n"));
    }

    #[test]
    fn the_prompts_text_is_every_text_in_order() {
        let body = r#"{"model":"m","messages":[{"role":"system","content":"a"},{"role":"assistant","content":null},
            {"role":"user","content":[{"type":"text","text":"b"},{"type":"image_url","image_url":{"url":"u"}}]}]}"#;
        let call = OpenAiChat.decode(body.into()).expect("valid");
        assert_eq!(OpenAiChat.prompt_text(&call), "a\nb");
    }
}
