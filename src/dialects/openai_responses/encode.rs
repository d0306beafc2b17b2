//! A translated answer as a response.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

use super::envelope::{Envelope, State};
use super::items::{self, Item, Kind, Spoken};
use super::reasoning;
use crate::dialects::About;
use crate::domain::chat::{ChatReply, Detail, Finish, Part};

pub(super) fn reply(reply: &ChatReply, about: &About) -> Bytes {
    let finish = reply.finish.unwrap_or(Finish::Stop);
    let mut envelope = Envelope::new(about);
    for detail in &reply.details {
        if let Detail::ServiceTier(tier) = detail {
            envelope.served_as(tier);
        }
    }
    let kinds = kinds(reply);
    let last = kinds.len().saturating_sub(1);
    let output = kinds.into_iter().zip(0..).map(|(kind, output_index)| {
        let id = items::id(kind.prefix(), envelope.id(), output_index);
        // What ran into the cap is the last thing that was said.
        let is_cut = matches!(finish, Finish::Length | Finish::ContentFilter) && output_index == last as u64;
        Item { output_index, id, kind }.json(if is_cut { "incomplete" } else { "completed" })
    });
    let output: Vec<Value> = output.collect();
    envelope.response(&State::Ended(finish), output, reply.usage.as_ref()).to_string().into()
}

/// Texts that follow one another are parts of one message.
fn kinds(reply: &ChatReply) -> Vec<Kind> {
    let mut kinds = Vec::new();
    let (mut calls, mut from) = (0, 0);
    for part in &reply.parts {
        match part {
            Part::Text(text) => {
                let to = from + text.chars().count();
                speak(&mut kinds, Spoken { annotations: sources(reply, from..to), ..Spoken::new(false) }, text);
                from = to;
            }
            Part::Reasoning { text, signature } => kinds.push(Kind::Reasoning {
                summary: if text.is_empty() { Vec::new() } else { vec![items::paragraph(text)] },
                paragraph: None,
                encrypted: signature.as_deref().map(reasoning::encrypted),
            }),
            Part::ToolCall { id, name, arguments } => {
                let (call_id, name, arguments) = (id.clone(), name.clone(), arguments.clone());
                kinds.push(Kind::Call { index: calls, call_id, name, arguments });
                calls += 1;
            }
            // A model answers in words and calls.
            Part::Image(_) | Part::File { .. } | Part::ToolResult { .. } => {}
        }
    }
    if let Some(refusal) = &reply.refusal {
        speak(&mut kinds, Spoken::new(true), refusal);
    }
    kinds
}

fn speak(kinds: &mut Vec<Kind>, spoken: Spoken, text: &str) {
    if !matches!(kinds.last(), Some(Kind::Message { .. })) {
        kinds.push(Kind::message());
    }
    if let Some(Kind::Message { content, .. }) = kinds.last_mut() {
        content.push(spoken.part(text));
    }
}

/// Sources of the text that has these characters of the answer.
fn sources(reply: &ChatReply, chars: Range<usize>) -> Vec<Value> {
    let citations = reply.details.iter().filter_map(|detail| match detail {
        Detail::Citation(citation) if chars.contains(&citation.passage.start) => Some(citation),
        Detail::Citation(_) | Detail::Logprobs(_) | Detail::StopSequence(_) | Detail::ServiceTier(_) => None,
    });
    citations.filter_map(|citation| items::annotation(citation, chars.start)).collect()
}
