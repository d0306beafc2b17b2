//! An answer as a UI message stream: one part at a time, each opened and closed.

use bytes::{BufMut, BytesMut};
use serde_json::json;

use super::arguments::{Arguments, Calls};
use super::chunks::{Chunk, signed, write};
use super::sources::Sources;
use super::usage::{finish_reason, usage};
use crate::dialects::{About, StreamEncoder};
use crate::domain::chat::{ChatEvent, Citation, Detail, Finish};
use crate::domain::money::NanoUsd;
use crate::domain::usage::Usage;

pub(super) struct Encoder {
    about: About,
    opened: bool,
    /// Texts and reasonings begun so far; the next one's id.
    parts: u64,
    open: Option<Open>,
    /// Signature that goes along with the open part, or with what comes next where none is open.
    signature: Option<String>,
    calls: Calls,
    sources: Sources,
    finish: Option<Finish>,
    price: Option<NanoUsd>,
}

struct Open {
    kind: Kind,
    id: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
}

impl Encoder {
    pub(super) fn new(about: &About) -> Self {
        Encoder {
            about: about.clone(),
            opened: false,
            parts: 0,
            open: None,
            signature: None,
            calls: Calls::default(),
            sources: Sources::default(),
            finish: None,
            price: None,
        }
    }

    fn start(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.opened, true) {
            return;
        }
        let message_metadata = json!({ "model": self.about.model });
        write(&Chunk::Start { message_id: &self.about.id, message_metadata }, out);
        write(&Chunk::StartStep, out);
    }

    fn close(&mut self, out: &mut BytesMut) {
        let Some(Open { kind, id }) = self.open.take() else { return };
        let (id, provider_metadata) = (id.as_str(), signed(self.signature.take()));
        match kind {
            Kind::Text => write(&Chunk::TextEnd { id, provider_metadata }, out),
            Kind::Reasoning => write(&Chunk::ReasoningEnd { id, provider_metadata }, out),
        }
    }

    /// Id of the open part of this kind, which is begun where there is none.
    fn ensure(&mut self, kind: Kind, out: &mut BytesMut) -> &str {
        self.start(out);
        if self.open.as_ref().is_none_or(|open| open.kind != kind) {
            self.close(out);
            let id = self.parts.to_string();
            self.parts += 1;
            match kind {
                Kind::Text => write(&Chunk::TextStart { id: &id }, out),
                Kind::Reasoning => write(&Chunk::ReasoningStart { id: &id }, out),
            }
            self.open = Some(Open { kind, id });
        }
        self.open.as_ref().map_or("", |open| &open.id)
    }

    fn text(&mut self, delta: &str, out: &mut BytesMut) {
        if !delta.is_empty() {
            let id = self.ensure(Kind::Text, out);
            write(&Chunk::TextDelta { id, delta }, out);
        }
    }

    fn signature(&mut self, signature: &str, out: &mut BytesMut) {
        if self.signature.is_some() {
            self.close_signed(out);
        }
        self.signature = Some(signature.to_owned());
        self.close(out);
    }

    /// Closes what is open. Where nothing could carry the signature that waits, an empty reasoning does.
    fn close_signed(&mut self, out: &mut BytesMut) {
        if self.open.is_none() && self.signature.is_some() {
            self.ensure(Kind::Reasoning, out);
        }
        self.close(out);
    }

    fn calls_are_whole(&mut self, finish: Finish, out: &mut BytesMut) {
        for call in self.calls.drain() {
            let (tool_call_id, tool_name) = (call.id.as_str(), call.name.as_str());
            let chunk = match call.arguments() {
                Arguments::Read(input) => Chunk::ToolInputAvailable {
                    tool_call_id,
                    tool_name,
                    input,
                    provider_metadata: signed(call.signature.clone()),
                },
                Arguments::Unreadable(input) => {
                    let error_text = call.unreadable(finish);
                    Chunk::ToolInputError { tool_call_id, tool_name, input, error_text }
                }
            };
            write(&chunk, out);
        }
    }
}

impl StreamEncoder for Encoder {
    fn push(&mut self, event: &ChatEvent, out: &mut BytesMut) {
        match event {
            // A refusal is what the page has to show.
            ChatEvent::Text(delta) | ChatEvent::Refusal(delta) => self.text(delta, out),
            ChatEvent::Reasoning { text } if text.is_empty() => {}
            ChatEvent::Reasoning { text } => {
                let id = self.ensure(Kind::Reasoning, out);
                write(&Chunk::ReasoningDelta { id, delta: text }, out);
            }
            ChatEvent::ReasoningSignature(signature) => self.signature(signature, out),
            ChatEvent::Detail(Detail::Citation(Citation { url: Some(url), title, .. })) => {
                self.start(out);
                if let Some(source_id) = self.sources.id(url) {
                    write(&Chunk::SourceUrl { source_id, url, title: title.as_deref() }, out);
                }
            }
            ChatEvent::ToolStart { index, id, name } => {
                self.start(out);
                self.close(out);
                self.calls.begin(*index, id, name, self.signature.take());
                write(&Chunk::ToolInputStart { tool_call_id: id, tool_name: name }, out);
            }
            ChatEvent::ToolArguments { index, fragment } => {
                if let Some(tool_call_id) = self.calls.add(*index, fragment) {
                    write(&Chunk::ToolInputDelta { tool_call_id, input_text_delta: fragment }, out);
                }
            }
            ChatEvent::Finish(finish) if self.finish.is_none() => {
                self.start(out);
                self.close_signed(out);
                self.finish = Some(self.calls.finish(*finish));
                self.calls_are_whole(*finish, out);
            }
            ChatEvent::Finish(_)
            | ChatEvent::Start { .. }
            | ChatEvent::Detail(_)
            | ChatEvent::Usage(_)
            | ChatEvent::Error(_)
            | ChatEvent::End => {}
        }
    }

    fn priced(&mut self, price: NanoUsd) {
        self.price = Some(price);
    }

    fn finish(&mut self, totals: Option<&Usage>, out: &mut BytesMut) {
        write(&Chunk::FinishStep, out);
        let mut metadata = json!({ "usage": totals.map(usage) });
        if let Some(price) = self.price {
            metadata["costUsd"] = price.to_string().into();
        }
        let finish_reason = finish_reason(self.finish.unwrap_or(Finish::Stop));
        write(&Chunk::Finish { finish_reason, message_metadata: metadata }, out);
        out.put_slice(b"data: [DONE]\n\n");
    }
}

#[cfg(test)]
mod tests;
