//! An answer as a data stream of version 4.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde_json::{Value, json};

use super::arguments::{Arguments, Calls};
use super::sources::Sources;
use super::usage::finish_reason;
use crate::dialects::{About, StreamEncoder};
use crate::domain::chat::{ChatEvent, Citation, Detail, Finish};
use crate::domain::usage::Usage;

const TEXT: char = '0';
const ERROR: char = '3';
const TOOL_CALL: char = '9';
const FINISH_MESSAGE: char = 'd';
const FINISH_STEP: char = 'e';
const START_STEP: char = 'f';
const REASONING: char = 'g';
const SOURCE: char = 'h';
const REASONING_SIGNATURE: char = 'j';

pub(super) struct Encoder {
    about: About,
    opened: bool,
    calls: Calls,
    sources: Sources,
    finish: Option<Finish>,
}

fn line(code: char, value: &impl Serialize, out: &mut BytesMut) {
    out.put_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
    out.put_u8(b':');
    serde_json::to_writer((&mut *out).writer(), value).expect("a line is plain data and memory takes it");
    out.put_u8(b'\n');
}

/// What a page shows of a failure after its answer began.
pub(super) fn error(text: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(256);
    line(ERROR, &text, &mut out);
    out.freeze()
}

impl Encoder {
    pub(super) fn new(about: &About) -> Self {
        Encoder {
            about: about.clone(),
            opened: false,
            calls: Calls::default(),
            sources: Sources::default(),
            finish: None,
        }
    }

    fn start(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.opened, true) {
            line(START_STEP, &json!({ "messageId": self.about.id }), out);
        }
    }

    fn said(&mut self, code: char, text: &str, out: &mut BytesMut) {
        if !text.is_empty() {
            self.start(out);
            line(code, &text, out);
        }
    }

    /// Calls go out whole: this version's pages take wrong notes of calls whose arguments come in pieces side by side.
    fn calls_are_whole(&mut self, finish: Finish, out: &mut BytesMut) {
        for call in self.calls.drain() {
            match call.arguments() {
                Arguments::Read(args) => {
                    line(TOOL_CALL, &json!({ "toolCallId": call.id, "toolName": call.name, "args": args }), out);
                }
                // There is no line for a call that can't be read, and one without its arguments would be carried out.
                Arguments::Unreadable(_) => line(ERROR, &call.unreadable(finish), out),
            }
        }
    }
}

impl StreamEncoder for Encoder {
    fn push(&mut self, event: &ChatEvent, out: &mut BytesMut) {
        match event {
            // A refusal is what the page has to show.
            ChatEvent::Text(text) | ChatEvent::Refusal(text) => self.said(TEXT, text, out),
            ChatEvent::Reasoning { text } => self.said(REASONING, text, out),
            ChatEvent::ReasoningSignature(signature) => {
                self.start(out);
                line(REASONING_SIGNATURE, &json!({ "signature": signature }), out);
            }
            ChatEvent::Detail(Detail::Citation(Citation { url: Some(url), title, .. })) => {
                self.start(out);
                if let Some(id) = self.sources.id(url) {
                    line(SOURCE, &json!({ "sourceType": "url", "id": id, "url": url, "title": title }), out);
                }
            }
            ChatEvent::ToolStart { index, id, name } => {
                self.start(out);
                self.calls.begin(*index, id, name, None);
            }
            ChatEvent::ToolArguments { index, fragment } => _ = self.calls.add(*index, fragment),
            ChatEvent::Finish(finish) if self.finish.is_none() => {
                self.start(out);
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

    fn finish(&mut self, totals: Option<&Usage>, out: &mut BytesMut) {
        let reason = finish_reason(self.finish.unwrap_or(Finish::Stop));
        let usage: Option<Value> =
            totals.map(|usage| json!({ "promptTokens": usage.total_input(), "completionTokens": usage.output }));
        line(FINISH_STEP, &json!({ "finishReason": reason, "usage": usage, "isContinued": false }), out);
        line(FINISH_MESSAGE, &json!({ "finishReason": reason, "usage": usage }), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_can_not_be_read_is_an_error_and_never_carried_out() {
        let about = About {
            id: "msg_1".into(),
            created_s: 5,
            model: "m".into(),
            include_usage: true,
            request: Bytes::new(),
            now_s: || 9,
        };
        let (mut encoder, mut out) = (Encoder::new(&about), BytesMut::new());
        encoder.push(&ChatEvent::ToolStart { index: 0, id: "a".into(), name: "f".into() }, &mut out);
        encoder.push(&ChatEvent::ToolArguments { index: 0, fragment: "{\"x\":".into() }, &mut out);
        encoder.push(&ChatEvent::Finish(Finish::Length), &mut out);
        encoder.finish(None, &mut out);
        let expected = "f:{\"messageId\":\"msg_1\"}\n\
            3:\"The answer reached its length before the call of `f` was whole.\"\n\
            e:{\"finishReason\":\"length\",\"usage\":null,\"isContinued\":false}\n\
            d:{\"finishReason\":\"length\",\"usage\":null}\n";
        assert_eq!(out, expected.as_bytes());
    }
}
