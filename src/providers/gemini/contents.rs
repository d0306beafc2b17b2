//! The dialogue in Gemini's terms: user and model take turns, results of calls come first in a user's turn and name
//! their function.

use serde_json::json;
use serde_json::value::RawValue;

use super::request::{Content, FileData, FunctionCall, FunctionResponse, InlineData, Piece};
use super::signed;
use crate::domain::chat::{ChatRequest, Media, Message, Part, Role};
use crate::domain::error::GatewayError;

/// Types of pictures that a URL tells by its end; for others the provider looks by itself.
const TYPES: &[(&str, &str)] = &[
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".webp", "image/webp"),
    (".gif", "image/gif"),
    (".pdf", "application/pdf"),
];

/// The system text and the turns. Errors: nothing is said, arguments that are no object, a result without its call.
pub(super) fn contents<'a>(
    chat: &'a ChatRequest,
    model: &str,
) -> Result<(Option<Content<'a>>, Vec<Content<'a>>), GatewayError> {
    let mut turns: Vec<Content<'a>> = Vec::with_capacity(chat.messages.len());
    let mut calls = Calls::default();
    for message in &chat.messages {
        let (role, pieces) = match message.role {
            Role::User => ("user", user(message, &calls)?),
            Role::Assistant => ("model", assistant(message, &mut calls, model)?),
        };
        match turns.last_mut() {
            _ if pieces.is_empty() => {}
            Some(last) if last.role == Some(role) => last.parts.extend(pieces),
            _ => turns.push(Content { role: Some(role), parts: pieces }),
        }
    }
    for turn in &mut turns {
        // A stable sort: results move to the front, everything else keeps its order.
        turn.parts.sort_by_key(|piece| piece.function_response.is_none());
    }
    let system: Vec<Piece<'a>> = chat.system.iter().map(|text| Piece::text(text)).collect();
    match (turns.is_empty(), system.is_empty()) {
        (false, true) => Ok((None, turns)),
        (false, false) => Ok((Some(Content { role: None, parts: system }), turns)),
        // Instructions alone: this format needs somebody to speak.
        (true, false) => Ok((None, vec![Content { role: Some("user"), parts: system }])),
        (true, true) => Err(refuse("`messages` must say something; all of them are empty.")),
    }
}

/// Calls so far, as results know them by their id alone.
#[derive(Default)]
struct Calls<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Calls<'a> {
    /// The latest call with this id: some servers give the same ids in every turn.
    fn name(&self, id: &str) -> Result<&'a str, GatewayError> {
        let call = self.0.iter().rfind(|(known, _)| *known == id);
        call.map(|(_, name)| *name).ok_or_else(|| {
            let id: String = id.chars().take(64).collect();
            refuse(&format!("The result for `{id}` belongs to no call before it; send the call's message along."))
        })
    }
}

fn user<'a>(message: &'a Message, calls: &Calls<'a>) -> Result<Vec<Piece<'a>>, GatewayError> {
    let mut pieces = Vec::with_capacity(message.parts.len());
    for part in &message.parts {
        match part {
            Part::ToolResult { call_id, content, is_error } => {
                let function_response = Some(FunctionResponse {
                    id: call_id,
                    name: calls.name(call_id)?,
                    response: response(content, *is_error),
                });
                pieces.push(Piece { function_response, ..Piece::default() });
                // A result holds JSON only; pictures stand beside it.
                pieces.extend(content.iter().filter(|part| !matches!(part, Part::Text(_))).filter_map(shown));
            }
            part => pieces.extend(shown(part)),
        }
    }
    Ok(pieces)
}

fn assistant<'a>(message: &'a Message, calls: &mut Calls<'a>, model: &str) -> Result<Vec<Piece<'a>>, GatewayError> {
    let mut pieces = Vec::with_capacity(message.parts.len());
    for part in &message.parts {
        match part {
            Part::ToolCall { id, name, arguments } => {
                calls.0.push((id, name));
                let function_call = Some(FunctionCall { id, name, args: object(name, arguments)? });
                pieces.push(Piece { function_call, ..Piece::default() });
            }
            part => pieces.extend(shown(part)),
        }
    }
    signed::restore(&message.parts, &mut pieces, model);
    Ok(pieces)
}

fn shown(part: &Part) -> Option<Piece<'_>> {
    match part {
        Part::Text(text) => Some(Piece::text(text)),
        Part::Image(media) | Part::File { media, .. } => Some(match media {
            Media::Inline { media_type, data } => {
                Piece { inline_data: Some(InlineData { mime_type: media_type, data }), ..Piece::default() }
            }
            Media::Url(url) => {
                Piece { file_data: Some(FileData { mime_type: type_of(url), file_uri: url }), ..Piece::default() }
            }
        }),
        // Thoughts go back as signatures on what came of them.
        Part::Reasoning { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => None,
    }
}

fn type_of(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    TYPES.iter().find(|(end, _)| path.ends_with(end)).map(|(_, media_type)| *media_type)
}

/// A result is an object: the tool's own, or one with its text under the name that Google documents for it.
fn response(content: &[Part], is_error: bool) -> Box<RawValue> {
    let texts: Vec<&str> = content
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let text = texts.join("\n");
    let own = RawValue::from_string(text.trim().to_owned()).ok().filter(|raw| !is_error && raw.get().starts_with('{'));
    own.unwrap_or_else(|| {
        let named = if is_error { json!({ "error": text }) } else { json!({ "output": text }) };
        RawValue::from_string(named.to_string()).expect("a JSON value is JSON")
    })
}

/// Arguments are a text in the client's format and an object here; its numbers keep their spelling.
fn object(name: &str, arguments: &str) -> Result<Box<RawValue>, GatewayError> {
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments.trim() };
    let object = RawValue::from_string(arguments.to_owned()).ok().filter(|raw| raw.get().starts_with('{'));
    object.ok_or_else(|| {
        let name: String = name.chars().take(64).collect();
        refuse(&format!("The arguments of the call to `{name}` must be a JSON object."))
    })
}

fn refuse(message: &str) -> GatewayError {
    GatewayError::invalid(message, Some("messages"))
}
