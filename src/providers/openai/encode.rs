//! A request of another format as a chat completion call.

use serde_json::{Map, Value, json};

use crate::domain::chat::{ChatRequest, Format, Media, Message, Part, Role, Tool, ToolChoice};
use crate::providers::{Ask, Encoded};

pub(super) fn encode(chat: &ChatRequest, ask: &Ask<'_>) -> Encoded {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("model", Some(ask.model.into()));
    put("messages", Some(messages(chat)));
    put(ask.cap_field, Some(ask.max_tokens.into()));
    put("stream", ask.stream.then_some(Value::Bool(true)));
    put("stream_options", ask.stream.then(|| json!({ "include_usage": true })));
    put("tools", (!chat.tools.is_empty()).then(|| chat.tools.iter().map(tool).collect()));
    put("tool_choice", chat.tool_choice.as_ref().map(tool_choice));
    put("parallel_tool_calls", chat.parallel_tool_calls.map(Value::Bool));
    put("temperature", chat.temperature.map(Value::from));
    put("top_p", chat.top_p.map(Value::from));
    put("stop", (!chat.stop.is_empty()).then(|| chat.stop.clone().into()));
    put("response_format", format(&chat.format));
    put("reasoning_effort", chat.reasoning_effort.clone().map(Value::from));
    put("user", chat.user.clone().map(Value::from));
    // Fields that another format has and this one lacks are refused by name upstream; nothing is lost in silence.
    for (name, value) in &chat.extra {
        body.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Encoded { body: Value::Object(body).to_string().into(), dropped: Vec::new() }
}

fn messages(chat: &ChatRequest) -> Value {
    let mut all: Vec<Value> = chat.system.iter().map(|text| json!({ "role": "system", "content": text })).collect();
    for message in &chat.messages {
        match message.role {
            Role::User => user(message, &mut all),
            Role::Assistant => all.push(assistant(message)),
        }
    }
    all.into()
}

/// Tool results are messages of their own here.
fn user(message: &Message, all: &mut Vec<Value>) {
    let mut parts = Vec::new();
    for part in &message.parts {
        match part {
            Part::ToolResult { call_id, content, .. } => {
                let content = content_of(content.iter().filter_map(content_part).collect());
                all.push(json!({ "role": "tool", "tool_call_id": call_id, "content": content }));
            }
            part => parts.extend(content_part(part)),
        }
    }
    if !parts.is_empty() {
        all.push(json!({ "role": "user", "content": content_of(parts) }));
    }
}

fn assistant(message: &Message) -> Value {
    let content: Vec<Value> = message.parts.iter().filter_map(content_part).collect();
    let calls: Vec<Value> = message.parts.iter().filter_map(tool_call).collect();
    let mut body = json!({ "role": "assistant", "content": content_of(content) });
    if !calls.is_empty() {
        body["tool_calls"] = calls.into();
    }
    body
}

/// A single text goes as a plain string: some servers know no parts.
fn content_of(mut parts: Vec<Value>) -> Value {
    match parts.as_mut_slice() {
        [] => Value::Null,
        [one] if one["type"] == "text" => one["text"].take(),
        _ => parts.into(),
    }
}

fn content_part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) => Some(json!({ "type": "text", "text": text })),
        Part::Image(media) => Some(json!({ "type": "image_url", "image_url": { "url": url(media) } })),
        Part::File { media, name } => {
            Some(json!({ "type": "file", "file": { "filename": name, "file_data": url(media) } }))
        }
        // Reasoning is not taken back by this format.
        Part::Reasoning { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => None,
    }
}

fn url(media: &Media) -> String {
    match media {
        Media::Url(url) => url.clone(),
        Media::Inline { media_type, data } => format!("data:{media_type};base64,{data}"),
    }
}

fn tool_call(part: &Part) -> Option<Value> {
    let Part::ToolCall { id, name, arguments } = part else { return None };
    Some(json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } }))
}

fn tool(tool: &Tool) -> Value {
    let mut function = json!({ "name": tool.name, "parameters": tool.parameters });
    if let Some(description) = &tool.description {
        function["description"] = description.as_str().into();
    }
    if let Some(strict) = tool.strict {
        function["strict"] = strict.into();
    }
    json!({ "type": "function", "function": function })
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => json!({ "type": "function", "function": { "name": name } }),
    }
}

fn format(format: &Format) -> Option<Value> {
    match format {
        Format::Text => None,
        Format::JsonObject => Some(json!({ "type": "json_object" })),
        Format::JsonSchema { name, schema, strict } => {
            let mut wanted = json!({ "name": name, "schema": schema });
            if let Some(strict) = strict {
                wanted["strict"] = (*strict).into();
            }
            Some(json!({ "type": "json_schema", "json_schema": wanted }))
        }
    }
}
