//! The dialogue as input items: messages, calls, their outputs and reasoning stand side by side.

use serde_json::{Value, json};

use super::KIND;
use crate::domain::chat::{ChatRequest, Media, Message, Part, Role};
use crate::domain::signatures;

pub(super) fn items(chat: &ChatRequest, dropped: &mut Vec<String>) -> Vec<Value> {
    let mut items = Vec::with_capacity(chat.messages.len());
    for message in &chat.messages {
        match message.role {
            Role::User => user(message, &mut items, dropped),
            Role::Assistant => assistant(message, &mut items),
        }
    }
    items
}

fn user(message: &Message, items: &mut Vec<Value>, dropped: &mut Vec<String>) {
    let mut content = Vec::new();
    for part in &message.parts {
        match part {
            Part::ToolResult { call_id, content, is_error } => {
                items.push(json!({ "type": "function_call_output", "call_id": call_id, "output": output(content) }));
                if *is_error && !dropped.iter().any(|name| name == "messages.is_error") {
                    dropped.push("messages.is_error".into());
                }
            }
            part => content.extend(input_part(part)),
        }
    }
    if !content.is_empty() {
        items.push(json!({ "type": "message", "role": "user", "content": content }));
    }
}

/// Texts are one string, which every server of this format knows; pictures and files need parts.
fn output(content: &[Part]) -> Value {
    let texts: Option<Vec<&str>> = content
        .iter()
        .map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    match texts {
        Some(texts) => texts.join("\n").into(),
        None => content.iter().filter_map(input_part).collect(),
    }
}

fn input_part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) => Some(json!({ "type": "input_text", "text": text })),
        Part::Image(media) => Some(json!({ "type": "input_image", "image_url": url(media), "detail": "auto" })),
        Part::File { media: Media::Url(url), .. } => Some(json!({ "type": "input_file", "file_url": url })),
        Part::File { media, name } => {
            // Data without a name is refused.
            let name = name.as_deref().unwrap_or("document.pdf");
            Some(json!({ "type": "input_file", "filename": name, "file_data": url(media) }))
        }
        Part::Reasoning { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => None,
    }
}

fn url(media: &Media) -> String {
    match media {
        Media::Url(url) => url.clone(),
        Media::Inline { media_type, data } => format!("data:{media_type};base64,{data}"),
    }
}

fn assistant(message: &Message, items: &mut Vec<Value>) {
    for part in &message.parts {
        match part {
            Part::Text(text) => items.push(json!({
                "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }],
            })),
            Part::ToolCall { id, name, arguments } => items.push(json!({
                "type": "function_call", "call_id": id, "name": name, "arguments": arguments,
            })),
            Part::Reasoning { text, signature: Some(marked) } => {
                items.extend(signatures::unmark(KIND, marked).map(|(id, encrypted)| reasoning(text, id, encrypted)));
            }
            // Reasoning that another provider signed can't be read here; a model answers in words and calls.
            Part::Reasoning { .. } | Part::Image(_) | Part::File { .. } | Part::ToolResult { .. } => {}
        }
    }
}

fn reasoning(text: &str, id: &str, encrypted: &str) -> Value {
    let summary = if text.is_empty() { json!([]) } else { json!([{ "type": "summary_text", "text": text }]) };
    json!({ "type": "reasoning", "id": id, "summary": summary, "encrypted_content": encrypted })
}
