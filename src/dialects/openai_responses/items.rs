//! Items of the output while they are written, and what they look like.

use serde_json::{Value, json};

use crate::domain::chat::Citation;

/// An item that is not ended.
pub(super) struct Item {
    pub(super) output_index: u64,
    pub(super) id: String,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Message {
        /// Parts that are ended.
        content: Vec<Value>,
        part: Option<Spoken>,
    },
    /// One paragraph, in the words that other formats call reasoning; this one shows summaries to its clients.
    Reasoning { summary: Vec<Value>, paragraph: Option<String>, encrypted: Option<String> },
    /// `index` counts calls.
    Call { index: u32, call_id: String, name: String, arguments: String },
    /// Of a kind that only the provider writes.
    Passed(Value),
}

/// A part of a message that is not ended.
pub(super) struct Spoken {
    pub(super) is_refusal: bool,
    pub(super) text: String,
    /// Sources of the text.
    pub(super) annotations: Vec<Value>,
}

impl Spoken {
    pub(super) fn new(is_refusal: bool) -> Self {
        Spoken { is_refusal, text: String::new(), annotations: Vec::new() }
    }

    /// Name in events, and of the part's type where it is text.
    pub(super) fn word(&self) -> &'static str {
        if self.is_refusal { "refusal" } else { "output_text" }
    }

    pub(super) fn part(&self, text: &str) -> Value {
        if self.is_refusal {
            json!({ "type": "refusal", "refusal": text })
        } else {
            json!({ "type": "output_text", "text": text, "annotations": self.annotations, "logprobs": [] })
        }
    }
}

/// A source, as far as this format has a word for it. `from` counts the characters of the answer's texts before the part
/// that rests on it.
pub(super) fn annotation(citation: &Citation, from: usize) -> Option<Value> {
    let url = citation.url.as_deref()?;
    Some(json!({
        "type": "url_citation",
        "url": url,
        "title": citation.title.as_deref().unwrap_or_default(),
        "start_index": citation.passage.start.saturating_sub(from),
        "end_index": citation.passage.end.saturating_sub(from),
    }))
}

pub(super) fn paragraph(text: &str) -> Value {
    json!({ "type": "summary_text", "text": text })
}

impl Kind {
    pub(super) fn message() -> Kind {
        Kind::Message { content: Vec::new(), part: None }
    }

    pub(super) fn reasoning() -> Kind {
        Kind::Reasoning { summary: Vec::new(), paragraph: None, encrypted: None }
    }

    /// What ids of such items begin with.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Kind::Message { .. } => "msg",
            Kind::Reasoning { .. } => "rs",
            Kind::Call { .. } => "fc",
            Kind::Passed(_) => "item",
        }
    }
}

impl Item {
    /// As far as it is written.
    pub(super) fn json(&self, status: &str) -> Value {
        match &self.kind {
            Kind::Message { content, part } => {
                let open = part.as_ref().map(|spoken| spoken.part(&spoken.text));
                let content: Vec<Value> = content.iter().cloned().chain(open).collect();
                json!({ "type": "message", "id": self.id, "status": status, "role": "assistant", "content": content })
            }
            Kind::Reasoning { summary, paragraph: open, encrypted } => {
                let open = open.as_deref().map(paragraph);
                let summary: Vec<Value> = summary.iter().cloned().chain(open).collect();
                let mut item = json!({ "type": "reasoning", "id": self.id, "summary": summary });
                if let Some(encrypted) = encrypted {
                    item["encrypted_content"] = encrypted.as_str().into();
                }
                item
            }
            Kind::Call { call_id, name, arguments, .. } => json!({
                "type": "function_call", "id": self.id, "call_id": call_id, "name": name, "arguments": arguments,
                "status": status,
            }),
            Kind::Passed(item) => {
                let mut item = item.clone();
                item["status"] = status.into();
                item
            }
        }
    }
}

/// Id of an item of this response: told apart by its place, so that the same answer has the same ids.
pub(super) fn id(prefix: &str, response_id: &str, output_index: u64) -> String {
    let response = response_id.strip_prefix("resp_").unwrap_or(response_id);
    format!("{prefix}_{response}_{output_index}")
}
