//! Google's Gemini upstream: `generateContent` and its stream.

mod contents;
mod decode;
mod details;
mod embeddings;
mod encode;
mod failure;
mod partial;
mod request;
mod schema;
mod signed;
mod stream;
mod thinking;
mod usage;
mod wire;

use std::time::SystemTime;

use super::{Adapter, Ask, DecodeError, Encoded, FailureParts, StreamDecoder};
use crate::domain::chat::{ChatReply, ChatRequest, Wire};
use crate::domain::error::GatewayError;

pub(super) struct Gemini;

const KIND: &str = "gemini";

impl Adapter for Gemini {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn speaks(&self, wire: Wire) -> Option<&'static dyn Adapter> {
        match wire {
            Wire::OpenAiEmbeddings => Some(&embeddings::EMBEDDINGS),
            _ => None,
        }
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://generativelanguage.googleapis.com/v1beta")
    }

    fn catalogue(&self) -> Option<&'static str> {
        Some("google")
    }

    fn headers(&self, api_key: Option<&str>) -> Vec<(&'static str, String)> {
        // Not in the query, where Google takes it too: URLs end up in logs.
        api_key.map(|key| ("x-goog-api-key", key.to_owned())).into_iter().collect()
    }

    /// The model may come from a caller, and here it is a part of the URL.
    fn path(&self, model: &str, stream: bool) -> String {
        let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
        format!("{}:{method}", place(model))
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
        failure::failure(status, headers, body, now)
    }
}

/// `/models/NAME`, whatever the model is called.
fn place(model: &str) -> String {
    let (folder, model) = match model.split_once('/') {
        Some((folder @ ("models" | "tunedModels"), model)) => (folder, model),
        _ => ("models", model),
    };
    format!("/{folder}/{}", escaped(model))
}

fn escaped(model: &str) -> String {
    let mut out = String::with_capacity(model.len());
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_a_part_of_the_path_and_can_not_lead_out_of_it() {
        assert_eq!(Gemini.path("gemini-2.5-flash", false), "/models/gemini-2.5-flash:generateContent");
        assert_eq!(Gemini.path("gemini-3-pro", true), "/models/gemini-3-pro:streamGenerateContent?alt=sse");
        assert_eq!(Gemini.path("tunedModels/mine", false), "/tunedModels/mine:generateContent");
        assert_eq!(Gemini.path("models/../x?key=y#", false), "/models/..%2Fx%3Fkey%3Dy%23:generateContent");
    }

    #[test]
    fn the_key_goes_into_a_header() {
        assert_eq!(Gemini.headers(Some("k")), [("x-goog-api-key", "k".to_owned())]);
    }
}
