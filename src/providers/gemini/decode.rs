//! Whole answers: a stream of one frame.

use super::stream::Decoder;
use crate::domain::chat::{ChatEvent, ChatReply, Part};
use crate::providers::DecodeError;

pub(super) fn reply(body: &[u8]) -> Result<ChatReply, DecodeError> {
    let mut events = Vec::new();
    Decoder::default().answer(body, &mut events)?;
    let mut reply = ChatReply::default();
    for event in events {
        match event {
            ChatEvent::Start { id, model } => (reply.id, reply.model) = (id, model),
            ChatEvent::Text(text) => reply.parts.push(Part::Text(text)),
            ChatEvent::Reasoning { text } => reply.parts.push(Part::Reasoning { text, signature: None }),
            ChatEvent::ReasoningSignature(given) => match reply.parts.last_mut() {
                Some(Part::Reasoning { signature: signature @ None, .. }) => *signature = Some(given),
                _ => reply.parts.push(Part::Reasoning { text: String::new(), signature: Some(given) }),
            },
            ChatEvent::ToolStart { id, name, .. } => {
                reply.parts.push(Part::ToolCall { id, name, arguments: String::new() });
            }
            // The arguments of a call follow its start at once.
            ChatEvent::ToolArguments { fragment, .. } => {
                if let Some(Part::ToolCall { arguments, .. }) = reply.parts.last_mut() {
                    arguments.push_str(&fragment);
                }
            }
            ChatEvent::Usage(usage) => reply.usage = Some(usage),
            ChatEvent::Finish(finish) => reply.finish = Some(finish),
            ChatEvent::Error(error) => return Err(DecodeError::InBand(error)),
            ChatEvent::Refusal(_) | ChatEvent::End => {}
        }
    }
    if reply.finish.is_none() && reply.output_bytes() == 0 {
        return Err(DecodeError::Empty);
    }
    Ok(reply)
}
