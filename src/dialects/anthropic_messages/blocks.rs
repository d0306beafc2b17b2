//! Messages and their content blocks into the internal language.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::object::{Object, WrongType};
use crate::domain::chat::{Media, Message, Part, Role};
use crate::domain::error::GatewayError;

#[derive(Default)]
pub(super) struct Dialogue {
    /// Instructions that stood between the messages.
    pub(super) system: Vec<String>,
    pub(super) messages: Vec<Message>,
}

pub(super) fn dialogue(raw: &str, extra: &mut Map<String, Value>) -> Result<Dialogue, GatewayError> {
    let list: Vec<&RawValue> = serde_json::from_str(raw)
        .map_err(|_| GatewayError::invalid("`messages` must be a list of messages.", Some("messages")))?;
    let mut dialogue = Dialogue::default();
    for (at, raw) in list.iter().enumerate() {
        let mut reader = Reader { place: format!("messages[{at}]"), prefix: "messages", extra };
        reader.message(raw.get(), &mut dialogue)?;
    }
    Ok(dialogue)
}

pub(super) fn system(raw: &str, extra: &mut Map<String, Value>) -> Result<Vec<String>, GatewayError> {
    let mut reader = Reader { place: "system".into(), prefix: "system", extra };
    let parts = reader.content(raw)?;
    reader.texts(parts)
}

/// Reads one message, or the instructions.
struct Reader<'e> {
    place: String,
    /// Of the names of fields that have no word in the internal language.
    prefix: &'static str,
    extra: &'e mut Map<String, Value>,
}

impl Reader<'_> {
    fn refuse(&self, what: &str) -> GatewayError {
        GatewayError::invalid(format!("{} {what}.", self.place), Some(&self.place))
    }

    fn wrong_type(&self) -> GatewayError {
        self.refuse("has a field of the wrong type")
    }

    fn message(&mut self, raw: &str, dialogue: &mut Dialogue) -> Result<(), GatewayError> {
        let wrong = |_: WrongType| self.wrong_type();
        let mut message = Object::read(raw).map_err(wrong)?;
        let role = message.text("role").map_err(wrong)?;
        let content: Option<&RawValue> = message.take("content").map_err(wrong)?;
        let Some(content) = content else { return Err(self.refuse("needs a `content`")) };
        let parts = self.content(content.get())?;
        match role.as_str() {
            "user" => dialogue.messages.push(Message { role: Role::User, parts }),
            "assistant" => dialogue.messages.push(Message { role: Role::Assistant, parts }),
            "system" => dialogue.system.extend(self.texts(parts)?),
            _ => return Err(self.refuse("has an unknown role")),
        }
        message.left_over(self.prefix, self.extra);
        Ok(())
    }

    fn texts(&self, parts: Vec<Part>) -> Result<Vec<String>, GatewayError> {
        let text = |part| match part {
            Part::Text(text) => Ok(text),
            _ => Err(self.refuse("may hold text only")),
        };
        parts.into_iter().map(text).collect()
    }

    /// A text, or a list of blocks. Empty texts say nothing, and some providers refuse them.
    fn content(&mut self, raw: &str) -> Result<Vec<Part>, GatewayError> {
        let mut parts = Vec::new();
        if raw.starts_with('[') {
            let blocks: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_| self.wrong_type())?;
            for block in blocks {
                self.block(block.get(), &mut parts)?;
            }
        } else {
            parts.push(Part::Text(serde_json::from_str(raw).map_err(|_| self.wrong_type())?));
        }
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Ok(parts)
    }

    fn block(&mut self, raw: &str, parts: &mut Vec<Part>) -> Result<(), GatewayError> {
        let wrong = |_: WrongType| self.wrong_type();
        let mut block = Object::read(raw).map_err(wrong)?;
        let kind = block.text("type").map_err(wrong)?;
        match kind.as_str() {
            "text" => parts.push(Part::Text(block.text("text").map_err(wrong)?)),
            "image" => {
                let media = self.media(&mut block, "an image")?;
                parts.push(Part::Image(media));
            }
            "document" => self.document(&mut block, parts)?,
            "search_result" => self.search_result(&mut block, parts)?,
            "thinking" => parts.push(Part::Reasoning {
                text: block.text("thinking").map_err(wrong)?,
                // Reasoning of a provider that signs nothing comes back with an empty one.
                signature: block.take("signature").map_err(wrong)?.filter(|text: &String| !text.is_empty()),
            }),
            "tool_use" => {
                let input: Option<&RawValue> = block.take("input").map_err(wrong)?;
                let arguments = input.map_or("{}", RawValue::get).to_owned();
                let id = block.text("id").map_err(wrong)?;
                let name = block.text("name").map_err(wrong)?;
                if id.is_empty() || name.is_empty() {
                    return Err(self.refuse("has a tool_use block without its `id` or `name`"));
                }
                parts.push(Part::ToolCall { id, name, arguments });
            }
            "tool_result" => {
                let call_id = block.text("tool_use_id").map_err(wrong)?;
                let is_error = block.take("is_error").map_err(wrong)?.unwrap_or(false);
                let content: Option<&RawValue> = block.take("content").map_err(wrong)?;
                if call_id.is_empty() {
                    return Err(self.refuse("has a tool_result block without its `tool_use_id`"));
                }
                let content = content.map(|raw| self.content(raw.get())).transpose()?.unwrap_or_default();
                parts.push(Part::ToolResult { call_id, content, is_error });
            }
            // Only the provider that made it can read it.
            "redacted_thinking" => {
                self.extra.insert(format!("{}.redacted_thinking", self.prefix), true.into());
                return Ok(());
            }
            _ => {
                let kind: String = kind.chars().take(40).collect();
                return Err(self.refuse(&format!("has a block of type `{kind}`, which the model in use can't take")));
            }
        }
        block.left_over(self.prefix, self.extra);
        Ok(())
    }

    fn media(&self, block: &mut Object<'_>, what: &str) -> Result<Media, GatewayError> {
        let mut source = self.source(block, what)?;
        match source.text("type").map_err(|_| self.wrong_type())?.as_str() {
            "base64" | "url" => self.located(&mut source, what),
            "file" => {
                Err(self.refuse(&format!("has {what} by file id, which the model in use can't read; send its data")))
            }
            _ => Err(self.refuse(&format!("has {what} whose source is neither base64 nor url"))),
        }
    }

    fn source<'a>(&self, block: &mut Object<'a>, what: &str) -> Result<Object<'a>, GatewayError> {
        let source: Option<&RawValue> = block.take("source").map_err(|_| self.wrong_type())?;
        let Some(source) = source else { return Err(self.refuse(&format!("has {what} without a `source`"))) };
        Object::read(source.get()).map_err(|_| self.wrong_type())
    }

    /// A source of type url or base64.
    fn located(&self, source: &mut Object<'_>, what: &str) -> Result<Media, GatewayError> {
        let mut text = |name: &str| source.text(name).map_err(|_| self.wrong_type());
        let (url, data, media_type) = (text("url")?, text("data")?, text("media_type")?);
        match (url.is_empty(), data.is_empty() || media_type.is_empty()) {
            (false, _) => Ok(Media::Url(url)),
            (true, false) => Ok(Media::Inline { media_type, data }),
            (true, true) => Err(self.refuse(&format!("has {what} without its `data` and `media_type`, or its `url`"))),
        }
    }

    /// Files as files; documents that are text already as the text they are.
    fn document(&mut self, block: &mut Object<'_>, parts: &mut Vec<Part>) -> Result<(), GatewayError> {
        let what = "a document";
        let title: Option<String> = block.take("title").map_err(|_| self.wrong_type())?;
        let mut source = self.source(block, what)?;
        match source.text("type").map_err(|_| self.wrong_type())?.as_str() {
            "base64" | "url" => {
                let media = self.located(&mut source, what)?;
                parts.push(Part::File { media, name: title });
            }
            "text" => {
                parts.extend(title.map(Part::Text));
                parts.push(Part::Text(source.text("data").map_err(|_| self.wrong_type())?));
            }
            "content" => {
                parts.extend(title.map(Part::Text));
                let content: Option<&RawValue> = source.take("content").map_err(|_| self.wrong_type())?;
                parts.extend(content.map(|raw| self.content(raw.get())).transpose()?.into_iter().flatten());
            }
            _ => return Err(self.refuse("has a document by file id, which the model in use can't read; send its data")),
        }
        Ok(())
    }

    /// A finding with its place; other formats have no block for it, and the model reads it all the same.
    fn search_result(&mut self, block: &mut Object<'_>, parts: &mut Vec<Part>) -> Result<(), GatewayError> {
        let title = block.text("title").map_err(|_| self.wrong_type())?;
        let place = block.text("source").map_err(|_| self.wrong_type())?;
        let content: Option<&RawValue> = block.take("content").map_err(|_| self.wrong_type())?;
        parts.push(Part::Text(format!("{title}\n{place}")));
        parts.extend(content.map(|raw| self.content(raw.get())).transpose()?.into_iter().flatten());
        Ok(())
    }
}
