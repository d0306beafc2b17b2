//! `POST /v1/responses/compact`: a dialogue becomes a short one that it can go on from. The summary is the model's own,
//! of any provider, and travels as an item that clients hand back without looking into it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::OpenAiResponses;
use super::items::id;
use super::{stored, translate};
use crate::dialects::{About, Decoded, Dialect, ErrorReply, StreamEncoder};
use crate::domain::chat::{ChatReply, ChatRequest, Message, Part, Role, Wire};
use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::domain::json::{Edit, fields, splice};

/// Marks our own summaries: those of a provider can only be read there.
const MARK: &str = "headgate:";

/// The last message that the model reads.
const TASK: &str = "Summarize the conversation above so that it can go on from your summary alone. Keep every fact, name, \
                    number, decision, open question and tool result that later turns may need, in as few words as you \
                    can. Write the summary and nothing else.";

/// Field that carries the task along, so that it is counted with the rest of the input.
const TASK_FIELD: &str = "headgate_task";

pub(in crate::dialects) struct Compaction;

impl Dialect for Compaction {
    fn name(&self) -> &'static str {
        "openai_compaction"
    }

    /// Never passed on: the summary must be readable at any provider.
    fn wire(&self) -> Wire {
        Wire::Compaction
    }

    fn decode(&self, body: Bytes) -> Result<Decoded, GatewayError> {
        let mut call = super::countable(with_task(body)?)?;
        if call.stream {
            return Err(GatewayError::invalid("A compaction is not streamed; leave `stream` out.", Some("stream")));
        }
        if let Some(keeping) = &mut call.keeping {
            (keeping.store, keeping.background) = (false, false);
        }
        Ok(call)
    }

    fn chat(&self, call: &Decoded) -> Result<ChatRequest, GatewayError> {
        let mut chat = translate::chat(call)?;
        chat.extra.shift_remove(TASK_FIELD);
        if chat.messages.is_empty() {
            let message = "There is nothing to compact; send `input` or `previous_response_id`.";
            return Err(GatewayError::invalid(message, Some("input")));
        }
        chat.messages.push(Message { role: Role::User, parts: vec![Part::Text(TASK.to_owned())] });
        Ok(chat)
    }

    fn prompt_text(&self, call: &Decoded) -> String {
        translate::prompt_text(call)
    }

    fn answer_id(&self, run: &RunId, provider: Option<String>) -> String {
        OpenAiResponses.answer_id(run, provider)
    }

    /// What users said stays as it was; everything else is in the summary.
    fn encode(&self, reply: &ChatReply, about: &About) -> Bytes {
        let summary: String = reply
            .parts
            .iter()
            .filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None })
            .collect();
        let mut output = stored::input_of(&about.request);
        output.retain(|item| item["type"] == "message" && item["role"] == "user");
        let place = output.len() as u64;
        output.push(json!({
            "id": id("cmp", &about.id, place),
            "type": "compaction",
            "encrypted_content": format!("{MARK}{}", STANDARD.encode(summary)),
        }));
        let compaction = json!({
            "id": about.id,
            "object": "response.compaction",
            "created_at": about.created_s,
            "output": output,
            "usage": reply.usage.as_ref().map(super::envelope::usage_body),
        });
        compaction.to_string().into()
    }

    fn encoder(&self, about: &About) -> Box<dyn StreamEncoder> {
        OpenAiResponses.encoder(about)
    }

    fn keep_alive(&self) -> Bytes {
        OpenAiResponses.keep_alive()
    }

    fn comment(&self, text: &str) -> Bytes {
        OpenAiResponses.comment(text)
    }

    fn error(&self, error: &GatewayError, request_id: &str) -> ErrorReply {
        OpenAiResponses.error(error, request_id)
    }

    fn in_band_error(&self, error: &GatewayError, request_id: &str) -> Bytes {
        OpenAiResponses.in_band_error(error, request_id)
    }
}

/// The summary in an item of type `compaction`; none where another than us wrote it.
pub(super) fn summary(encrypted_content: &str) -> Option<String> {
    let bytes = STANDARD.decode(encrypted_content.strip_prefix(MARK)?).ok()?;
    Some(format!("Summary of the conversation so far:\n{}", String::from_utf8(bytes).ok()?))
}

/// The item as a message, for a provider that would look for a summary of its own in it.
pub(super) fn as_message(encrypted_content: &str) -> Option<Value> {
    let text = summary(encrypted_content)?;
    Some(json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] }))
}

fn with_task(body: Bytes) -> Result<Bytes, GatewayError> {
    let known = fields(&body).map_err(|_| GatewayError::invalid("The body must be a JSON object.", None))?;
    if known.iter().any(|field| field.name == TASK_FIELD) {
        return Ok(body);
    }
    let task = Value::from(TASK).to_string();
    // A call that goes on from a stored response may bring nothing of its own.
    let nothing =
        (!known.iter().any(|field| field.name == "input")).then(|| Edit::Insert { name: "input", value: "[]".into() });
    let edits: Vec<Edit<'_>> =
        [Edit::Insert { name: TASK_FIELD, value: task.into() }].into_iter().chain(nothing).collect();
    Ok(splice(&body, &edits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_summaries_can_be_read_here() {
        let ours = format!("{MARK}{}", STANDARD.encode("Zürich"));
        assert_eq!(summary(&ours), Some("Summary of the conversation so far:\nZürich".to_owned()));
        for theirs in ["gAAAAB", "headgate:%%%", ""] {
            assert_eq!(summary(theirs), None, "{theirs}");
        }
    }

    #[test]
    fn the_task_is_counted_once_with_the_input() {
        let call = Compaction.decode(Bytes::from_static(br#"{"model":"m","input":"hi"}"#)).expect("valid");
        let again = Compaction.decode(call.body.clone()).expect("valid");
        assert!(call.billed_bytes() > TASK.len());
        assert_eq!(again.billed_bytes(), call.billed_bytes());
        let chat = Compaction.chat(&call).expect("valid").extra;
        assert!(chat.is_empty(), "{chat:?}");
    }
}
