//! What a stream that is passed on has said so far: if it has to be ended here, its open items are closed, its numbers
//! go on, and the last event repeats what was written.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::items::{Item, Kind, Spoken};
use super::stream::Encoder;
use crate::domain::sse::SseFrame;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    sequence_number: Option<u64>,
    #[serde(default)]
    output_index: u64,
    #[serde(borrow)]
    delta: Option<Cow<'a, str>>,
    response: Option<&'a RawValue>,
    item: Option<&'a RawValue>,
    part: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Begun {
    #[serde(default)]
    id: String,
    #[serde(default)]
    call_id: String,
    #[serde(default)]
    name: String,
}

impl Encoder {
    pub(super) fn follow(&mut self, frame: &SseFrame) {
        let fields = frame.fields();
        let Some(event) = fields.data.as_deref().and_then(|data| serde_json::from_slice::<Event<'_>>(data).ok()) else {
            return;
        };
        self.opened = true;
        self.sequence_number = event.sequence_number.unwrap_or(self.sequence_number) + 1;
        // What was created or queued need not be worked on yet; everything else says that it is.
        self.working |= !matches!(event.kind.as_ref(), "response.created" | "response.queued");
        match event.kind.as_ref() {
            "response.completed" | "response.incomplete" | "response.failed" => self.over = true,
            // Told again, it means that all before it is void.
            "response.in_progress" => self.ended.clear(),
            "response.created" => {
                if let Some(response) = event.response.and_then(read::<Map<String, Value>>) {
                    self.envelope.follow(response);
                }
            }
            "response.output_item.added" => self.follow_item(&event),
            "response.output_item.done" => {
                self.open.retain(|item| item.output_index != event.output_index);
                self.ended.extend(event.item.and_then(read).map(|item| (event.output_index, item)));
            }
            _ => {
                let item = self.open.iter_mut().find(|item| item.output_index == event.output_index);
                if let Some(item) = item {
                    follow_part(item, &event);
                }
            }
        }
    }

    fn follow_item(&mut self, event: &Event<'_>) {
        let Some(item) = event.item.and_then(read::<Value>) else { return };
        let Ok(Begun { id, call_id, name }) = Begun::deserialize(&item) else { return };
        let kind = match item["type"].as_str() {
            Some("message") => Kind::message(),
            Some("reasoning") => Kind::reasoning(),
            // No call of a passed stream is written to from here: its number among the calls does not matter.
            Some("function_call") => Kind::Call { index: 0, call_id, name, arguments: String::new() },
            _ => Kind::Passed(item),
        };
        self.begun = self.begun.max(event.output_index + 1);
        self.open.push(Item { output_index: event.output_index, id, kind });
    }
}

fn follow_part(item: &mut Item, event: &Event<'_>) {
    let delta = event.delta.as_deref().unwrap_or_default();
    match (&mut item.kind, event.kind.as_ref()) {
        (Kind::Message { part, .. }, "response.content_part.added") => {
            let is_refusal = event.part.and_then(read::<Value>).is_some_and(|part| part["type"] == "refusal");
            *part = Some(Spoken::new(is_refusal));
        }
        (Kind::Message { part: Some(spoken), .. }, "response.output_text.delta" | "response.refusal.delta") => {
            spoken.text.push_str(delta);
        }
        (Kind::Message { content, part }, "response.content_part.done") => {
            *part = None;
            content.extend(event.part.and_then(read));
        }
        (Kind::Reasoning { paragraph, .. }, "response.reasoning_summary_part.added") => {
            *paragraph = Some(String::new());
        }
        (Kind::Reasoning { paragraph: Some(text), .. }, "response.reasoning_summary_text.delta") => {
            text.push_str(delta)
        }
        (Kind::Reasoning { summary, paragraph, .. }, "response.reasoning_summary_part.done") => {
            *paragraph = None;
            summary.extend(event.part.and_then(read));
        }
        (Kind::Call { arguments, .. }, "response.function_call_arguments.delta") => arguments.push_str(delta),
        _ => {}
    }
}

fn read<T: for<'de> Deserialize<'de>>(raw: &RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}
