//! Answers: named events, or all of them in one.

use super::wire::{Answer, Call, End, Event, Message, OneOrMore};
use super::{KIND, PLAN, THOUGHT};
use crate::domain::chat::{ChatEvent, Finish, InBandError};
use crate::domain::signatures::mark;
use crate::domain::sse::SseFrame;
use crate::providers::{DecodeError, FrameKind, StreamDecoder, errors};

#[derive(Default)]
pub(super) struct Decoder {
    calls: u32,
    /// The last call has no arguments so far.
    bare: bool,
    /// Place of the reasoning that is being told.
    reasoning: Option<&'static str>,
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
        match serde_json::from_slice(data) {
            Ok(Event::MessageStart { id }) => out.push(ChatEvent::Start { id, model: None }),
            Ok(Event::ContentStart { delta }) => self.said(delta.message, out),
            Ok(Event::ToolCallEnd) => self.close_call(out),
            Ok(Event::MessageEnd { delta }) => {
                self.end(delta, out);
                out.push(ChatEvent::End);
                return Ok(FrameKind::End);
            }
            Ok(Event::Other) => {}
            Err(_) => out.push(ChatEvent::Error(error(data, "a stream event is none of this provider's")?)),
        }
        Ok(FrameKind::Data)
    }
}

impl Decoder {
    pub(super) fn answer(&mut self, body: &[u8], out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        match serde_json::from_slice::<Answer>(body) {
            Ok(answer) => {
                out.push(ChatEvent::Start { id: answer.id, model: None });
                self.said(answer.message, out);
                self.end(answer.end, out);
            }
            Err(_) => out.push(ChatEvent::Error(error(body, "it is not an answer")?)),
        }
        Ok(())
    }

    fn said(&mut self, message: Message, out: &mut Vec<ChatEvent>) {
        self.reason(PLAN, message.tool_plan, out);
        for piece in OneOrMore::each(message.content) {
            self.reason(THOUGHT, piece.thinking, out);
            if let Some(text) = piece.text.filter(|text| !text.is_empty()) {
                self.close_reasoning(out);
                out.push(ChatEvent::Text(text));
            }
        }
        for call in OneOrMore::each(message.tool_calls) {
            self.call(call, out);
        }
    }

    fn reason(&mut self, place: &'static str, text: Option<String>, out: &mut Vec<ChatEvent>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        if self.reasoning.is_some_and(|open| open != place) {
            self.close_reasoning(out);
        }
        self.reasoning = Some(place);
        out.push(ChatEvent::Reasoning { text });
    }

    fn close_reasoning(&mut self, out: &mut Vec<ChatEvent>) {
        if let Some(place) = self.reasoning.take() {
            out.push(ChatEvent::ReasoningSignature(mark(KIND, place, "")));
        }
    }

    fn call(&mut self, call: Call, out: &mut Vec<ChatEvent>) {
        let Some(function) = call.function else { return };
        if let Some(name) = function.name.filter(|name| !name.is_empty()) {
            self.close_reasoning(out);
            self.close_call(out);
            let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}", self.calls));
            out.push(ChatEvent::ToolStart { index: self.calls, id, name });
            self.calls = self.calls.saturating_add(1);
            self.bare = true;
        }
        let Some(index) = self.calls.checked_sub(1) else { return };
        // A function without parameters is called with null.
        if let Some(fragment) = function.arguments.filter(|text| !text.is_empty() && text != "null") {
            self.bare = false;
            out.push(ChatEvent::ToolArguments { index, fragment });
        }
    }

    fn close_call(&mut self, out: &mut Vec<ChatEvent>) {
        if std::mem::take(&mut self.bare) {
            out.push(ChatEvent::ToolArguments { index: self.calls.saturating_sub(1), fragment: "{}".into() });
        }
    }

    fn end(&mut self, end: End, out: &mut Vec<ChatEvent>) {
        self.close_reasoning(out);
        self.close_call(out);
        out.extend(end.usage().map(ChatEvent::Usage));
        let Some(reason) = end.finish_reason else { return };
        out.push(match reason.as_str() {
            "MAX_TOKENS" => ChatEvent::Finish(Finish::Length),
            "TOOL_CALL" => ChatEvent::Finish(Finish::ToolCalls),
            "ERROR_TOXIC" => ChatEvent::Finish(Finish::ContentFilter),
            reason if reason.starts_with("ERROR") || reason == "TIMEOUT" => {
                let message = end.error.unwrap_or_else(|| format!("the provider broke its answer off: {reason}"));
                ChatEvent::Error(InBandError { message, code: Some(reason.to_owned()), ..InBandError::default() })
            }
            // COMPLETE, STOP_SEQUENCE, and what is still to come.
            _ => ChatEvent::Finish(Finish::Stop),
        });
    }
}

/// Errors inside a 200 are objects with a message and no type.
fn error(data: &[u8], otherwise: &str) -> Result<InBandError, DecodeError> {
    let value = serde_json::from_slice(data).ok();
    value.and_then(|value| errors::read(&value)).ok_or_else(|| DecodeError::Malformed(otherwise.into()))
}
