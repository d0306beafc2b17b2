//! Cohere's chat upstream, version 2.

mod encode;
mod stream;
mod wire;

use std::time::SystemTime;

use super::{Adapter, Ask, DecodeError, Encoded, FailureParts, StreamDecoder, errors, retry_after};
use crate::domain::chat::{ChatReply, ChatRequest, Gathered};
use crate::domain::error::GatewayError;

pub(super) struct Cohere;

const KIND: &str = "cohere";

/// Places of the reasoning that models think before they speak, and of the plan that they make before they call tools.
/// Both go back where they stood; neither is signed.
const THOUGHT: &str = "thinking";
const PLAN: &str = "tool_plan";

impl Adapter for Cohere {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn default_base_url(&self) -> Option<&'static str> {
        Some("https://api.cohere.com")
    }

    fn catalogue(&self) -> Option<&'static str> {
        Some("cohere")
    }

    fn headers(&self, api_key: Option<&str>) -> Vec<(&'static str, String)> {
        api_key.map(|key| ("authorization", format!("Bearer {key}"))).into_iter().collect()
    }

    fn path(&self, _model: &str, _stream: bool) -> String {
        "/v2/chat".into()
    }

    fn encode(&self, chat: &ChatRequest, ask: &Ask<'_>) -> Result<Encoded, GatewayError> {
        encode::encode(chat, ask)
    }

    fn decode(&self, body: &[u8]) -> Result<ChatReply, DecodeError> {
        let mut events = Vec::new();
        stream::Decoder::default().answer(body, &mut events)?;
        let Gathered { reply, error, .. } = events.into_iter().collect();
        match error {
            Some(error) => Err(DecodeError::InBand(error)),
            None if reply.finish.is_none() && reply.output_bytes() == 0 => Err(DecodeError::Empty),
            None => Ok(reply),
        }
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
        errors::failure(status, body, retry_after::Asked { headers, now, resets: &[] })
    }
}
