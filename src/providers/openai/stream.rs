//! Streamed answers.

use crate::domain::chat::ChatEvent;
use crate::domain::sse::SseFrame;
use crate::providers::{DecodeError, FrameKind, StreamDecoder, errors};

use super::wire::{self, Answer, Call, Called, Choice, Piece, Said};
use super::{details, usage};

#[derive(Default)]
pub(super) struct Decoder {
    started: bool,
    choices: Choices,
    calls: Vec<OpenCall>,
}

/// Which choices spoke and which ended; OpenAI allows 128 of them.
#[derive(Default)]
struct Choices {
    seen: u128,
    ended: u128,
}

/// A tool call of this stream; its place in the list is the index we give it.
struct OpenCall {
    choice: u64,
    /// The provider's own number, if it has one: some begin at 1, some repeat 0.
    index: Option<u64>,
    id: String,
}

impl StreamDecoder for Decoder {
    fn push(&mut self, frame: &SseFrame, out: &mut Vec<ChatEvent>) -> Result<FrameKind, DecodeError> {
        let fields = frame.fields();
        let Some(data) = fields.data.as_deref().map(<[u8]>::trim_ascii).filter(|data| !data.is_empty()) else {
            return Ok(FrameKind::Comment);
        };
        if data == b"[DONE]" {
            out.push(ChatEvent::End);
            return Ok(FrameKind::End);
        }
        if fields.event == Some(b"error") {
            out.push(ChatEvent::Error(errors::named(data)));
            return Ok(FrameKind::Data);
        }
        let chunk: Answer<'_> = serde_json::from_slice(data)
            .map_err(|_| DecodeError::Malformed("a stream event is not a chat completion chunk".into()))?;
        if let Some(error) = chunk.in_band_error(data) {
            out.push(ChatEvent::Error(error));
            return Ok(FrameKind::Data);
        }
        Ok(self.chunk(&chunk, out))
    }
}

impl Decoder {
    fn chunk(&mut self, chunk: &Answer<'_>, out: &mut Vec<ChatEvent>) -> FrameKind {
        if let Some(id) = wire::text(chunk.id).filter(|_| !self.started) {
            self.started = true;
            let model = wire::text(chunk.model).map(Into::into);
            out.push(ChatEvent::Start { id: Some(id.into()), model });
            out.extend(details::of_answer(chunk).map(ChatEvent::Detail));
        }
        let choices = chunk.choices.as_deref().unwrap_or_default();
        for choice in choices {
            self.choice(choice, out);
        }
        out.extend(usage::of(chunk).map(ChatEvent::Usage));
        if choices.is_empty() && chunk.usage.is_some() { FrameKind::UsageOnly } else { FrameKind::Data }
    }

    fn choice(&mut self, choice: &Choice<'_>, out: &mut Vec<ChatEvent>) {
        let index = choice.index.unwrap_or(0);
        if let Some(said) = choice.said() {
            self.said(index, said, out);
        }
        let mut beside = Vec::new();
        details::of_choice(choice, &mut beside);
        out.extend(beside.into_iter().map(ChatEvent::Detail));
        match wire::finish(choice.finish_reason) {
            None => self.choices.spoke(index),
            Some(Ok(finish)) => out.extend(self.choices.ended(index).then_some(ChatEvent::Finish(finish))),
            Some(Err(error)) => out.push(ChatEvent::Error(error)),
        }
    }

    fn said(&mut self, choice: u64, said: &Said<'_>, out: &mut Vec<ChatEvent>) {
        out.extend(said.reasoning().map(|text| ChatEvent::Reasoning { text: text.into() }));
        wire::pieces(said.content, &mut |piece| {
            out.push(match piece {
                Piece::Text(text) => ChatEvent::Text(text.into()),
                Piece::Reasoning(text) => ChatEvent::Reasoning { text: text.into() },
            });
        });
        out.extend(wire::text(said.refusal).map(|text| ChatEvent::Refusal(text.into())));
        for call in said.tool_calls.iter().flatten() {
            self.tool_call(choice, call, out);
        }
        if let Some(called) = &said.function_call {
            self.function(choice, None, None, called, out);
        }
    }

    fn tool_call(&mut self, choice: u64, call: &Call<'_>, out: &mut Vec<ChatEvent>) {
        if let Some(called) = &call.function {
            self.function(choice, call.index, wire::text(call.id).map(Into::into), called, out);
        }
    }

    fn function(
        &mut self,
        choice: u64,
        index: Option<u64>,
        id: Option<String>,
        called: &Called<'_>,
        out: &mut Vec<ChatEvent>,
    ) {
        let name = wire::text(called.name);
        let known = self.calls.iter().rposition(|call| call.continued_by(choice, index, id.as_deref(), name.is_some()));
        let at = match (known, name) {
            (Some(at), _) => at,
            (None, Some(name)) => {
                let at = self.calls.len();
                let id = id.unwrap_or_else(|| format!("call_{at}"));
                out.push(ChatEvent::ToolStart { index: number(at), id: id.clone(), name: name.into() });
                self.calls.push(OpenCall { choice, index, id });
                at
            }
            // Neither a call we know nor the start of one.
            (None, None) => return,
        };
        let fragment = wire::arguments(called.arguments);
        out.extend(fragment.map(|text| ChatEvent::ToolArguments { index: number(at), fragment: text.into() }));
    }
}

impl OpenCall {
    /// A fragment without a name belongs to the call with its number, or to the last one; some servers mint a new id
    /// for every fragment. One with a name goes on with a call only if it has the same number and no other id; with
    /// neither number nor id it is a call of its own.
    fn continued_by(&self, choice: u64, index: Option<u64>, id: Option<&str>, named: bool) -> bool {
        let same_number = index.is_none() || self.index == index;
        let same_id = match id {
            Some(id) => id == self.id,
            None => index.is_some(),
        };
        self.choice == choice && same_number && (!named || same_id)
    }
}

impl Choices {
    fn spoke(&mut self, index: u64) {
        self.seen |= bit(index);
    }

    /// Marks one as ended; true when none is left open.
    fn ended(&mut self, index: u64) -> bool {
        let is_new = self.ended & bit(index) == 0;
        self.seen |= bit(index);
        self.ended |= bit(index);
        is_new && self.seen == self.ended
    }
}

fn bit(index: u64) -> u128 {
    1 << index.min(127)
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
