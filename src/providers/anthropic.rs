//! Anthropic's messages upstream.

mod citations;
mod decode;
mod encode;
mod request;
mod stream;
mod turns;
mod usage;

use std::time::SystemTime;

use bytes::Bytes;

use super::pass::Splice;
use super::{Adapter, Ask, DecodeError, Encoded, FailureParts, Inspected, Passed, StreamDecoder, errors, retry_after};
use crate::domain::chat::{ChatReply, ChatRequest, Finish, Wire};
use crate::domain::error::GatewayError;

pub(super) struct Anthropic;

const KIND: &str = "anthropic";

/// The place of a signature that is reasoning which the provider hides.
const REDACTED: &str = "redacted";

const RESETS: &[(&str, &str)] = &[
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
];

impl Adapter for Anthropic {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn wire(&self) -> Wire {
        Wire::AnthropicMessages
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.anthropic.com")
    }

    fn catalogue(&self) -> Option<&'static str> {
        Some("anthropic")
    }

    fn headers(&self, api_key: Option<&str>) -> Vec<(&'static str, String)> {
        let version = ("anthropic-version", "2023-06-01".to_owned());
        api_key.map(|key| ("x-api-key", key.to_owned())).into_iter().chain([version]).collect()
    }

    fn path(&self, _model: &str, _stream: bool) -> String {
        "/v1/messages".into()
    }

    fn pass(&self, call: &Passed<'_>) -> Result<Bytes, GatewayError> {
        let mut splice = Splice::new(call);
        if let Some(cap) = call.max_tokens {
            splice.set("max_tokens", &call.owned.max_tokens, cap.to_string().into());
        }
        Ok(splice.finish())
    }

    fn encode(&self, chat: &ChatRequest, ask: &Ask<'_>) -> Result<Encoded, GatewayError> {
        encode::encode(chat, ask)
    }

    fn decode(&self, body: &[u8]) -> Result<ChatReply, DecodeError> {
        decode::reply(body)
    }

    fn inspect(&self, body: &[u8]) -> Result<Inspected, DecodeError> {
        decode::inspect(body)
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

fn finish(stop_reason: &str) -> Finish {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        // end_turn, stop_sequence, pause_turn, and what is still to come.
        _ => Finish::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::OwnedFields;

    #[test]
    fn a_call_in_its_own_format_changes_its_model_cap_and_stream_alone() {
        let body = Bytes::from_static(br#"{"model":"m","max_tokens":900,"system":"s"}"#);
        let owned = OwnedFields { model: Some(9..12), max_tokens: Some(26..29), ..OwnedFields::default() };
        let call = Passed {
            body: &body,
            owned: &owned,
            model: "claude",
            stream: true,
            max_tokens: Some(7),
            cap_field: "max_completion_tokens",
        };
        let sent = Anthropic.pass(&call).expect("passes");
        assert_eq!(sent, &br#"{"stream":true,"model":"claude","max_tokens":7,"system":"s"}"#[..]);
    }

    #[test]
    fn the_key_goes_into_the_vendors_own_header() {
        let headers = Anthropic.headers(Some("k"));
        assert_eq!(headers, [("x-api-key", "k".to_owned()), ("anthropic-version", "2023-06-01".to_owned())]);
        assert_eq!(Anthropic.headers(None).len(), 1, "keyless servers of this format exist");
    }
}
