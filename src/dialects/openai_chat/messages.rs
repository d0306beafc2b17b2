//! Messages of a chat call into the internal language.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::dialects::data_url;
use crate::dialects::text_files::as_text;
use crate::domain::chat::{Media, Message, Part, Role};
use crate::domain::error::GatewayError;

/// Of a part of a message, whatever its type.
const PART_FIELDS: &[&str] = &["type", "text", "refusal", "image_url", "file", "input_audio"];

pub(super) struct Dialogue {
    pub(super) system: Vec<String>,
    pub(super) messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: Option<Content>,
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
    tool_call_id: Option<String>,
    reasoning_content: Option<String>,
    #[serde(default)]
    thinking_blocks: Option<Vec<Thinking>>,
    function_call: Option<Value>,
    /// What the internal language has no word for.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Value>),
}

#[derive(Deserialize)]
struct Call {
    id: String,
    function: Called,
}

#[derive(Deserialize)]
struct Called {
    name: String,
    #[serde(default)]
    arguments: String,
}

/// Signed reasoning as our own answers carry it (see `encode.rs`), sent back by the client.
#[derive(Deserialize)]
struct Thinking {
    #[serde(default)]
    thinking: String,
    signature: Option<String>,
}

/// Fields that the internal language has no word for go into `extra` as `messages.name`.
pub(super) fn dialogue(messages: Value, extra: &mut Map<String, Value>) -> Result<Dialogue, GatewayError> {
    let Value::Array(list) = messages else {
        return Err(GatewayError::invalid("`messages` must be a list of messages.", Some("messages")));
    };
    let mut dialogue = Dialogue { system: Vec::new(), messages: Vec::with_capacity(list.len()) };
    for (at, message) in list.into_iter().enumerate() {
        let place = Place(at);
        let mut said: Said =
            // The reader's own error text would repeat the prompt.
            serde_json::from_value(message).map_err(|_| place.refuse("has a field of the wrong type"))?;
        leave(std::mem::take(&mut said.rest), extra);
        if let Some(Content::Parts(parts)) = &mut said.content {
            parts.iter_mut().for_each(|part| leave(rest_of(part), extra));
        }
        take(said, place, &mut dialogue)?;
    }
    Ok(dialogue)
}

/// Keeps note of fields that will not reach the model.
fn leave(fields: Map<String, Value>, extra: &mut Map<String, Value>) {
    // What leaves it to the model must not hide what an earlier message asked for.
    let says_something = fields.into_iter().filter(|(_, value)| !value.is_null() && value != "auto");
    extra.extend(says_something.map(|(name, value)| (format!("messages.{name}"), value)));
}

/// Takes out of a part what only its own format reads.
fn rest_of(part: &mut Value) -> Map<String, Value> {
    let mut rest = Map::new();
    let detail =
        part.get_mut("image_url").and_then(Value::as_object_mut).and_then(|image| image.shift_remove("detail"));
    rest.extend(detail.map(|detail| ("image_url.detail".to_owned(), detail)));
    if let Some(fields) = part.as_object_mut() {
        let names: Vec<String> = fields.keys().filter(|name| !PART_FIELDS.contains(&name.as_str())).cloned().collect();
        rest.extend(names.into_iter().filter_map(|name| fields.shift_remove_entry(&name)));
    }
    rest
}

fn take(said: Said, place: Place, dialogue: &mut Dialogue) -> Result<(), GatewayError> {
    match said.role.as_str() {
        "system" | "developer" => dialogue.system.extend(texts(said.content, place)?),
        "user" => dialogue.messages.push(Message { role: Role::User, parts: parts(said.content, place)? }),
        "assistant" => dialogue.messages.push(Message { role: Role::Assistant, parts: assistant(said, place)? }),
        "tool" => {
            let Some(call_id) = said.tool_call_id else {
                return Err(place.refuse("needs a `tool_call_id`"));
            };
            let content = parts(said.content, place)?;
            let result = Part::ToolResult { call_id, content, is_error: false };
            dialogue.messages.push(Message { role: Role::User, parts: vec![result] });
        }
        "function" => return Err(place.refuse("has the role `function`; the model in use takes `tool` messages only")),
        _ => return Err(place.refuse("has an unknown role")),
    }
    Ok(())
}

fn assistant(said: Said, place: Place) -> Result<Vec<Part>, GatewayError> {
    if said.function_call.is_some() {
        return Err(place.refuse("has a `function_call`; the model in use takes `tool_calls` only"));
    }
    let mut all = Vec::new();
    match said.thinking_blocks {
        Some(blocks) if !blocks.is_empty() => {
            all.extend(blocks.into_iter().map(|b| Part::Reasoning { text: b.thinking, signature: b.signature }));
        }
        _ => all.extend(said.reasoning_content.map(|text| Part::Reasoning { text, signature: None })),
    }
    all.extend(parts(said.content, place)?);
    all.extend(said.refusal.filter(|text| !text.is_empty()).map(Part::Text));
    all.extend(said.tool_calls.into_iter().flatten().map(|call| Part::ToolCall {
        id: call.id,
        name: call.function.name,
        arguments: call.function.arguments,
    }));
    Ok(all)
}

fn texts(content: Option<Content>, place: Place) -> Result<Vec<String>, GatewayError> {
    let text = |part| match part {
        Part::Text(text) => Ok(text),
        _ => Err(place.refuse("may hold text only")),
    };
    parts(content, place)?.into_iter().map(text).collect()
}

/// Empty texts say nothing, and some providers refuse them.
fn parts(content: Option<Content>, place: Place) -> Result<Vec<Part>, GatewayError> {
    let all = match content {
        None => Vec::new(),
        Some(Content::Text(text)) => vec![Part::Text(text)],
        Some(Content::Parts(list)) => list.into_iter().map(|value| part(value, place)).collect::<Result<_, _>>()?,
    };
    Ok(all.into_iter().filter(|part| !matches!(part, Part::Text(text) if text.is_empty())).collect())
}

fn part(mut value: Value, place: Place) -> Result<Part, GatewayError> {
    let kind = value["type"].as_str().unwrap_or_default().to_owned();
    let mut text = |name: &str| match value[name].take() {
        Value::String(text) => Ok(Part::Text(text)),
        _ => Err(place.refuse(&format!("has a part of type `{name}` without its text"))),
    };
    match kind.as_str() {
        "text" => text("text"),
        "refusal" => text("refusal"),
        "image_url" => {
            let image = value["image_url"].take();
            let url = image.as_str().or_else(|| image["url"].as_str());
            media(url.ok_or_else(|| place.refuse("has an image without a `url`"))?, place).map(Part::Image)
        }
        "file" => {
            let file = value["file"].take();
            let Some(content) = file["file_data"].as_str() else {
                return Err(place.refuse("has a file without `file_data`; the model in use can't read file ids"));
            };
            let (media, name) = (media(content, place)?, file["filename"].as_str());
            Ok(as_text(&media, name).unwrap_or_else(|| Part::File { media, name: name.map(str::to_owned) }))
        }
        "input_audio" => {
            let audio = value["input_audio"].take();
            let (Some(data), Some(format)) = (audio["data"].as_str(), audio["format"].as_str()) else {
                return Err(place.refuse("has audio without its `data` or `format`"));
            };
            let media = Media::Inline { media_type: format!("audio/{format}"), data: data.to_owned() };
            Ok(Part::File { media, name: None })
        }
        _ => {
            let kind: String = kind.chars().take(40).collect();
            Err(place.refuse(&format!("has a part of type `{kind}`, which the model in use can't take")))
        }
    }
}

fn media(url: &str, place: Place) -> Result<Media, GatewayError> {
    data_url::media(url).ok_or_else(|| place.refuse("has a data URL that is not base64"))
}

/// The message at fault.
#[derive(Clone, Copy)]
struct Place(usize);

impl Place {
    fn refuse(self, what: &str) -> GatewayError {
        GatewayError::invalid(format!("messages[{}] {what}.", self.0), Some(&format!("messages[{}]", self.0)))
    }
}
