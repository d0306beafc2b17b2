//! Messages of all AI SDKs since version 4 into the internal language: UI messages, by their `parts` or by the `content`
//! they had before, and the messages that the SDK itself sends to models.

use serde::Deserialize;
use serde_json::Value;

use super::parts::{Place, Reader};
use crate::domain::chat::{Message, Part, Role};
use crate::domain::error::GatewayError;

#[derive(Debug, Default)]
pub(super) struct Dialogue {
    pub(super) system: Vec<String>,
    pub(super) messages: Vec<Message>,
    /// Messages as the client counts them.
    pub(super) count: u32,
    /// Id of the assistant's message at the end, which the answer goes on with: the client ran its tools.
    pub(super) continues: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    id: Option<Value>,
    role: String,
    #[serde(default)]
    content: Value,
    parts: Option<Vec<Value>>,
    tool_invocations: Option<Vec<Value>>,
    #[serde(rename = "experimental_attachments")]
    attachments: Option<Vec<Value>>,
}

pub(super) fn dialogue(raw: &str) -> Result<Dialogue, GatewayError> {
    let list: Vec<Value> = serde_json::from_str(raw)
        .map_err(|_| GatewayError::invalid("`messages` must be a list of messages.", Some("messages")))?;
    let last = list.len().saturating_sub(1);
    let mut dialogue = Dialogue { count: u32::try_from(list.len()).unwrap_or(u32::MAX), ..Dialogue::default() };
    for (at, message) in list.into_iter().enumerate() {
        let place = Place(at);
        // The reader's own error text would repeat the prompt.
        let said: Said = serde_json::from_value(message)
            .map_err(|_| place.refuse("must be an object with a `role`, and `parts` or a `content`"))?;
        take(said, place, at == last, &mut dialogue)?;
    }
    Ok(dialogue)
}

fn take(said: Said, place: Place, is_last: bool, dialogue: &mut Dialogue) -> Result<(), GatewayError> {
    match said.role.as_str() {
        "system" => {
            let texts = read(&said, place)?.into_iter().flat_map(|message| message.parts);
            let texts = texts.filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None });
            dialogue.system.push(texts.collect());
        }
        "assistant" => {
            dialogue.continues = said.id.as_ref().and_then(Value::as_str).filter(|_| is_last).map(str::to_owned);
            dialogue.messages.extend(assistant(&said, place, is_last)?);
        }
        "user" => {
            let parts = read(&said, place)?.into_iter().flat_map(|message| message.parts).collect();
            dialogue.messages.push(Message { role: Role::User, parts });
        }
        // Holds results only, which stand in a message of the user's own.
        "tool" => dialogue.messages.extend(read(&said, place)?),
        // Notes of an app to itself.
        "data" => {}
        _ => return Err(place.refuse("has an unknown role")),
    }
    Ok(())
}

/// What `parts` say; where there are none, the content and what stood beside it.
fn read(said: &Said, place: Place) -> Result<Vec<Message>, GatewayError> {
    let mut reader = Reader::new(place);
    match said.parts.as_deref().filter(|parts| !parts.is_empty()) {
        Some(parts) => reader.all(parts)?,
        None => reader.content(&said.content)?,
    }
    for attachment in said.attachments.iter().flatten() {
        reader.file(attachment)?;
    }
    Ok(reader.finish())
}

/// Before messages had parts, calls stood beside the text. It was said after them, but at the dialogue's end before them.
fn assistant(said: &Said, place: Place, is_last: bool) -> Result<Vec<Message>, GatewayError> {
    let has_parts = said.parts.as_ref().is_some_and(|parts| !parts.is_empty());
    let Some(invocations) = said.tool_invocations.as_ref().filter(|_| !has_parts) else { return read(said, place) };
    let mut reader = Reader::new(place);
    if is_last {
        reader.content(&said.content)?;
    }
    for invocation in invocations {
        reader.invocation(invocation)?;
    }
    if !is_last {
        reader.content(&said.content)?;
    }
    Ok(reader.finish())
}
