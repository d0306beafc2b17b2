//! Streamed answers.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::citations::{self, Source};
use super::decode::{explanation, service_tier};
use super::finish;
use super::usage::Tally;
use super::{KIND, REDACTED};
use crate::domain::chat::{ChatEvent, Detail};
use crate::domain::signatures;
use crate::domain::sse::SseFrame;
use crate::providers::tokens::readable;
use crate::providers::{DecodeError, FrameKind, StreamDecoder, errors};

#[derive(Default)]
pub(super) struct Decoder {
    started: bool,
    tally: Tally,
    /// Tool calls so far; a place in the list is the index we give.
    calls: Vec<ToolBlock>,
    /// Characters of text so far, and at the start of the open block.
    characters: usize,
    block_start: usize,
    /// What the open block's text rests on; they come before the text.
    sources: Vec<Source>,
}

/// A `tool_use` block.
struct ToolBlock {
    /// The provider's number, which counts texts, too.
    block: u64,
    /// Arguments that came with the start; real ones come as fragments behind it.
    initial: Option<String>,
    has_arguments: bool,
    closed: bool,
}

/// One event; its `type` decides, the `event:` line of the frame may be missing.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    index: Option<u64>,
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
    stop_reason: Option<String>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
    stop_sequence: Option<String>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    id: Option<String>,
    name: Option<String>,
    text: Option<String>,
    thinking: Option<String>,
    data: Option<String>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Opening<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

impl StreamDecoder for Decoder {
    fn push(&mut self, frame: &SseFrame, out: &mut Vec<ChatEvent>) -> Result<FrameKind, DecodeError> {
        let fields = frame.fields();
        let Some(data) = fields.data.as_deref().map(<[u8]>::trim_ascii).filter(|data| !data.is_empty()) else {
            return Ok(FrameKind::Comment);
        };
        if fields.event == Some(b"error") {
            out.push(ChatEvent::Error(errors::named(data)));
            return Ok(FrameKind::Data);
        }
        let event: Event<'_> = read(data)?;
        match event.kind.as_ref() {
            "message_start" => self.message_start(&event, out)?,
            "content_block_start" => self.block_start(&event, out)?,
            "content_block_delta" => self.block_delta(event, out)?,
            "content_block_stop" => {
                self.cite(out);
                self.close(event.index, out);
            }
            "message_delta" => self.message_delta(event, out)?,
            "message_stop" => {
                self.close(None, out);
                out.push(ChatEvent::End);
                return Ok(FrameKind::End);
            }
            "error" => out.push(ChatEvent::Error(errors::named(data))),
            // `ping`, and events that are still to be invented.
            _ => {}
        }
        Ok(FrameKind::Data)
    }
}

impl Decoder {
    /// A second start (recorded in the field) only brings its usage.
    fn message_start(&mut self, event: &Event<'_>, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let Some(message) = event.message else { return Ok(()) };
        let opening: Opening<'_> = read(message.get().as_bytes())?;
        let usage = opening.usage.map(readable);
        if !std::mem::replace(&mut self.started, true) {
            out.push(ChatEvent::Start { id: opening.id, model: opening.model });
            let tier = usage.as_ref().and_then(service_tier);
            out.extend(tier.map(Detail::ServiceTier).map(ChatEvent::Detail));
        }
        if let Some(usage) = &usage {
            self.tally.update(usage);
            out.extend(self.tally.total().map(ChatEvent::Usage));
        }
        Ok(())
    }

    fn block_start(&mut self, event: &Event<'_>, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let Some(raw) = event.content_block else { return Ok(()) };
        let block: Block<'_> = read(raw.get().as_bytes())?;
        match block.kind.as_ref() {
            "text" => {
                self.block_start = self.characters;
                self.text(block.text, out);
            }
            "thinking" => {
                out.extend(block.thinking.filter(|t| !t.is_empty()).map(|text| ChatEvent::Reasoning { text }));
            }
            "redacted_thinking" => {
                let signature = block.data.map(|data| signatures::mark(KIND, REDACTED, &data));
                out.extend(signature.map(ChatEvent::ReasoningSignature));
            }
            "tool_use" => {
                let (Some(id), Some(name)) = (block.id, block.name) else {
                    return Err(DecodeError::Malformed("a tool call has no id or no name".into()));
                };
                let index = number(self.calls.len());
                out.push(ChatEvent::ToolStart { index, id, name });
                let initial = block.input.map(|input| input.get().to_owned());
                let block = event.index.unwrap_or(0);
                self.calls.push(ToolBlock { block, initial, has_arguments: false, closed: false });
            }
            // Tools that run at the provider are not the client's to answer.
            _ => {}
        }
        Ok(())
    }

    fn block_delta(&mut self, event: Event<'_>, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let Some(delta) = event.delta else { return Ok(()) };
        let said = |text: &String| !text.is_empty();
        match delta.kind.as_deref() {
            Some("text_delta") => self.text(delta.text, out),
            Some("citations_delta") => {
                self.sources.extend(delta.citation.and_then(citations::one));
            }
            Some("thinking_delta") => {
                out.extend(delta.thinking.filter(said).map(|text| ChatEvent::Reasoning { text }));
            }
            Some("signature_delta") => {
                out.extend(delta.signature.filter(said).map(ChatEvent::ReasoningSignature));
            }
            Some("input_json_delta") => {
                let Some(fragment) = delta.partial_json.filter(said) else { return Ok(()) };
                // Fragments for tools that run at the provider belong to no call of ours.
                if let Some(at) = self.calls.iter().rposition(|c| Some(c.block) == event.index && !c.closed) {
                    self.calls[at].has_arguments = true;
                    out.push(ChatEvent::ToolArguments { index: number(at), fragment });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: Option<String>, out: &mut Vec<ChatEvent>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        self.characters += text.chars().count();
        out.push(ChatEvent::Text(text));
    }

    /// The text of the block that ends now rests on what was named before it.
    fn cite(&mut self, out: &mut Vec<ChatEvent>) {
        let passage = self.block_start..self.characters;
        let citations = self.sources.drain(..).map(|source| Detail::Citation(source.of(passage.clone())));
        out.extend(citations.map(ChatEvent::Detail));
    }

    fn message_delta(&mut self, event: Event<'_>, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        self.close(None, out);
        if let Some(raw) = event.usage {
            self.tally.update(&readable(raw));
            out.extend(self.tally.total().map(ChatEvent::Usage));
        }
        let Some(delta) = event.delta else { return Ok(()) };
        let Some(stop_reason) = delta.stop_reason else { return Ok(()) };
        if stop_reason == "refusal" {
            out.extend(delta.stop_details.map(readable).as_ref().and_then(explanation).map(ChatEvent::Refusal));
        }
        out.extend(delta.stop_sequence.map(Detail::StopSequence).map(ChatEvent::Detail));
        out.push(ChatEvent::Finish(finish(&stop_reason)));
        Ok(())
    }

    /// Closes the call of one block, or all open ones. A call that got no fragments has the arguments of its start:
    /// clients read an empty text as broken JSON.
    fn close(&mut self, block: Option<u64>, out: &mut Vec<ChatEvent>) {
        for (at, call) in self.calls.iter_mut().enumerate() {
            if call.closed || block.is_some_and(|block| block != call.block) {
                continue;
            }
            call.closed = true;
            if !call.has_arguments {
                let fragment = call.initial.take().unwrap_or_else(|| "{}".into());
                out.push(ChatEvent::ToolArguments { index: number(at), fragment });
            }
        }
    }
}

fn read<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(data).map_err(|_| DecodeError::Malformed("a stream event can't be read".into()))
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
