//! Mistral upstream: OpenAI's chat completions with other words, of which an unknown one is a 422.

mod embeddings;
mod encode;
mod ids;

use std::time::SystemTime;

use super::moderation::{Moderations, Moderator};
use super::openai::OpenAi;
use super::{Adapter, Ask, DecodeError, Encoded, FailureParts, StreamDecoder, errors, retry_after};
use crate::domain::chat::{ChatReply, ChatRequest, Wire};
use crate::domain::error::GatewayError;

/// Requests are OpenAI's with what differs put right. Answers are read as OpenAI's are: the reader takes lists of typed
/// content and flat errors for what they are. They are not passed on as they come, because OpenAI's clients do not.
pub(super) struct Mistral;

impl Adapter for Mistral {
    fn kind(&self) -> &'static str {
        "mistral"
    }

    fn speaks(&self, wire: Wire) -> Option<&'static dyn Adapter> {
        match wire {
            Wire::OpenAiEmbeddings => Some(&embeddings::EMBEDDINGS),
            _ => None,
        }
    }

    fn moderator(&self) -> Option<&'static dyn Moderator> {
        Some(&Moderations { takes_images: false })
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.mistral.ai/v1")
    }

    fn catalogue(&self) -> Option<&'static str> {
        Some("mistral")
    }

    fn headers(&self, api_key: Option<&str>) -> Vec<(&'static str, String)> {
        OpenAi.headers(api_key)
    }

    fn path(&self, model: &str, stream: bool) -> String {
        OpenAi.path(model, stream)
    }

    fn encode(&self, chat: &ChatRequest, ask: &Ask<'_>) -> Result<Encoded, GatewayError> {
        encode::encode(chat, ask)
    }

    fn decode(&self, body: &[u8]) -> Result<ChatReply, DecodeError> {
        OpenAi.decode(body)
    }

    fn decoder(&self) -> Box<dyn StreamDecoder> {
        OpenAi.decoder()
    }

    fn failure(
        &self,
        status: u16,
        headers: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: SystemTime,
    ) -> FailureParts {
        errors::failure(status, body, retry_after::Asked { headers, now, resets: &[] })
    }
}
