//! OpenAI's responses upstream: models that exist there only, and clients that speak this format themselves.

mod decode;
mod encode;
mod input;
mod items;
mod stream;

use std::time::SystemTime;

use bytes::Bytes;

use super::openai::{OpenAi, RESETS};
use super::pass::Splice;
use super::{Adapter, Ask, DecodeError, Encoded, FailureParts, Passed, StreamDecoder, errors, retry_after};
use crate::domain::chat::{ChatReply, ChatRequest, Wire};
use crate::domain::error::GatewayError;
use crate::domain::signatures;

pub(super) struct OpenAiResponses;

/// Name of the kind in configs, and on the reasoning that it signs.
const KIND: &str = signatures::OPENAI_RESPONSES;

impl Adapter for OpenAiResponses {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn wire(&self) -> Wire {
        Wire::OpenAiResponses
    }

    fn default_base_url(&self) -> Option<&'static str> {
        OpenAi.default_base_url()
    }

    fn catalogue(&self) -> Option<&'static str> {
        OpenAi.catalogue()
    }

    fn headers(&self, api_key: Option<&str>) -> Vec<(&'static str, String)> {
        OpenAi.headers(api_key)
    }

    fn path(&self, _model: &str, _stream: bool) -> String {
        "/responses".into()
    }

    fn pass(&self, call: &Passed<'_>) -> Result<Bytes, GatewayError> {
        let mut splice = Splice::new(call);
        if let Some(cap) = call.max_tokens {
            splice.set("max_output_tokens", &call.owned.max_output_tokens, cap.to_string().into());
        }
        Ok(splice.finish())
    }

    fn encode(&self, chat: &ChatRequest, ask: &Ask<'_>) -> Result<Encoded, GatewayError> {
        encode::encode(chat, ask)
    }

    fn decode(&self, body: &[u8]) -> Result<ChatReply, DecodeError> {
        decode::reply(body)
    }

    fn decoder(&self) -> Box<dyn StreamDecoder> {
        Box::new(stream::Decoder::default())
    }

    fn failure(
        &self,
        status: u16,
        headers: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: SystemTime,
    ) -> FailureParts {
        errors::failure(status, body, retry_after::Asked { headers, now, resets: RESETS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::OwnedFields;

    #[test]
    fn a_call_in_its_own_format_changes_its_model_cap_and_stream_alone() {
        let body = Bytes::from_static(br#"{"model":"m","max_output_tokens":900,"input":"\u00e9"}"#);
        let owned = OwnedFields { model: Some(9..12), max_output_tokens: Some(33..36), ..OwnedFields::default() };
        let call = Passed {
            body: &body,
            owned: &owned,
            model: "gpt",
            stream: true,
            max_tokens: Some(70),
            cap_field: "max_completion_tokens",
        };
        let sent = OpenAiResponses.pass(&call).expect("passes");
        assert_eq!(sent, &br#"{"stream":true,"model":"gpt","max_output_tokens":70,"input":"\u00e9"}"#[..]);
    }
}
