//! A request of another format as a `generateContent` call.

use serde_json::{Map, Value, json};

use super::contents::contents;
use super::request::Request;
use super::{schema, thinking};
use crate::domain::chat::{ChatRequest, Format, Tool, ToolChoice};
use crate::domain::error::GatewayError;
use crate::providers::{Ask, Encoded, extras};

/// Fields of other formats, or of Gemini's own that clients send by hand, and their names in `generationConfig`.
const GENERATION: &[(&str, &str)] = &[
    ("seed", "seed"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
    ("top_k", "topK"),
    ("topK", "topK"),
    ("thinkingConfig", "thinkingConfig"),
    ("logprobs", "responseLogprobs"),
    ("top_logprobs", "logprobs"),
];

pub(super) fn encode(chat: &ChatRequest, ask: &Ask<'_>) -> Result<Encoded, GatewayError> {
    let mut dropped = Vec::new();
    let mut generation_config = generation(chat, ask, &mut dropped);
    extras::sort(&chat.extra, &mut dropped, |name, value| {
        let known = GENERATION.iter().find(|(theirs, _)| *theirs == name);
        generation_config.extend(known.map(|(_, ours)| ((*ours).to_owned(), value.clone())));
        known.is_some() || name == "safetySettings"
    })?;
    for (name, is_given) in [
        // Calls side by side can't be turned off.
        ("parallel_tool_calls", chat.parallel_tool_calls == Some(false) && !chat.tools.is_empty()),
        ("user", chat.user.is_some()),
    ] {
        if is_given {
            dropped.push(name.to_owned());
        }
    }
    let (system_instruction, contents) = contents(chat, ask.model)?;
    let request = Request {
        system_instruction,
        contents,
        tools: tools(&chat.tools, &mut dropped),
        tool_config: tool_config(chat),
        generation_config,
        safety_settings: chat.extra.get("safetySettings"),
    };
    let body = serde_json::to_vec(&request).expect("a request is plain data with text keys").into();
    Ok(Encoded { body, dropped })
}

fn generation(chat: &ChatRequest, ask: &Ask<'_>, dropped: &mut Vec<String>) -> Map<String, Value> {
    let mut config = Map::new();
    let mut put = |name: &str, value: Option<Value>| config.extend(value.map(|value| (name.to_owned(), value)));
    put("maxOutputTokens", Some(ask.max_tokens.into()));
    put("temperature", chat.temperature.map(Value::from));
    put("topP", chat.top_p.map(Value::from));
    put("stopSequences", (!chat.stop.is_empty()).then(|| chat.stop.clone().into()));
    match &chat.format {
        Format::Text => {}
        Format::JsonObject => put("responseMimeType", Some("application/json".into())),
        Format::JsonSchema { schema, .. } => {
            put("responseMimeType", Some("application/json".into()));
            // JSON Schema as it is; `responseSchema` beside it would need the reduced form.
            put("responseJsonSchema", Some(schema.clone()));
        }
    }
    if let Some(effort) = &chat.reasoning_effort {
        match thinking::config(ask.model, effort) {
            None => dropped.push("reasoning_effort".to_owned()),
            thinking => put("thinkingConfig", thinking),
        }
    }
    config
}

fn tools(offered: &[Tool], dropped: &mut Vec<String>) -> Option<Value> {
    if offered.is_empty() {
        return None;
    }
    if offered.iter().any(|tool| tool.strict == Some(true)) {
        dropped.push("tools.strict".to_owned());
    }
    let mut is_whole = true;
    let declarations: Vec<Value> = offered
        .iter()
        .map(|tool| {
            let mut declaration = json!({ "name": tool.name });
            if let Some(description) = &tool.description {
                declaration["description"] = description.as_str().into();
            }
            let reduced = schema::reduce(&tool.parameters);
            is_whole &= reduced.is_whole;
            // A function without parameters must not have an empty object for them.
            if reduced.schema["properties"].as_object().is_some_and(|properties| !properties.is_empty()) {
                declaration["parameters"] = reduced.schema;
            }
            declaration
        })
        .collect();
    if !is_whole {
        dropped.push("tools.parameters".to_owned());
    }
    Some(json!([{ "functionDeclarations": declarations }]))
}

fn tool_config(chat: &ChatRequest) -> Option<Value> {
    if chat.tools.is_empty() {
        return None;
    }
    let calling = match chat.tool_choice.as_ref()? {
        ToolChoice::Auto => json!({ "mode": "AUTO" }),
        ToolChoice::None => json!({ "mode": "NONE" }),
        ToolChoice::Required => json!({ "mode": "ANY" }),
        ToolChoice::Named(name) => json!({ "mode": "ANY", "allowedFunctionNames": [name] }),
    };
    Some(json!({ "functionCallingConfig": calling }))
}
