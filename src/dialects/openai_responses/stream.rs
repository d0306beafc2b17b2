//! A translated stream as events of a response: every item, and every part of it, is added, written and done.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::envelope::{Envelope, State};
use super::items::{self, Item, Kind, Spoken};
use super::reasoning;
use crate::dialects::{About, StreamEncoder, Waiting, errors};
use crate::domain::chat::{ChatEvent, Citation, Detail, Finish};
use crate::domain::error::GatewayError;
use crate::domain::sse::SseFrame;
use crate::domain::usage::Usage;

pub(super) struct Encoder {
    pub(super) envelope: Envelope,
    /// Number of the next event.
    pub(super) sequence_number: u64,
    pub(super) opened: bool,
    /// It was told that the work has begun.
    pub(super) working: bool,
    /// The last event was told.
    pub(super) over: bool,
    /// Items begun so far; the next one has this place in the output.
    pub(super) begun: u64,
    /// More than one only behind a provider that mixes the arguments of its calls.
    pub(super) open: Vec<Item>,
    /// Ended items with their places.
    pub(super) ended: Vec<(u64, Value)>,
    finish: Option<Finish>,
    /// Characters of the texts whose parts are ended.
    said_chars: usize,
}

#[derive(Serialize)]
struct Event<'a, T> {
    r#type: &'a str,
    sequence_number: u64,
    #[serde(flatten)]
    rest: T,
}

/// The frame of each piece of an answer.
#[derive(Serialize)]
struct Delta<'a> {
    item_id: &'a str,
    output_index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<usize>,
    delta: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
}

/// Writes one frame; the `event:` line repeats the type, which clients that read by it rely on.
fn write(number: &mut u64, kind: &str, rest: impl Serialize, out: &mut BytesMut) {
    for piece in ["event: ", kind, "\ndata: "] {
        out.put_slice(piece.as_bytes());
    }
    let event = Event { r#type: kind, sequence_number: *number, rest };
    serde_json::to_writer((&mut *out).writer(), &event).expect("an event is plain data and memory takes it");
    out.put_slice(b"\n\n");
    *number += 1;
}

impl Encoder {
    pub(super) fn new(about: &About) -> Self {
        Encoder {
            envelope: Envelope::new(about),
            sequence_number: 0,
            opened: false,
            working: false,
            over: false,
            begun: 0,
            open: Vec::new(),
            ended: Vec::new(),
            finish: None,
            said_chars: 0,
        }
    }

    /// Goes on behind the frames of an earlier encoder.
    pub(super) fn resumed(about: &About, earlier: &[Bytes]) -> Self {
        let mut encoder = Encoder::new(about);
        for raw in earlier {
            encoder.follow(&SseFrame { raw: raw.clone() });
        }
        if !about.model.is_empty() {
            encoder.envelope.served_by(&about.model);
        }
        encoder
    }

    fn start(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.opened, true) {
            self.tell("response.created", &State::InProgress, out);
        }
        if !std::mem::replace(&mut self.working, true) {
            self.tell("response.in_progress", &State::InProgress, out);
        }
    }

    /// An event that is the response as it stands.
    fn tell(&mut self, kind: &str, state: &State, out: &mut BytesMut) {
        let output = if matches!(state, State::Cancelled) { self.output() } else { Vec::new() };
        let response = self.envelope.response(state, output, None);
        write(&mut self.sequence_number, kind, json!({ "response": response }), out);
    }

    fn begin(&mut self, kind: Kind, out: &mut BytesMut) {
        self.start(out);
        let output_index = self.begun;
        self.begun += 1;
        let id = items::id(kind.prefix(), self.envelope.id(), output_index);
        let item = Item { output_index, id, kind };
        let added = json!({ "output_index": output_index, "item": item.json("in_progress") });
        write(&mut self.sequence_number, "response.output_item.added", added, out);
        self.open.push(item);
    }

    fn close(&mut self, status: &str, out: &mut BytesMut) {
        for item in std::mem::take(&mut self.open) {
            self.end(item, status, out);
        }
    }

    /// Closes the calls whose arguments are whole. One that still waits for the rest of them stays open.
    fn close_whole_calls(&mut self, out: &mut BytesMut) {
        let waits = |item: &Item| {
            matches!(&item.kind, Kind::Call { arguments, .. }
            if serde_json::from_str::<IgnoredAny>(arguments).is_err())
        };
        let (waiting, whole) = std::mem::take(&mut self.open).into_iter().partition(waits);
        self.open = waiting;
        for item in whole {
            self.end(item, "completed", out);
        }
    }

    fn end(&mut self, mut item: Item, status: &str, out: &mut BytesMut) {
        let number = &mut self.sequence_number;
        let (id, output_index) = (item.id.clone(), item.output_index);
        match &mut item.kind {
            Kind::Message { .. } => self.said_chars += end_part(&mut item, number, out),
            Kind::Reasoning { summary, paragraph, .. } => {
                if let Some(text) = paragraph.take() {
                    let part = items::paragraph(&text);
                    let place = json!({ "item_id": id, "output_index": output_index, "summary_index": summary.len() });
                    write(number, "response.reasoning_summary_text.done", with(&place, "text", text.into()), out);
                    write(number, "response.reasoning_summary_part.done", with(&place, "part", part.clone()), out);
                    summary.push(part);
                }
            }
            Kind::Call { arguments, name, .. } => {
                if arguments.is_empty() && status == "completed" {
                    // Clients read an empty text as broken JSON.
                    write_arguments(&id, output_index, "{}", number, out);
                    arguments.push_str("{}");
                }
                let done = json!({
                    "item_id": id, "output_index": output_index, "name": name, "arguments": arguments,
                });
                write(number, "response.function_call_arguments.done", done, out);
            }
            Kind::Passed(_) => {}
        }
        let ended = item.json(status);
        let done = json!({ "output_index": output_index, "item": ended });
        write(number, "response.output_item.done", done, out);
        self.ended.push((output_index, ended));
    }

    fn speak(&mut self, is_refusal: bool, text: &str, out: &mut BytesMut) {
        if !matches!(self.open.last(), Some(Item { kind: Kind::Message { .. }, .. })) {
            self.close("completed", out);
            self.begin(Kind::message(), out);
        }
        let (Some(item), number) = (self.open.last_mut(), &mut self.sequence_number) else { return };
        let is_other = |item: &Item| matches!(&item.kind, Kind::Message { part: Some(spoken), .. } if spoken.is_refusal != is_refusal);
        if is_other(item) {
            self.said_chars += end_part(item, number, out);
        }
        let Item { output_index, id, kind: Kind::Message { content, part } } = item else { return };
        let content_index = content.len();
        let spoken = part.get_or_insert_with(|| {
            let spoken = Spoken::new(is_refusal);
            let added = json!({
                "item_id": id, "output_index": output_index, "content_index": content_index, "part": spoken.part(""),
            });
            write(number, "response.content_part.added", added, out);
            spoken
        });
        spoken.text.push_str(text);
        let delta = Delta {
            item_id: id,
            output_index: *output_index,
            content_index: Some(content_index),
            summary_index: None,
            delta: text,
            logprobs: (!is_refusal).then_some([]),
        };
        let kind = if is_refusal { "response.refusal.delta" } else { "response.output_text.delta" };
        write(number, kind, delta, out);
    }

    fn reason(&mut self, text: &str, out: &mut BytesMut) {
        self.ensure_reasoning(out);
        let number = &mut self.sequence_number;
        let Some(Item { output_index, id, kind: Kind::Reasoning { summary, paragraph, .. } }) = self.open.last_mut()
        else {
            return;
        };
        let summary_index = summary.len();
        let so_far = paragraph.get_or_insert_with(|| {
            let added = json!({
                "item_id": id, "output_index": output_index, "summary_index": summary_index,
                "part": items::paragraph(""),
            });
            write(number, "response.reasoning_summary_part.added", added, out);
            String::new()
        });
        so_far.push_str(text);
        let delta = Delta {
            item_id: id,
            output_index: *output_index,
            content_index: None,
            summary_index: Some(summary_index),
            delta: text,
            logprobs: None,
        };
        write(number, "response.reasoning_summary_text.delta", delta, out);
    }

    fn ensure_reasoning(&mut self, out: &mut BytesMut) {
        if !matches!(self.open.last(), Some(Item { kind: Kind::Reasoning { .. }, .. })) {
            self.close("completed", out);
            self.begin(Kind::reasoning(), out);
        }
    }

    fn sign(&mut self, signature: &str, out: &mut BytesMut) {
        self.ensure_reasoning(out);
        if let Some(Item { kind: Kind::Reasoning { encrypted, .. }, .. }) = self.open.last_mut() {
            *encrypted = Some(reasoning::encrypted(signature));
        }
        self.close("completed", out);
    }

    fn call(&mut self, index: u32, id: &str, name: &str, out: &mut BytesMut) {
        if self.open.iter().all(|item| matches!(item.kind, Kind::Call { .. })) {
            self.close_whole_calls(out);
        } else {
            self.close("completed", out);
        }
        let (call_id, name) = (id.to_owned(), name.to_owned());
        self.begin(Kind::Call { index, call_id, name, arguments: String::new() }, out);
    }

    fn arguments(&mut self, call: u32, fragment: &str, out: &mut BytesMut) {
        for item in &mut self.open {
            if let Kind::Call { index, arguments, .. } = &mut item.kind
                && *index == call
            {
                arguments.push_str(fragment);
                write_arguments(&item.id, item.output_index, fragment, &mut self.sequence_number, out);
            }
        }
    }

    /// Probabilities and stops stay behind: clients are not told of them in this format.
    fn detail(&mut self, detail: &Detail, out: &mut BytesMut) {
        match detail {
            Detail::ServiceTier(tier) => self.envelope.served_as(tier),
            Detail::Citation(citation) => self.cite(citation, out),
            Detail::Logprobs(_) | Detail::StopSequence(_) => {}
        }
    }

    fn cite(&mut self, citation: &Citation, out: &mut BytesMut) {
        let Some(annotation) = items::annotation(citation, self.said_chars) else { return };
        let Some(Item { output_index, id, kind: Kind::Message { content, part: Some(spoken) } }) = self.open.last_mut()
        else {
            return;
        };
        let added = json!({
            "item_id": id, "output_index": output_index, "content_index": content.len(),
            "annotation_index": spoken.annotations.len(), "annotation": annotation,
        });
        spoken.annotations.push(annotation);
        write(&mut self.sequence_number, "response.output_text.annotation.added", added, out);
    }

    /// The ended items in their places, and those that are open as far as they are written.
    fn output(&self) -> Vec<Value> {
        let open = self.open.iter().map(|item| (item.output_index, item.json("incomplete")));
        let mut output: Vec<(u64, Value)> = self.ended.iter().cloned().chain(open).collect();
        output.sort_by_key(|(output_index, _)| *output_index);
        output.into_iter().map(|(_, item)| item).collect()
    }
}

fn write_arguments(id: &str, output_index: u64, fragment: &str, number: &mut u64, out: &mut BytesMut) {
    let delta =
        Delta { item_id: id, output_index, content_index: None, summary_index: None, delta: fragment, logprobs: None };
    write(number, "response.function_call_arguments.delta", delta, out);
}

/// Ends the open part of a message. Returns the characters of its text.
fn end_part(item: &mut Item, number: &mut u64, out: &mut BytesMut) -> usize {
    let Item { output_index, id, kind: Kind::Message { content, part } } = item else { return 0 };
    let Some(spoken) = part.take() else { return 0 };
    let whole = spoken.part(&spoken.text);
    let place = json!({ "item_id": id, "output_index": output_index, "content_index": content.len() });
    let mut done = with(&place, if spoken.is_refusal { "refusal" } else { "text" }, spoken.text.as_str().into());
    if !spoken.is_refusal {
        done["logprobs"] = json!([]);
    }
    write(number, &format!("response.{}.done", spoken.word()), done, out);
    write(number, "response.content_part.done", with(&place, "part", whole.clone()), out);
    content.push(whole);
    if spoken.is_refusal { 0 } else { spoken.text.chars().count() }
}

fn with(place: &Value, name: &str, value: Value) -> Value {
    let mut event = place.clone();
    event[name] = value;
    event
}

/// A response that nobody works on yet.
pub(super) fn waiting(about: &About) -> Waiting {
    let mut encoder = Encoder::new(about);
    let body = encoder.envelope.response(&State::Queued, Vec::new(), None).to_string().into();
    let mut frames = BytesMut::new();
    for kind in ["response.created", "response.queued"] {
        encoder.tell(kind, &State::Queued, &mut frames);
    }
    Waiting { body, frames: frames.freeze() }
}

impl StreamEncoder for Encoder {
    fn push(&mut self, event: &ChatEvent, out: &mut BytesMut) {
        match event {
            ChatEvent::Text(text) => self.speak(false, text, out),
            ChatEvent::Refusal(text) => self.speak(true, text, out),
            ChatEvent::Reasoning { text } => self.reason(text, out),
            ChatEvent::ReasoningSignature(signature) => self.sign(signature, out),
            ChatEvent::ToolStart { index, id, name } => self.call(*index, id, name, out),
            ChatEvent::ToolArguments { index, fragment } => self.arguments(*index, fragment, out),
            ChatEvent::Finish(finish) => {
                self.start(out);
                let is_cut = matches!(finish, Finish::Length | Finish::ContentFilter);
                self.close(if is_cut { "incomplete" } else { "completed" }, out);
                self.finish = self.finish.or(Some(*finish));
            }
            ChatEvent::Detail(detail) => self.detail(detail, out),
            ChatEvent::Start { .. } | ChatEvent::Usage(_) | ChatEvent::Error(_) | ChatEvent::End => {}
        }
    }

    fn passed(&mut self, frame: &SseFrame) {
        self.follow(frame);
    }

    fn has_ended(&self) -> bool {
        self.over
    }

    /// Items that a dead process left open are closed. What comes now is a whole answer by itself, and `in_progress`
    /// says so to whoever has read along.
    fn work_begins(&mut self, out: &mut BytesMut) {
        self.close("incomplete", out);
        self.ended.clear();
        self.said_chars = 0;
        self.working = false;
        self.start(out);
    }

    fn cancelled(&mut self, out: &mut BytesMut) {
        self.close("incomplete", out);
        self.tell("response.incomplete", &State::Cancelled, out);
    }

    fn broken_off(&mut self, error: &GatewayError, out: &mut BytesMut) -> bool {
        self.start(out);
        let facts = errors::facts(error);
        let told = crate::dialects::openai_error::envelope(&facts);
        write(&mut self.sequence_number, "error", told, out);
        let failed = State::Failed(json!({ "code": facts.code, "message": facts.message }));
        let response = self.envelope.response(&failed, self.output(), None);
        write(&mut self.sequence_number, "response.failed", json!({ "response": response }), out);
        true
    }

    fn finish(&mut self, usage: Option<&Usage>, out: &mut BytesMut) {
        let finish = self.finish.unwrap_or(Finish::Stop);
        let is_cut = matches!(finish, Finish::Length | Finish::ContentFilter);
        let kind = if is_cut { "response.incomplete" } else { "response.completed" };
        let response = self.envelope.response(&State::Ended(finish), self.output(), usage);
        write(&mut self.sequence_number, kind, json!({ "response": response }), out);
    }
}

#[cfg(test)]
mod tests;
