//! Streamed answers.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::items::{self, Item, Response};
use crate::domain::chat::{ChatEvent, Part};
use crate::domain::sse::SseFrame;
use crate::providers::{DecodeError, FrameKind, StreamDecoder, errors};

#[derive(Default)]
pub(super) struct Decoder {
    /// Items that said something or are calls.
    items: Vec<Seen>,
    calls: u32,
    /// Reasoning came before: the next summary part is a new paragraph.
    in_summary: bool,
    /// Characters of text so far, and those before the part that is being written.
    said_chars: usize,
    part_from: usize,
}

struct Seen {
    output_index: u64,
    /// Number of the call, counted from 0; none for messages and reasoning.
    call: Option<u32>,
    /// Some of it came in deltas, so that the whole at its end is no news.
    has_deltas: bool,
}

/// One event; its `type` decides, the `event:` line of the frame may be missing.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    output_index: u64,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    item: Option<&'a RawValue>,
    annotation: Option<&'a RawValue>,
    response: Option<&'a RawValue>,
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
        let event: Event<'_> = match serde_json::from_slice(data) {
            Ok(event) => event,
            Err(_) => return unnamed(data, out),
        };
        match event.kind.as_ref() {
            "response.created" => {
                let response: Response = required(event.response)?;
                out.push(ChatEvent::Start { id: response.id, model: response.model });
            }
            "response.output_text.delta" => self.said(&event, ChatEvent::Text, out)?,
            "response.content_part.added" => self.part_from = self.said_chars,
            "response.output_text.annotation.added" => {
                let annotation: Value = required(event.annotation)?;
                out.extend(items::citation(&annotation, self.part_from).map(ChatEvent::Detail));
            }
            "response.refusal.delta" => self.said(&event, ChatEvent::Refusal, out)?,
            "response.reasoning_text.delta" | "response.reasoning.delta" | "response.reasoning_summary_text.delta" => {
                self.in_summary = true;
                self.said(&event, |text| ChatEvent::Reasoning { text }, out)?;
            }
            "response.reasoning_summary_part.added" if self.in_summary => {
                out.push(ChatEvent::Reasoning { text: "\n\n".into() });
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.arguments(&event, out)?;
            }
            "response.output_item.added" => self.added(event.output_index, &required(event.item)?, out),
            "response.output_item.done" => self.done(event.output_index, &required(event.item)?, out),
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                return self.end(&required(event.response)?, out);
            }
            "error" => out.push(ChatEvent::Error(errors::named(data))),
            // Progress of tools that run at the provider, what repeats the deltas, and events still to be invented.
            _ => {}
        }
        Ok(FrameKind::Data)
    }
}

impl Decoder {
    fn said(
        &mut self,
        event: &Event<'_>,
        say: impl FnOnce(String) -> ChatEvent,
        out: &mut Vec<ChatEvent>,
    ) -> Result<(), DecodeError> {
        let text: String = required(event.delta)?;
        if !text.is_empty() {
            self.seen(event.output_index).has_deltas = true;
            if event.kind == "response.output_text.delta" {
                self.said_chars += text.chars().count();
            }
            out.push(say(text));
        }
        Ok(())
    }

    fn arguments(&mut self, event: &Event<'_>, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let fragment: String = required(event.delta)?;
        let seen = self.seen(event.output_index);
        // Fragments of a call that never began belong to nobody.
        if let Some(index) = seen.call.filter(|_| !fragment.is_empty()) {
            seen.has_deltas = true;
            out.push(ChatEvent::ToolArguments { index, fragment });
        }
        Ok(())
    }

    fn added(&mut self, output_index: u64, item: &Item, out: &mut Vec<ChatEvent>) {
        self.in_summary = false;
        let Some(Part::ToolCall { id, name, arguments }) = item.call() else { return };
        let index = self.calls;
        self.calls += 1;
        out.push(ChatEvent::ToolStart { index, id, name });
        let has_deltas = !arguments.is_empty();
        if has_deltas {
            out.push(ChatEvent::ToolArguments { index, fragment: arguments });
        }
        self.items.push(Seen { output_index, call: Some(index), has_deltas });
    }

    /// An item that sent no deltas says all of it now.
    fn done(&mut self, output_index: u64, item: &Item, out: &mut Vec<ChatEvent>) {
        if item.is_call() && self.seen(output_index).call.is_none() {
            self.items.retain(|seen| seen.output_index != output_index);
            return self.added(output_index, item, out);
        }
        let seen = self.seen(output_index);
        let is_new = !std::mem::replace(&mut seen.has_deltas, true);
        match (item.kind.as_str(), seen.call) {
            (_, Some(index)) if is_new && !item.arguments().is_empty() => {
                out.push(ChatEvent::ToolArguments { index, fragment: item.arguments().to_owned() });
            }
            ("message", _) if is_new => {
                for content in item.content.iter().flatten() {
                    out.extend(content.text.clone().filter(|text| !text.is_empty()).map(ChatEvent::Text));
                    out.extend(content.refusal.clone().filter(|text| !text.is_empty()).map(ChatEvent::Refusal));
                }
            }
            ("reasoning", _) => {
                let text = item.reasoning();
                if is_new && !text.is_empty() {
                    out.push(ChatEvent::Reasoning { text });
                }
                out.extend(item.signature().map(ChatEvent::ReasoningSignature));
            }
            _ => {}
        }
    }

    fn end(&mut self, response: &Response, out: &mut Vec<ChatEvent>) -> Result<FrameKind, DecodeError> {
        out.extend(response.usage().map(ChatEvent::Usage));
        out.extend(response.tier().map(ChatEvent::Detail));
        if let Some(error) = response.failure() {
            out.push(ChatEvent::Error(error));
            return Ok(FrameKind::Data);
        }
        let Some(finish) = response.finish(self.calls > 0) else {
            return Err(DecodeError::Malformed("the last event has no status".into()));
        };
        out.push(ChatEvent::Finish(finish));
        out.push(ChatEvent::End);
        Ok(FrameKind::End)
    }

    fn seen(&mut self, output_index: u64) -> &mut Seen {
        let at = self.items.iter().rposition(|seen| seen.output_index == output_index).unwrap_or(self.items.len());
        if at == self.items.len() {
            self.items.push(Seen { output_index, call: None, has_deltas: false });
        }
        &mut self.items[at]
    }
}

/// Errors of servers and proxies that don't know the format's own.
fn unnamed(data: &[u8], out: &mut Vec<ChatEvent>) -> Result<FrameKind, DecodeError> {
    match serde_json::from_slice(data).ok().and_then(|value| errors::read(&value)) {
        Some(error) => {
            out.push(ChatEvent::Error(error));
            Ok(FrameKind::Data)
        }
        None => Err(DecodeError::Malformed("a stream event is not one of a response".into())),
    }
}

fn required<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<T, DecodeError> {
    let raw = raw.map_or("null", RawValue::get);
    serde_json::from_str(raw).map_err(|_| DecodeError::Malformed("a stream event lacks what it is about".into()))
}

#[cfg(test)]
mod tests;
