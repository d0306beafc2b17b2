//! A translated stream as chat completion chunks.

use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde_json::Value;

use super::details::{LogprobsBody, annotation};
use super::encode::{UsageBody, finish_reason, thinking_block};
use crate::dialects::{About, StreamEncoder};
use crate::domain::chat::{ChatEvent, Detail};
use crate::domain::usage::Usage;

pub(super) struct Encoder {
    about: About,
    opened: bool,
    finished: bool,
    /// Reasoning so far; its signature is sent together with all of it.
    reasoning: String,
    /// Told with the finish.
    stop_sequence: Option<String>,
    /// Told on every chunk that follows.
    service_tier: Option<String>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    choices: &'a [Choice<'a>],
    /// Left out where the client did not ask; null on all chunks but the last where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageBody>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: Option<LogprobsBody<'a>>,
    finish_reason: Option<&'static str>,
    /// The name that vLLM gave the stop that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_reason: Option<&'a str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_blocks: Option<[Value; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<[Value; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolDelta<'a>; 1]>,
}

#[derive(Serialize)]
struct ToolDelta<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl Encoder {
    pub(super) fn new(about: &About) -> Self {
        Encoder {
            about: about.clone(),
            opened: false,
            finished: false,
            reasoning: String::new(),
            stop_sequence: None,
            service_tier: None,
        }
    }

    /// The first chunk names the role, whatever comes after it.
    fn open(&mut self, out: &mut BytesMut) {
        if !self.opened {
            self.opened = true;
            let role = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
            self.write_choice(role, None, out);
        }
    }

    fn delta(&mut self, delta: Delta<'_>, out: &mut BytesMut) {
        self.open(out);
        self.write_choice(delta, None, out);
    }

    fn write_choice(&self, delta: Delta<'_>, finish_reason: Option<&'static str>, out: &mut BytesMut) {
        let stop_reason = self.stop_sequence.as_deref().filter(|_| finish_reason.is_some());
        let usage = self.about.include_usage.then_some(None);
        self.write(&[Choice { index: 0, delta, logprobs: None, finish_reason, stop_reason }], usage, out);
    }

    fn detail(&mut self, detail: &Detail, out: &mut BytesMut) {
        match detail {
            Detail::Citation(citation) => {
                if let Some(annotation) = annotation(citation) {
                    self.delta(Delta { annotations: Some([annotation]), ..Delta::default() }, out);
                }
            }
            Detail::Logprobs(tokens) => {
                self.open(out);
                let logprobs = Some(LogprobsBody::new(tokens));
                let choice =
                    Choice { index: 0, delta: Delta::default(), logprobs, finish_reason: None, stop_reason: None };
                self.write(&[choice], self.about.include_usage.then_some(None), out);
            }
            Detail::StopSequence(stop) => self.stop_sequence = Some(stop.clone()),
            Detail::ServiceTier(tier) => self.service_tier = Some(tier.clone()),
        }
    }

    fn write(&self, choices: &[Choice<'_>], usage: Option<Option<UsageBody>>, out: &mut BytesMut) {
        let About { id, created_s, model, .. } = &self.about;
        let service_tier = self.service_tier.as_deref();
        let object = "chat.completion.chunk";
        let chunk = Chunk { id, object, created: *created_s, model, service_tier, choices, usage };
        out.put_slice(b"data: ");
        serde_json::to_writer((&mut *out).writer(), &chunk).expect("a chunk is plain data and memory takes it");
        out.put_slice(b"\n\n");
    }
}

impl StreamEncoder for Encoder {
    fn push(&mut self, event: &ChatEvent, out: &mut BytesMut) {
        match event {
            ChatEvent::Text(text) => self.delta(Delta { content: Some(text), ..Delta::default() }, out),
            ChatEvent::Reasoning { text } => {
                self.reasoning.push_str(text);
                self.delta(Delta { reasoning_content: Some(text), ..Delta::default() }, out);
            }
            ChatEvent::ReasoningSignature(signature) => {
                let block = thinking_block(&std::mem::take(&mut self.reasoning), signature);
                self.delta(Delta { thinking_blocks: Some([block]), ..Delta::default() }, out);
            }
            ChatEvent::Refusal(text) => self.delta(Delta { refusal: Some(text), ..Delta::default() }, out),
            ChatEvent::ToolStart { index, id, name } => {
                let function = FunctionDelta { name: Some(name), arguments: "" };
                let call = ToolDelta { index: *index, id: Some(id), kind: Some("function"), function };
                self.delta(Delta { tool_calls: Some([call]), ..Delta::default() }, out);
            }
            ChatEvent::ToolArguments { index, fragment } => {
                let function = FunctionDelta { name: None, arguments: fragment };
                let call = ToolDelta { index: *index, id: None, kind: None, function };
                self.delta(Delta { tool_calls: Some([call]), ..Delta::default() }, out);
            }
            ChatEvent::Finish(finish) => {
                self.open(out);
                if !std::mem::replace(&mut self.finished, true) {
                    self.write_choice(Delta::default(), Some(finish_reason(*finish)), out);
                }
            }
            ChatEvent::Detail(detail) => self.detail(detail, out),
            ChatEvent::Start { .. } | ChatEvent::Usage(_) | ChatEvent::Error(_) | ChatEvent::End => {}
        }
    }

    fn finish(&mut self, usage: Option<&Usage>, out: &mut BytesMut) {
        if let Some(usage) = usage.filter(|_| self.about.include_usage) {
            self.write(&[], Some(Some(UsageBody::new(usage))), out);
        }
        out.put_slice(b"data: [DONE]\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::Finish;

    fn encode(include_usage: bool, events: &[ChatEvent]) -> String {
        let about = About {
            id: "chatcmpl-1".into(),
            created_s: 5,
            model: "m".into(),
            include_usage,
            request: bytes::Bytes::new(),
            now_s: || 9,
        };
        let (mut encoder, mut out) = (Encoder::new(&about), BytesMut::new());
        for event in events {
            encoder.push(event, &mut out);
        }
        encoder.finish(Some(&Usage { input: 3, output: 2, ..Usage::default() }), &mut out);
        String::from_utf8(out.to_vec()).expect("UTF-8")
    }

    #[test]
    fn a_stream_opens_with_the_role_and_finishes_once() {
        let finish = ChatEvent::Finish(Finish::Stop);
        let text = encode(false, &[ChatEvent::Text("hé".into()), finish.clone(), finish]);
        let head = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"#;
        let frames = [
            format!(r#"{head}"delta":{{"role":"assistant","content":""}},"logprobs":null,"finish_reason":null}}]}}"#),
            format!(r#"{head}"delta":{{"content":"hé"}},"logprobs":null,"finish_reason":null}}]}}"#),
            format!(r#"{head}"delta":{{}},"logprobs":null,"finish_reason":"stop"}}]}}"#),
            "data: [DONE]".into(),
        ];
        assert_eq!(text, frames.map(|frame| frame + "\n\n").concat());
    }

    #[test]
    fn usage_is_null_on_every_chunk_but_the_last_where_it_was_asked_for() {
        let text = encode(true, &[ChatEvent::Text("a".into()), ChatEvent::Finish(Finish::Length)]);
        let frames: Vec<&str> = text.trim_end().split("\n\n").collect();
        assert_eq!(frames.iter().filter(|frame| frame.contains(r#""usage":null"#)).count(), 3);
        assert!(
            frames[3].contains(r#""choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5"#)
        );
    }
}
