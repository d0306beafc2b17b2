//! A response that was kept: what it is now, what was asked for it, and how the next request goes on from it.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json as value};

use crate::domain::json::{self, Edit};
use crate::domain::kept::{KeptRun, KeptState};
use crate::domain::sse::SseFrame;

/// Members of a body that a continued request has to find.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    previous_response_id: Option<String>,
}

/// A kept response and its part of the dialogue.
pub struct Stored {
    /// The response object as it stands.
    pub response: Map<String, Value>,
    /// What was asked, each item with an id.
    pub input: Vec<Value>,
    /// The response that it went on from.
    pub previous: Option<String>,
}

/// Reads a kept run back. `frames` are its journal, empty for a plain answer. None = it has said nothing yet.
pub fn stored(kept: &KeptRun, frames: &[Bytes]) -> Option<Stored> {
    let mut response = match &kept.body {
        Some(body) => serde_json::from_slice(body).ok()?,
        None => told(frames)?,
    };
    match kept.state {
        KeptState::Lost => fail(&mut response),
        // Its client left in the middle.
        KeptState::Broken if is_open(&response) => {
            response.insert("status".into(), "cancelled".into());
        }
        KeptState::Broken | KeptState::Running | KeptState::Whole => {}
    }
    let asked: Asked<'_> = serde_json::from_slice(&kept.request).ok()?;
    Some(Stored { response, input: items(asked.input), previous: asked.previous_response_id })
}

impl Stored {
    pub fn is_ended(&self) -> bool {
        !is_open(&self.response)
    }

    /// Its part of the dialogue: what was asked, then what was answered.
    pub fn turn(mut self) -> Vec<Value> {
        if let Some(Value::Array(output)) = self.response.remove("output") {
            self.input.extend(output);
        }
        self.input
    }
}

/// The id of the response that `frame` begins, or that `frame`, a whole body, is.
pub(super) fn id_of(frame: &Bytes) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        id: Option<String>,
        response: Option<Box<Named>>,
    }
    let fields = SseFrame { raw: frame.clone() };
    let fields = fields.fields();
    let data = fields.data.as_deref().unwrap_or(frame);
    let named: Named = serde_json::from_slice(data).ok()?;
    named.response.and_then(|response| response.id).or(named.id)
}

/// The body with the dialogue so far in front of its own input; no other byte changes.
pub fn continued(body: &Bytes, before: Vec<Value>) -> Option<Bytes> {
    let fields = json::fields(body).ok()?;
    let input = fields.iter().find(|field| field.name == "input")?;
    let own: &RawValue = serde_json::from_str(input.value).ok()?;
    let dialogue: Vec<Value> = before.into_iter().chain(items(Some(own))).collect();
    let value = serde_json::to_string(&dialogue).ok()?;
    Some(json::splice(body, &[Edit::Replace { span: input.span.clone(), value: value.into() }]))
}

/// The body for a provider that must not look for the response it goes on from: the whole dialogue is in its input.
pub(super) fn detached(body: &Bytes) -> Bytes {
    let fields = json::fields(body).unwrap_or_default();
    let edits: Vec<Edit<'_>> = fields
        .iter()
        .filter(|field| field.name == "previous_response_id")
        .map(|field| Edit::Replace { span: field.span.clone(), value: "null".into() })
        .collect();
    json::splice(body, &edits)
}

/// The newest state of a streamed response, with the items that are done where the end is not told yet.
fn told(frames: &[Bytes]) -> Option<Map<String, Value>> {
    let (mut response, mut done) = (None, Vec::new());
    for frame in frames {
        let frame = SseFrame { raw: frame.clone() };
        let fields = frame.fields();
        let Some(Value::Object(mut event)) = fields.data.and_then(|data| serde_json::from_slice(&data).ok()) else {
            continue;
        };
        if let Some(Value::Object(newer)) = event.remove("response") {
            // Where the work has begun once more, what was done before is void.
            done.clear();
            response = Some(newer);
        } else if event.get("type").is_some_and(|kind| kind == "response.output_item.done") {
            done.extend(event.remove("item"));
        }
    }
    let mut response = response?;
    if response.get("status").is_some_and(|status| status == "in_progress") {
        response.insert("output".into(), done.into());
    }
    Some(response)
}

fn is_open(response: &Map<String, Value>) -> bool {
    matches!(response.get("status").and_then(Value::as_str), Some("in_progress" | "queued"))
}

fn fail(response: &mut Map<String, Value>) {
    let message = "The gateway process that worked on this response is gone, and with it the rest; ask again.";
    response.insert("status".into(), "failed".into());
    response.insert("error".into(), value!({ "code": "run_lost", "message": message }));
}

/// The items of a request's input.
pub(super) fn input_of(body: &[u8]) -> Vec<Value> {
    serde_json::from_slice::<Asked<'_>>(body).map(|asked| items(asked.input)).unwrap_or_default()
}

/// Input as a list of items, each with an id: a text is a message of the user.
fn items(input: Option<&RawValue>) -> Vec<Value> {
    let input = input.and_then(|input| serde_json::from_str(input.get()).ok()).unwrap_or_default();
    let items = match input {
        Value::String(text) => {
            vec![value!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] })]
        }
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    let whole = |(n, mut item): (usize, Value)| {
        if let Some(members) = item.as_object_mut() {
            let kind = members.entry("type").or_insert_with(|| "message".into()).as_str().unwrap_or("item").to_owned();
            if let Some(text) = members.get("content").and_then(Value::as_str).map(str::to_owned) {
                let part = if members.get("role").is_some_and(|role| role == "assistant") {
                    "output_text"
                } else {
                    "input_text"
                };
                members.insert("content".into(), value!([{ "type": part, "text": text }]));
            }
            members.entry("id").or_insert_with(|| format!("{}_{n}", prefix(&kind)).into());
        }
        item
    };
    items.into_iter().enumerate().map(whole).collect()
}

fn prefix(kind: &str) -> &'static str {
    match kind {
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        "function_call_output" => "fco",
        _ => "item",
    }
}
