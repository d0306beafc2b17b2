//! An answer that came in one piece, as the stream that it would have been: these formats have no other.

use bytes::{Bytes, BytesMut};

use crate::dialects::StreamEncoder;
use crate::domain::chat::{ChatEvent, ChatReply, Finish, Part};

pub(super) fn reply(reply: &ChatReply, mut encoder: Box<dyn StreamEncoder>) -> Bytes {
    let mut out = BytesMut::new();
    for event in events(reply) {
        encoder.push(&event, &mut out);
    }
    encoder.finish(reply.usage.as_ref(), &mut out);
    out.freeze()
}

fn events(reply: &ChatReply) -> Vec<ChatEvent> {
    let (mut events, mut calls) = (Vec::new(), 0);
    for part in &reply.parts {
        match part {
            Part::Text(text) => events.push(ChatEvent::Text(text.clone())),
            Part::Reasoning { text, signature } => {
                events.push(ChatEvent::Reasoning { text: text.clone() });
                events.extend(signature.clone().map(ChatEvent::ReasoningSignature));
            }
            Part::ToolCall { id, name, arguments } => {
                events.push(ChatEvent::ToolStart { index: calls, id: id.clone(), name: name.clone() });
                events.push(ChatEvent::ToolArguments { index: calls, fragment: arguments.clone() });
                calls += 1;
            }
            // A model answers in words and calls.
            Part::Image(_) | Part::File { .. } | Part::ToolResult { .. } => {}
        }
    }
    events.extend(reply.refusal.clone().map(ChatEvent::Refusal));
    events.extend(reply.details.iter().cloned().map(ChatEvent::Detail));
    events.push(ChatEvent::Finish(reply.finish.unwrap_or(Finish::Stop)));
    events
}
