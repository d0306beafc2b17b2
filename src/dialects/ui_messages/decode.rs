//! What the gateway decides on. There is no light reading here: these messages are translated for every target.

use bytes::Bytes;

use super::messages::{self, Dialogue};
use super::names::{Meaning, meant};
use super::tools;
use crate::dialects::fields::{self, MAX_CAP_TOKENS, wrong};
use crate::dialects::{Conversation, Decoded};
use crate::domain::chat::Part;
use crate::domain::error::GatewayError;
use crate::domain::json::Field;

/// Longest id of a conversation or a message, in bytes.
const LONGEST_ID: usize = 256;

pub(super) fn decode(body: Bytes) -> Result<Decoded, GatewayError> {
    let fields = fields::read(&body)?;
    if let Some((clean, dropped)) = fields::without_routing(&fields) {
        return Ok(Decoded { dropped, ..decode(clean)? });
    }
    // The SDK knows no other answer.
    let mut call = Decoded { stream: true, include_usage: true, ..Decoded::of(body.clone()) };
    let mut conversation = Conversation::default();
    for (meaning, field) in meant(&fields)? {
        if matches!(meaning, Meaning::Messages | Meaning::System | Meaning::Tools) {
            call.billed.push(field.span.clone());
        }
        match meaning {
            Meaning::Conversation => conversation.id = Some(id(field)?),
            Meaning::Messages => {
                let dialogue = messages::dialogue(field.value)?;
                count(&dialogue, &mut call);
                conversation.continues = dialogue.continues.filter(|id| is_id(id));
            }
            Meaning::Model => call.model = Some(fields::model(field)?),
            Meaning::System => _ = fields::text(field)?,
            Meaning::Tools => call.has_tools = !tools::offered(field.value)?.is_empty(),
            Meaning::ToolChoice => _ = tools::choice(field)?,
            Meaning::Cap => call.max_tokens = Some(fields::whole(field, MAX_CAP_TOKENS)?),
            Meaning::Temperature | Meaning::TopP => fields::number(field)?,
            Meaning::Metadata => call.metadata = fields::texts(field)?,
            Meaning::Stop => {}
        }
    }
    if call.message_count == 0 {
        return Err(GatewayError::invalid("messages required: send at least one.", Some("messages")));
    }
    call.conversation = Some(conversation);
    Ok(call)
}

fn count(dialogue: &Dialogue, call: &mut Decoded) {
    call.message_count = dialogue.count;
    for part in dialogue.messages.iter().flat_map(|message| &message.parts) {
        count_media(part, call);
    }
}

fn count_media(part: &Part, call: &mut Decoded) {
    match part {
        Part::Image(_) => {
            call.media_count += 1;
            call.has_images = true;
        }
        Part::File { .. } => call.media_count += 1,
        Part::ToolResult { content, .. } => content.iter().for_each(|part| count_media(part, call)),
        Part::Text(_) | Part::Reasoning { .. } | Part::ToolCall { .. } => {}
    }
}

fn id(field: &Field<'_>) -> Result<String, GatewayError> {
    let id = fields::text(field)?;
    if is_id(&id) {
        return Ok(id);
    }
    Err(wrong(field, &format!("1 to {LONGEST_ID} bytes without control characters")))
}

fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
