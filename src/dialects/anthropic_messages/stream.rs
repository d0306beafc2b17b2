//! A translated stream as events of a message: one block at a time, each opened and closed.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::citations::CitationBody;
use super::encode::{UsageBody, service_tier, stop_details, stop_reason, tool_id};
use crate::dialects::{About, StreamEncoder};
use crate::domain::chat::{ChatEvent, Detail, Finish};
use crate::domain::sse::SseFrame;
use crate::domain::usage::Usage;

pub(super) struct Encoder {
    about: About,
    opened: bool,
    /// Blocks begun so far; the next one has this number.
    blocks: u64,
    open: Vec<Open>,
    /// Calls begun so far.
    calls: usize,
    refusal: String,
    finish: Option<Finish>,
    /// The message's last delta went to the client as the provider wrote it.
    delta_passed: bool,
    usage: Usage,
    stop_sequence: Option<String>,
    service_tier: Option<&'static str>,
}

/// A block that is not closed. There is more than one only behind a provider that mixes the arguments of its calls.
struct Open {
    block: u64,
    kind: Kind,
}

enum Kind {
    Text,
    Thinking,
    /// `index` counts calls, `arguments` is their text so far.
    Tool {
        index: u32,
        arguments: String,
    },
    /// Begun by the provider, in a frame that was passed on.
    Passed,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event<'a> {
    MessageStart { message: Value },
    ContentBlockStart { index: u64, content_block: Block<'a> },
    ContentBlockDelta { index: u64, delta: Delta<'a> },
    ContentBlockStop { index: u64 },
    MessageDelta { delta: Value, usage: UsageBody },
    MessageStop,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text { text: &'static str },
    Thinking { thinking: &'static str, signature: &'static str },
    ToolUse { id: Cow<'a, str>, name: &'a str, input: Empty },
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
    #[serde(rename = "citations_delta")]
    Citations { citation: CitationBody<'a> },
}

impl Event<'_> {
    fn name(&self) -> &'static str {
        match self {
            Event::MessageStart { .. } => "message_start",
            Event::ContentBlockStart { .. } => "content_block_start",
            Event::ContentBlockDelta { .. } => "content_block_delta",
            Event::ContentBlockStop { .. } => "content_block_stop",
            Event::MessageDelta { .. } => "message_delta",
            Event::MessageStop => "message_stop",
        }
    }
}

/// The `event:` line is not decoration: the official SDKs skip frames without it.
fn write(event: &Event<'_>, out: &mut BytesMut) {
    for piece in ["event: ", event.name(), "\ndata: "] {
        out.put_slice(piece.as_bytes());
    }
    serde_json::to_writer((&mut *out).writer(), event).expect("an event is plain data and memory takes it");
    out.put_slice(b"\n\n");
}

impl Encoder {
    pub(super) fn new(about: &About) -> Self {
        Encoder {
            about: about.clone(),
            opened: false,
            blocks: 0,
            open: Vec::new(),
            calls: 0,
            refusal: String::new(),
            finish: None,
            delta_passed: false,
            usage: Usage::default(),
            stop_sequence: None,
            service_tier: None,
        }
    }

    fn start(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.opened, true) {
            return;
        }
        // Most providers count at the end; the last delta's totals replace these.
        let usage = UsageBody::new(&self.usage).served_as(self.service_tier);
        let message = json!({
            "id": self.about.id, "type": "message", "role": "assistant", "model": self.about.model, "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": usage,
        });
        write(&Event::MessageStart { message }, out);
    }

    fn begin(&mut self, kind: Kind, content_block: Block<'_>, out: &mut BytesMut) -> u64 {
        self.start(out);
        let block = self.blocks;
        self.blocks += 1;
        self.open.push(Open { block, kind });
        write(&Event::ContentBlockStart { index: block, content_block }, out);
        block
    }

    fn close(&mut self, out: &mut BytesMut) {
        for open in self.open.drain(..) {
            write(&Event::ContentBlockStop { index: open.block }, out);
        }
    }

    /// Closes the calls whose arguments are whole. One that still waits for the rest of them stays open.
    fn close_whole_calls(&mut self, out: &mut BytesMut) {
        self.open.retain(|open| {
            let waits = matches!(&open.kind, Kind::Tool { arguments, .. }
                if serde_json::from_str::<IgnoredAny>(arguments).is_err());
            if !waits {
                write(&Event::ContentBlockStop { index: open.block }, out);
            }
            waits
        });
    }

    /// The open block of this kind, which is begun where there is none.
    fn ensure(&mut self, is_kind: fn(&Kind) -> bool, kind: Kind, block: Block<'_>, out: &mut BytesMut) -> u64 {
        if let Some(open) = self.open.last().filter(|open| is_kind(&open.kind)) {
            return open.block;
        }
        self.close(out);
        self.begin(kind, block, out)
    }

    fn thinking(&mut self, delta: Delta<'_>, out: &mut BytesMut) {
        let block = Block::Thinking { thinking: "", signature: "" };
        let index = self.ensure(|kind| matches!(kind, Kind::Thinking), Kind::Thinking, block, out);
        write(&Event::ContentBlockDelta { index, delta }, out);
    }

    fn detail(&mut self, detail: &Detail, out: &mut BytesMut) {
        match detail {
            // Sources stand at the text they belong to; without one they have no place.
            Detail::Citation(citation) => {
                let text = self.open.last().filter(|open| matches!(open.kind, Kind::Text));
                if let (Some(text), Some(citation)) = (text, CitationBody::new(citation)) {
                    let delta = Delta::Citations { citation };
                    write(&Event::ContentBlockDelta { index: text.block, delta }, out);
                }
            }
            Detail::StopSequence(stop) => self.stop_sequence = Some(stop.clone()),
            Detail::ServiceTier(tier) => self.service_tier = service_tier(tier),
            // This format has no place for them.
            Detail::Logprobs(_) => {}
        }
    }

    fn arguments(&mut self, call: u32, fragment: &str, out: &mut BytesMut) {
        let mine = |open: &&mut Open| matches!(open.kind, Kind::Tool { index, .. } if index == call);
        let Some(open) = self.open.iter_mut().find(mine) else { return };
        if let Kind::Tool { arguments, .. } = &mut open.kind {
            arguments.push_str(fragment);
        }
        let delta = Delta::InputJson { partial_json: fragment };
        write(&Event::ContentBlockDelta { index: open.block, delta }, out);
    }
}

impl StreamEncoder for Encoder {
    fn push(&mut self, event: &ChatEvent, out: &mut BytesMut) {
        match event {
            ChatEvent::Text(text) => {
                let block = Block::Text { text: "" };
                let index = self.ensure(|kind| matches!(kind, Kind::Text), Kind::Text, block, out);
                write(&Event::ContentBlockDelta { index, delta: Delta::Text { text } }, out);
            }
            ChatEvent::Reasoning { text } => self.thinking(Delta::Thinking { thinking: text }, out),
            ChatEvent::ReasoningSignature(signature) => {
                self.thinking(Delta::Signature { signature }, out);
                self.close(out);
            }
            ChatEvent::ToolStart { index, id, name } => {
                if self.open.iter().all(|open| matches!(open.kind, Kind::Tool { .. })) {
                    self.close_whole_calls(out);
                } else {
                    self.close(out);
                }
                self.calls += 1;
                let kind = Kind::Tool { index: *index, arguments: String::new() };
                self.begin(kind, Block::ToolUse { id: tool_id(id), name, input: Empty {} }, out);
            }
            ChatEvent::ToolArguments { index, fragment } => self.arguments(*index, fragment, out),
            // It has no block; the last delta tells it.
            ChatEvent::Refusal(text) => self.refusal.push_str(text),
            ChatEvent::Finish(finish) => {
                self.start(out);
                self.close(out);
                self.finish = self.finish.or(Some(*finish));
            }
            ChatEvent::Detail(detail) => self.detail(detail, out),
            ChatEvent::Usage(usage) => self.usage = *usage,
            ChatEvent::Start { .. } | ChatEvent::Error(_) | ChatEvent::End => {}
        }
    }

    fn passed(&mut self, frame: &SseFrame) {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
            index: Option<u64>,
        }
        self.opened = true;
        let fields = frame.fields();
        if matches!(fields.event, Some(b"content_block_delta" | b"ping")) {
            return;
        }
        let Some(head) = fields.data.as_deref().and_then(|data| serde_json::from_slice::<Head<'_>>(data).ok()) else {
            return;
        };
        match (head.kind.as_ref(), head.index) {
            ("content_block_start", Some(block)) => self.open.push(Open { block, kind: Kind::Passed }),
            ("content_block_stop", Some(block)) => self.open.retain(|open| open.block != block),
            ("message_delta", _) => self.delta_passed = true,
            _ => {}
        }
    }

    fn finish(&mut self, usage: Option<&Usage>, out: &mut BytesMut) {
        if !self.delta_passed {
            let refused = !self.refusal.is_empty();
            let stop = self.stop_sequence.as_deref();
            let reason = stop_reason(self.finish.unwrap_or(Finish::Stop), self.calls > 0, refused, stop);
            let mut delta = json!({ "stop_reason": reason, "stop_sequence": stop });
            if refused {
                delta["stop_details"] = stop_details(&self.refusal);
            }
            let usage = UsageBody::new(usage.unwrap_or(&self.usage));
            write(&Event::MessageDelta { delta, usage }, out);
        }
        write(&Event::MessageStop, out);
    }
}

#[cfg(test)]
mod tests;
