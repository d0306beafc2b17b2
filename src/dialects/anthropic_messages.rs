//! Anthropic's messages, as clients speak them.

mod blocks;
mod citations;
mod decode;
mod encode;
mod object;
mod stream;
mod tools;
mod translate;
mod unreadable;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value, json};

use super::errors::{self, Class, ErrorFacts};
use super::{About, Decoded, Dialect, ErrorReply, StreamEncoder};
use crate::domain::chat::{ChatReply, ChatRequest, Wire};
use crate::domain::error::GatewayError;

pub(super) use decode::countable;

pub(super) struct AnthropicMessages;

impl Dialect for AnthropicMessages {
    fn name(&self) -> &'static str {
        "anthropic_messages"
    }

    fn wire(&self) -> Wire {
        Wire::AnthropicMessages
    }

    fn decode(&self, body: Bytes) -> Result<Decoded, GatewayError> {
        decode::decode(body)
    }

    fn chat(&self, call: &Decoded) -> Result<ChatRequest, GatewayError> {
        translate::chat(call)
    }

    fn without_foreign(&self, call: &Decoded) -> Option<Decoded> {
        decode::without_foreign(call)
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
        Bytes::from_static(b"event: ping\ndata: {\"type\":\"ping\"}\n\n")
    }

    fn comment(&self, text: &str) -> Bytes {
        super::comment(text)
    }

    fn error(&self, error: &GatewayError, request_id: &str) -> ErrorReply {
        let facts = errors::facts(error);
        let body = envelope(&facts, request_id).to_string().into();
        ErrorReply {
            status: facts.status,
            code: facts.code,
            headers: facts.headers,
            content_type: "application/json",
            body,
        }
    }

    fn in_band_error(&self, error: &GatewayError, request_id: &str) -> Bytes {
        let mut out = BytesMut::with_capacity(256);
        out.put_slice(b"event: error\ndata: ");
        out.put_slice(envelope(&errors::facts(error), request_id).to_string().as_bytes());
        out.put_slice(b"\n\n");
        out.freeze()
    }

    fn request_id_header(&self) -> Option<&'static str> {
        Some("request-id")
    }

    /// What a client switches on per call; without it the provider refuses the fields that belong to it.
    fn forwarded_headers(&self) -> &'static [&'static str] {
        &["anthropic-beta"]
    }
}

fn envelope(facts: &ErrorFacts, request_id: &str) -> Value {
    // This format's errors have a type and no code; ours stands where Anthropic puts its own finer ones.
    let mut details = Map::new();
    details.insert("error_code".into(), facts.code.as_str().into());
    if let Some(param) = &facts.param {
        details.insert("param".into(), param.as_str().into());
    }
    if let Some(limit) = &facts.limit {
        details.insert("limit".into(), Value::Object(limit.clone()));
    }
    let error = json!({ "type": error_type(facts.class), "message": facts.message, "details": details });
    let mut body = json!({ "type": "error", "error": error });
    // Whoever tries keys gets one constant body; the id is in the headers.
    if facts.class != Class::Authentication {
        body["request_id"] = request_id.into();
    }
    body
}

fn error_type(class: Class) -> &'static str {
    match class {
        Class::InvalidRequest => "invalid_request_error",
        Class::Authentication => "authentication_error",
        Class::Quota => "billing_error",
        Class::Permission => "permission_error",
        Class::NotFound => "not_found_error",
        Class::TooLarge => "request_too_large",
        Class::RateLimit => "rate_limit_error",
        Class::Unavailable => "overloaded_error",
        Class::Timeout => "timeout_error",
        Class::Server => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_gets_one_constant_body_of_at_most_200_bytes() {
        let reply = AnthropicMessages.error(&GatewayError::InvalidApiKey, "req_1");
        assert_eq!(reply.status, 401);
        assert!(reply.body.len() <= 200, "{} bytes", reply.body.len());
        assert_eq!(reply.body, AnthropicMessages.error(&GatewayError::InvalidApiKey, "req_2").body);
    }

    #[test]
    fn an_error_names_its_type_its_code_its_field_and_the_request() {
        let reply = AnthropicMessages.error(&GatewayError::invalid("no", Some("messages")), "req_1");
        let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!(
            body,
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "no",
                   "details": {"error_code": "invalid_request", "param": "messages"}}, "request_id": "req_1"})
        );
    }

    #[test]
    fn a_failure_in_a_stream_is_an_error_event_without_an_end_marker() {
        let frame = AnthropicMessages.in_band_error(&GatewayError::StoreUnavailable, "req_1");
        let text = std::str::from_utf8(&frame).expect("UTF-8");
        assert!(
            text.starts_with(
                r#"event: error
data: {"type":"error","error":{"type":"overloaded_error","#
            ),
            "{text}"
        );
        assert!(text.ends_with("\"request_id\":\"req_1\"}\n\n") && !text.contains("message_stop"), "{text}");
    }

    #[test]
    fn the_prompts_text_is_every_text_in_order() {
        let body = r#"{"model":"m","max_tokens":1,"system":[{"type":"text","text":"a"}],"messages":[
            {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"b"}]},
            {"type":"image","source":{"type":"url","url":"u"}},{"type":"text","text":"c"}]},
            {"role":"user","content":"d"}]}"#;
        let call = AnthropicMessages.decode(body.into()).expect("valid");
        assert_eq!(AnthropicMessages.prompt_text(&call), "a\nb\nc\nd");
    }
}
