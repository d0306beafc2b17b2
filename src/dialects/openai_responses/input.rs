//! Input items into messages. What the model said in one turn stands in several items and becomes one message.

use serde::Deserialize;
use serde_json::Value;

use super::compact;
use super::reasoning::signature;
use crate::dialects::data_url;
use crate::domain::chat::{Media, Message, Part, Role};
use crate::domain::error::GatewayError;

#[derive(Default)]
pub(super) struct Dialogue {
    pub(super) system: Vec<String>,
    pub(super) messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: Option<String>,
    role: Option<String>,
    id: Option<String>,
    content: Option<Content>,
    summary: Option<Vec<Value>>,
    encrypted_content: Option<String>,
    call_id: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    output: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Value>),
}

pub(super) fn dialogue(input: Value) -> Result<Dialogue, GatewayError> {
    let mut dialogue = Dialogue::default();
    match input {
        Value::String(text) => {
            dialogue.messages.push(Message { role: Role::User, parts: vec![Part::Text(text)] });
        }
        Value::Array(list) => {
            for (at, item) in list.into_iter().enumerate() {
                let place = Place(at);
                // The reader's own error text would repeat the prompt.
                let item: Item =
                    serde_json::from_value(item).map_err(|_| place.refuse("has a field of the wrong type"))?;
                take(item, place, &mut dialogue)?;
            }
        }
        _ => return Err(GatewayError::invalid("`input` must be a text or a list of items.", Some("input"))),
    }
    Ok(dialogue)
}

fn take(item: Item, place: Place, dialogue: &mut Dialogue) -> Result<(), GatewayError> {
    match (item.kind.as_deref().unwrap_or("message"), item.role.as_deref()) {
        ("message", Some("system" | "developer")) => {
            for part in parts(item.content, place)? {
                let Part::Text(text) = part else { return Err(place.refuse("may hold text only")) };
                dialogue.system.push(text);
            }
        }
        ("message", Some("user")) => {
            dialogue.messages.push(Message { role: Role::User, parts: parts(item.content, place)? });
        }
        ("message", Some("assistant")) => dialogue.assistant(parts(item.content, place)?),
        ("function_call", _) => {
            let (Some(id), Some(name)) = (item.call_id, item.name) else {
                return Err(place.refuse("needs a `call_id` and a `name`"));
            };
            let arguments = item.arguments.unwrap_or_default();
            dialogue.assistant(vec![Part::ToolCall { id, name, arguments }]);
        }
        ("function_call_output", _) => {
            let Some(call_id) = item.call_id else { return Err(place.refuse("needs a `call_id`")) };
            let result = Part::ToolResult { call_id, content: parts(item.output, place)?, is_error: false };
            dialogue.messages.push(Message { role: Role::User, parts: vec![result] });
        }
        ("compaction", _) => {
            let summary = compact::summary(item.encrypted_content.as_deref().unwrap_or_default());
            let text =
                summary.ok_or_else(|| place.refuse("is a summary that only the provider it is from can read"))?;
            dialogue.messages.push(Message { role: Role::User, parts: vec![Part::Text(text)] });
        }
        ("reasoning", _) => dialogue.assistant(vec![reasoning(item)]),
        (kind, _) => {
            let kind: String = kind.chars().take(40).collect();
            return Err(place.refuse(&format!("is of type `{kind}`, which the model in use can't take")));
        }
    }
    Ok(())
}

impl Dialogue {
    fn assistant(&mut self, parts: Vec<Part>) {
        match self.messages.last_mut() {
            Some(last) if last.role == Role::Assistant => last.parts.extend(parts),
            _ => self.messages.push(Message { role: Role::Assistant, parts }),
        }
    }
}

fn reasoning(item: Item) -> Part {
    let texts = |parts: &[Value]| -> Vec<String> {
        parts.iter().filter_map(|part| part["text"].as_str().map(str::to_owned)).collect()
    };
    let said = match &item.content {
        Some(Content::Parts(parts)) => texts(parts),
        Some(Content::Text(text)) => vec![text.clone()],
        None => Vec::new(),
    };
    let said = if said.is_empty() { texts(item.summary.as_deref().unwrap_or_default()) } else { said };
    let id = item.id.unwrap_or_default();
    let signed = item.encrypted_content.filter(|content| !content.is_empty());
    Part::Reasoning { text: said.join("\n\n"), signature: signed.map(|content| signature(&id, &content)) }
}

/// Empty texts say nothing, and some providers refuse them.
fn parts(content: Option<Content>, place: Place) -> Result<Vec<Part>, GatewayError> {
    let all = match content {
        None => Vec::new(),
        Some(Content::Text(text)) => vec![Part::Text(text)],
        Some(Content::Parts(list)) => list.iter().map(|value| part(value, place)).collect::<Result<_, _>>()?,
    };
    Ok(all.into_iter().filter(|part| !matches!(part, Part::Text(text) if text.is_empty())).collect())
}

fn part(value: &Value, place: Place) -> Result<Part, GatewayError> {
    let kind = value["type"].as_str().unwrap_or_default();
    let text = |name: &str| value[name].as_str().filter(|text| !text.is_empty());
    let media = |url: &str| data_url::media(url).ok_or_else(|| place.refuse("has a data URL that is not base64"));
    match kind {
        "input_text" | "output_text" | "text" | "summary_text" => {
            let said = value["text"].as_str();
            Ok(Part::Text(said.ok_or_else(|| place.refuse("has a text part without its `text`"))?.to_owned()))
        }
        "refusal" => Ok(Part::Text(text("refusal").unwrap_or_default().to_owned())),
        "input_image" => {
            let url = text("image_url");
            let url = url.ok_or_else(|| place.refuse("has an image without `image_url`; send its URL or its data"))?;
            media(url).map(Part::Image)
        }
        "input_file" => {
            let name = text("filename").map(str::to_owned);
            let media = match (text("file_data"), text("file_url")) {
                (Some(data), _) if data.starts_with("data:") => media(data)?,
                // Bare base64, whose type only the name tells.
                (Some(data), _) => Media::Inline { media_type: "application/pdf".into(), data: data.to_owned() },
                (None, Some(url)) => Media::Url(url.to_owned()),
                (None, None) => {
                    return Err(place.refuse("has a file without `file_data`; the model in use can't read file ids"));
                }
            };
            Ok(Part::File { media, name })
        }
        _ => {
            let kind: String = kind.chars().take(40).collect();
            Err(place.refuse(&format!("has a part of type `{kind}`, which the model in use can't take")))
        }
    }
}

/// The item at fault.
#[derive(Clone, Copy)]
struct Place(usize);

impl Place {
    fn refuse(self, what: &str) -> GatewayError {
        GatewayError::invalid(format!("input[{}] {what}.", self.0), Some(&format!("input[{}]", self.0)))
    }
}
