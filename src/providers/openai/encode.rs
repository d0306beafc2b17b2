//! A request of another format as a chat completion call.

use serde_json::{Map, Value, json};

use crate::domain::chat::{ChatRequest, Format, Media, Message, Part, Role, Tool, ToolChoice};
use crate::domain::error::GatewayError;
use crate::providers::{Ask, Encoded, extras};

/// Fields of this format that the internal language has no word for. They are taken over from a client that has the same
/// ones; all others belong to the client's own format, and OpenAI refuses a call for one field it does not know.
const NATIVE: &[&str] = &[
    "audio",
    "best_of",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "metadata",
    "modalities",
    "n",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "seed",
    "service_tier",
    "store",
    "top_logprobs",
    "verbosity",
    "web_search_options",
];

/// Errors: `InvalidRequest` for a document by URL.
pub(super) fn encode(chat: &ChatRequest, ask: &Ask<'_>) -> Result<Encoded, GatewayError> {
    let mut dropped = Vec::new();
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let has_tools = !chat.tools.is_empty();
    put("model", Some(ask.model.into()));
    put("messages", Some(messages(chat, &mut dropped)?));
    put(ask.cap_field, Some(ask.max_tokens.into()));
    put("stream", ask.stream.then_some(Value::Bool(true)));
    put("stream_options", ask.stream.then(|| json!({ "include_usage": true })));
    put("tools", has_tools.then(|| chat.tools.iter().map(tool).collect()));
    // Both are refused where there is nothing to choose from.
    put("tool_choice", chat.tool_choice.as_ref().filter(|_| has_tools).map(tool_choice));
    put("parallel_tool_calls", chat.parallel_tool_calls.filter(|_| has_tools).map(Value::Bool));
    put("temperature", chat.temperature.map(Value::from));
    put("top_p", chat.top_p.map(Value::from));
    put("stop", (!chat.stop.is_empty()).then(|| chat.stop.clone().into()));
    put("response_format", format(&chat.format));
    put("reasoning_effort", chat.reasoning_effort.clone().map(Value::from));
    put("user", chat.user.clone().map(Value::from));
    for (name, value) in &chat.extra {
        if NATIVE.contains(&name.as_str()) {
            put(name, Some(value.clone()));
        } else if !extras::says_nothing(value) {
            dropped.push(name.clone());
        }
    }
    Ok(Encoded { body: Value::Object(body).to_string().into(), dropped })
}

fn messages(chat: &ChatRequest, dropped: &mut Vec<String>) -> Result<Value, GatewayError> {
    let mut all: Vec<Value> = chat.system.iter().map(|text| json!({ "role": "system", "content": text })).collect();
    for message in &chat.messages {
        match message.role {
            Role::User => user(message, &mut all, dropped)?,
            Role::Assistant => all.extend(assistant(message)?),
        }
    }
    Ok(all.into())
}

/// Tool results are messages of their own here, and texts: their pictures and files go into the message behind them.
fn user(message: &Message, all: &mut Vec<Value>, dropped: &mut Vec<String>) -> Result<(), GatewayError> {
    let mut parts = Vec::new();
    for part in &message.parts {
        let Part::ToolResult { call_id, content, is_error } = part else {
            parts.extend(content_part(part)?);
            continue;
        };
        let is_text = |part: &&Part| matches!(part, Part::Text(_));
        let texts = content.iter().filter(is_text).filter_map(|part| content_part(part).transpose());
        let content_of_result = match content_of(texts.collect::<Result<_, _>>()?) {
            Value::Null => "".into(),
            content => content,
        };
        all.push(json!({ "role": "tool", "tool_call_id": call_id, "content": content_of_result }));
        for part in content.iter().filter(|part| !is_text(part)) {
            parts.extend(content_part(part)?);
        }
        if *is_error && !dropped.iter().any(|name| name == "messages.is_error") {
            dropped.push("messages.is_error".into());
        }
    }
    if !parts.is_empty() {
        all.push(json!({ "role": "user", "content": content_of(parts) }));
    }
    Ok(())
}

/// None where nothing is left to say: reasoning alone is not taken back.
fn assistant(message: &Message) -> Result<Option<Value>, GatewayError> {
    let content = message.parts.iter().filter_map(|part| content_part(part).transpose());
    let content = content_of(content.collect::<Result<_, _>>()?);
    let calls: Vec<Value> = message.parts.iter().filter_map(tool_call).collect();
    if content.is_null() && calls.is_empty() {
        return Ok(None);
    }
    let mut body = json!({ "role": "assistant", "content": content });
    if !calls.is_empty() {
        body["tool_calls"] = calls.into();
    }
    Ok(Some(body))
}

/// A single text goes as a plain string: some servers know no parts.
fn content_of(mut parts: Vec<Value>) -> Value {
    match parts.as_mut_slice() {
        [] => Value::Null,
        [one] if one["type"] == "text" => one["text"].take(),
        _ => parts.into(),
    }
}

fn content_part(part: &Part) -> Result<Option<Value>, GatewayError> {
    Ok(match part {
        Part::Text(text) => Some(json!({ "type": "text", "text": text })),
        Part::Image(media) => Some(json!({ "type": "image_url", "image_url": { "url": url(media) } })),
        Part::File { media: Media::Url(_), .. } => {
            let message = "The model in use can't fetch a document from a URL; send its data in base64.";
            return Err(GatewayError::invalid(message, Some("messages")));
        }
        Part::File { media: Media::Inline { media_type, data }, .. } if media_type.starts_with("audio/") => {
            let format = media_type.trim_start_matches("audio/");
            Some(json!({ "type": "input_audio", "input_audio": { "data": data, "format": format } }))
        }
        Part::File { media, name } => {
            // A file without a name is refused.
            let name = name.as_deref().unwrap_or("document.pdf");
            Some(json!({ "type": "file", "file": { "filename": name, "file_data": url(media) } }))
        }
        // Reasoning is not taken back by this format.
        Part::Reasoning { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => None,
    })
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
