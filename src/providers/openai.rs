//! OpenAI's chat completions upstream, and the many servers that speak it with an accent.

mod decode;
mod details;
mod embeddings;
mod encode;
mod stream;
mod usage;
mod wire;

use std::borrow::Cow;
use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Value, json};

use super::moderation::{Moderations, Moderator};
use super::openai_responses::OpenAiResponses;
use super::pass::Splice;
use super::{Adapter, Ask, DecodeError, Encoded, FailureParts, Inspected, Passed, StreamDecoder, errors, retry_after};
use crate::domain::chat::{ChatReply, ChatRequest, Wire};
use crate::domain::error::GatewayError;

pub(super) struct OpenAi;

pub(super) const RESETS: &[(&str, &str)] = &[
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
];

impl Adapter for OpenAi {
    fn kind(&self) -> &'static str {
        "openai"
    }

    fn wire(&self) -> Wire {
        Wire::OpenAiChat
    }

    fn speaks(&self, wire: Wire) -> Option<&'static dyn Adapter> {
        match wire {
            Wire::OpenAiEmbeddings => Some(&embeddings::EMBEDDINGS),
            Wire::OpenAiResponses => Some(&OpenAiResponses),
            _ => None,
        }
    }

    fn moderator(&self) -> Option<&'static dyn Moderator> {
        Some(&Moderations { takes_images: true })
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.openai.com/v1")
    }

    fn catalogue(&self) -> Option<&'static str> {
        Some("openai")
    }

    fn headers(&self, api_key: Option<&str>) -> Vec<(&'static str, String)> {
        api_key.map(|key| ("authorization", format!("Bearer {key}"))).into_iter().collect()
    }

    fn path(&self, _model: &str, _stream: bool) -> String {
        "/chat/completions".into()
    }

    fn pass(&self, call: &Passed<'_>) -> Result<Bytes, GatewayError> {
        let mut splice = Splice::new(call);
        set_cap(&mut splice, call);
        let options = splice.value(&call.owned.stream_options);
        if call.stream {
            // Always asked for: without it the provider's own count of a stream is not to be had.
            splice.set("stream_options", &call.owned.stream_options, with_usage(options).into());
        } else if options.is_some() {
            // Refused where nothing is streamed.
            splice.set("stream_options", &call.owned.stream_options, "null".into());
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

/// Writes the cap into every cap field the client gave: some servers read the one, some the other, so two that differ
/// would let an answer outgrow its hold. The newer name decides.
fn set_cap<'a>(splice: &mut Splice<'a>, call: &Passed<'a>) {
    let (old, new) = (&call.owned.max_tokens, &call.owned.max_completion_tokens);
    let (has_old, has_new) = (splice.value(old).is_some(), splice.value(new).is_some());
    let given = || splice.value(new).filter(|_| has_old).map(String::from_utf8_lossy);
    let Some(cap) = call.max_tokens.map(|cap| cap.to_string().into()).or_else(given) else { return };
    for (name, span, has) in [("max_tokens", old, has_old), ("max_completion_tokens", new, has_new)] {
        if has || (!has_old && !has_new && name == call.cap_field) {
            splice.set(name, span, Cow::clone(&cap));
        }
    }
}

fn with_usage(options: Option<&[u8]>) -> String {
    let given = options.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    let mut options = given.filter(Value::is_object).unwrap_or_else(|| json!({}));
    options["include_usage"] = true.into();
    options.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::OwnedFields;
    use crate::domain::json;

    fn pass(body: &str, stream: bool, max_tokens: Option<u64>) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let mut owned = OwnedFields::default();
        for field in json::fields(&body).expect("JSON") {
            match field.name.as_ref() {
                "model" => owned.model = Some(field.span),
                "max_tokens" => owned.max_tokens = Some(field.span),
                "max_completion_tokens" => owned.max_completion_tokens = Some(field.span),
                "stream" => owned.stream = Some(field.span),
                "stream_options" => owned.stream_options = Some(field.span),
                _ => {}
            }
        }
        let call =
            Passed { body: &body, owned: &owned, model: "gpt", stream, max_tokens, cap_field: "max_completion_tokens" };
        String::from_utf8(OpenAi.pass(&call).expect("passes").to_vec()).expect("UTF-8")
    }

    #[test]
    fn a_plain_call_changes_its_model_and_nothing_else() {
        let body = r#"{ "model":"standard", "temperature":1.50,"messages":[{"role":"user","content":"\u00e9"}] }"#;
        assert_eq!(pass(body, false, None), body.replace("\"standard\"", "\"gpt\""));
    }

    #[test]
    fn a_cap_goes_into_every_field_the_client_gave_or_into_the_one_the_target_knows() {
        assert_eq!(pass(r#"{"model":"m"}"#, false, Some(7)), r#"{"max_completion_tokens":7,"model":"gpt"}"#);
        assert_eq!(pass(r#"{"model":"m","max_tokens":99}"#, false, Some(7)), r#"{"model":"gpt","max_tokens":7}"#);
        assert_eq!(
            pass(r#"{"model":"m","max_tokens":99,"max_completion_tokens":98}"#, false, Some(7)),
            r#"{"model":"gpt","max_tokens":7,"max_completion_tokens":7}"#
        );
        assert_eq!(
            pass(r#"{"model":"m","max_completion_tokens":null,"max_tokens":null}"#, false, Some(7)),
            r#"{"model":"gpt","max_completion_tokens":7,"max_tokens":null}"#
        );
    }

    #[test]
    fn two_caps_that_differ_never_leave_as_they_came() {
        assert_eq!(
            pass(r#"{"model":"m","max_tokens":90000,"max_completion_tokens":5}"#, false, None),
            r#"{"model":"gpt","max_tokens":5,"max_completion_tokens":5}"#
        );
    }

    #[test]
    fn a_stream_always_asks_for_its_usage() {
        let asked = r#""stream_options":{"include_usage":true}"#;
        assert_eq!(
            pass(r#"{"model":"m","stream":true}"#, true, None),
            format!(r#"{{{asked},"model":"gpt","stream":true}}"#)
        );
        assert_eq!(
            pass(r#"{"model":"m","stream":true,"stream_options":{"x":1,"include_usage":false}}"#, true, None),
            r#"{"model":"gpt","stream":true,"stream_options":{"x":1,"include_usage":true}}"#
        );
    }

    #[test]
    fn upstream_is_asked_as_the_run_wants_it_whatever_the_client_said() {
        assert_eq!(
            pass(r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#, false, None),
            r#"{"model":"gpt","stream":false,"stream_options":null}"#
        );
        assert_eq!(
            pass(r#"{"model":"m","stream":false}"#, true, None),
            r#"{"stream_options":{"include_usage":true},"model":"gpt","stream":true}"#
        );
    }
}
