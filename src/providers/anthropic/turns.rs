//! The dialogue in Anthropic's terms: user and assistant take turns, tool results come first in a user's turn.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::request::{Block, Source, Turn};
use super::{KIND, REDACTED};
use crate::domain::chat::{ChatRequest, Media, Message, Part, Role};
use crate::domain::error::GatewayError;
use crate::domain::signatures;

/// The system text and the turns.
pub(super) fn turns(chat: &ChatRequest) -> Result<(Option<String>, Vec<Turn<'_>>), GatewayError> {
    let mut turns: Vec<Turn<'_>> = Vec::with_capacity(chat.messages.len());
    for message in &chat.messages {
        let blocks = blocks(message)?;
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        match turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some(last) if last.role == role => last.content.extend(blocks),
            _ => turns.push(Turn { role, content: blocks }),
        }
    }
    for turn in &mut turns {
        // A stable sort: results move to the front, everything else keeps its order.
        turn.content.sort_by_key(|block| !matches!(block, Block::ToolResult { .. }));
    }
    match (turns.first(), chat.system.is_empty()) {
        (Some(Turn { role: "user", .. }), _) => {
            Ok(((!chat.system.is_empty()).then(|| chat.system.join("\n\n")), turns))
        }
        (Some(_), _) => Err(refuse("The dialogue must begin with a user message for the model in use.")),
        // Instructions alone: this format needs somebody to speak.
        (None, false) => {
            let content = chat.system.iter().map(|text| Block::Text { text }).collect();
            Ok((None, vec![Turn { role: "user", content }]))
        }
        (None, true) => Err(refuse("`messages` must say something; all of them are empty.")),
    }
}

fn blocks(message: &Message) -> Result<Vec<Block<'_>>, GatewayError> {
    message.parts.iter().filter_map(|part| block(part).transpose()).collect()
}

fn block(part: &Part) -> Result<Option<Block<'_>>, GatewayError> {
    Ok(Some(match part {
        Part::Text(text) => Block::Text { text },
        Part::Image(media) => Block::Image { source: source(media) },
        Part::File { media, name } => file(media, name.as_deref())?,
        Part::Reasoning { signature: Some(signature), .. }
            if let Some((REDACTED, data)) = signatures::unmark(KIND, signature) =>
        {
            Block::RedactedThinking { data }
        }
        Part::Reasoning { text, signature: Some(signature) } if !signatures::is_marked(signature) => {
            Block::Thinking { thinking: text, signature }
        }
        // Reasoning that is unsigned, or signed by another provider, is refused; the model does without it.
        Part::Reasoning { .. } => return Ok(None),
        Part::ToolCall { id, name, arguments } => {
            Block::ToolUse { id: tool_id(id), name, input: input(name, arguments)? }
        }
        Part::ToolResult { call_id, content, is_error } => {
            let content = content.iter().filter_map(|part| block(part).transpose()).collect::<Result<_, _>>()?;
            Block::ToolResult { tool_use_id: tool_id(call_id), content, is_error: *is_error }
        }
    }))
}

fn source(media: &Media) -> Source<'_> {
    match media {
        Media::Url(url) => Source::Url { url },
        Media::Inline { media_type, data } => Source::Base64 { media_type, data },
    }
}

fn file<'a>(media: &'a Media, title: Option<&'a str>) -> Result<Block<'a>, GatewayError> {
    let source = source(media);
    match media {
        Media::Inline { media_type, .. } if media_type.starts_with("image/") => Ok(Block::Image { source }),
        Media::Inline { media_type, .. } if media_type.starts_with("audio/") => {
            Err(refuse("The model in use can't listen to audio; send what is said as text."))
        }
        Media::Inline { media_type, .. } if media_type != "application/pdf" => {
            Err(refuse("The model in use takes files of type application/pdf only; send other texts as text."))
        }
        Media::Inline { .. } | Media::Url(_) => Ok(Block::Document { source, title }),
    }
}

/// Arguments are a text in the client's format and an object here.
fn input(name: &str, arguments: &str) -> Result<Box<RawValue>, GatewayError> {
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments.trim() };
    let object = RawValue::from_string(arguments.to_owned()).ok().filter(|raw| raw.get().starts_with('{'));
    object.ok_or_else(|| {
        let name: String = name.chars().take(64).collect();
        refuse(&format!("The arguments of the call to `{name}` must be a JSON object."))
    })
}

/// Ids that other providers gave may hold characters that are refused here; call and result change alike.
fn tool_id(id: &str) -> Cow<'_, str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if id.chars().all(allowed) {
        return Cow::Borrowed(id);
    }
    id.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

fn refuse(message: &str) -> GatewayError {
    GatewayError::invalid(message, Some("messages"))
}
