//! The whole request in the internal language.

use serde::Deserialize;
use serde_json::Map;

use super::names::{Meaning, meant};
use super::{messages, tools};
use crate::dialects::{Decoded, fields};
use crate::domain::chat::{ChatRequest, Format, Part};
use crate::domain::error::GatewayError;
use crate::domain::json::Field;

pub(super) fn chat(call: &Decoded) -> Result<ChatRequest, GatewayError> {
    let fields = fields::read(&call.body)?;
    let mut chat = ChatRequest {
        system: Vec::new(),
        messages: Vec::new(),
        tools: Vec::new(),
        tool_choice: None,
        parallel_tool_calls: None,
        temperature: None,
        top_p: None,
        stop: Vec::new(),
        format: Format::Text,
        reasoning_effort: None,
        user: None,
        extra: Map::new(),
    };
    let mut instructions = None;
    for (meaning, field) in meant(&fields)? {
        match meaning {
            Meaning::Messages => {
                let dialogue = messages::dialogue(field.value)?;
                (chat.system, chat.messages) = (dialogue.system, dialogue.messages);
            }
            Meaning::System => instructions = Some(fields::text(field)?),
            Meaning::Tools => chat.tools = tools::offered(field.value)?,
            Meaning::ToolChoice => chat.tool_choice = Some(tools::choice(field)?),
            Meaning::Temperature => chat.temperature = Some(typed(field, "a number")?),
            Meaning::TopP => chat.top_p = Some(typed(field, "a number")?),
            Meaning::Stop => chat.stop = typed(field, "a list of texts")?,
            // The gateway's own matters; a target is told of the cap by its adapter.
            Meaning::Conversation | Meaning::Model | Meaning::Cap | Meaning::Metadata => {}
        }
    }
    chat.system.splice(0..0, instructions);
    chat.system.retain(|text| !text.is_empty());
    Ok(chat)
}

/// Text of the instructions and all messages; what can't be read holds none.
pub(super) fn prompt_text(call: &Decoded) -> String {
    let Ok(chat) = chat(call) else { return String::new() };
    let mut texts = chat.system;
    texts.extend(chat.messages.into_iter().flat_map(|message| message.parts).flat_map(said));
    texts.join("\n")
}

fn said(part: Part) -> Vec<String> {
    match part {
        Part::Text(text) => vec![text],
        Part::ToolResult { content, .. } => content.into_iter().flat_map(said).collect(),
        Part::Image(_) | Part::File { .. } | Part::Reasoning { .. } | Part::ToolCall { .. } => Vec::new(),
    }
}

fn typed<'a, T: Deserialize<'a>>(field: &Field<'a>, want: &str) -> Result<T, GatewayError> {
    serde_json::from_str(field.value).map_err(|_| fields::wrong(field, want))
}
