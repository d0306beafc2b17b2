//! A request of another format as a call for a response.

use serde_json::{Map, Value, json};

use super::input;
use crate::domain::chat::{ChatRequest, Format, Tool, ToolChoice};
use crate::domain::error::GatewayError;
use crate::providers::{Ask, Encoded, extras};

/// Fields that this format shares with OpenAI's older one.
const NATIVE: &[&str] =
    &["prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier"];

/// Families of models that don't reason; the newest do.
const WITHOUT_REASONING: &[&str] = &["chatgpt-", "gpt-3", "gpt-4"];

/// Errors: `InvalidRequest` for more than one answer.
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
    put("instructions", (!chat.system.is_empty()).then(|| chat.system.join("\n\n").into()));
    put("input", Some(input::items(chat, &mut dropped).into()));
    put("max_output_tokens", Some(ask.max_tokens.into()));
    put("stream", ask.stream.then_some(Value::Bool(true)));
    // Whose answers are kept is for this gateway to say, not for its provider.
    put("store", Some(Value::Bool(false)));
    // Without it nothing of the reasoning could go back in the next turn.
    put("include", reasons(chat, ask.model).then(|| json!(["reasoning.encrypted_content"])));
    put("reasoning", chat.reasoning_effort.as_ref().map(|effort| json!({ "effort": effort })));
    put("tools", has_tools.then(|| chat.tools.iter().map(tool).collect()));
    put("tool_choice", chat.tool_choice.as_ref().filter(|_| has_tools).map(tool_choice));
    put("parallel_tool_calls", chat.parallel_tool_calls.filter(|_| has_tools).map(Value::Bool));
    put("temperature", chat.temperature.map(Value::from));
    put("top_p", chat.top_p.map(Value::from));
    put("user", chat.user.clone().map(Value::from));
    let mut text = Map::new();
    text.extend(format(&chat.format).map(|format| ("format".to_owned(), format)));
    extras::sort(&chat.extra, &mut dropped, |name, value| match name {
        "verbosity" => {
            text.insert(name.to_owned(), value.clone());
            true
        }
        name if NATIVE.contains(&name) => {
            put(name, Some(value.clone()));
            true
        }
        _ => false,
    })?;
    put("text", (!text.is_empty()).then_some(Value::Object(text)));
    if !chat.stop.is_empty() {
        dropped.push("stop".into());
    }
    Ok(Encoded { body: Value::Object(body).to_string().into(), dropped })
}

/// Whether encrypted reasoning can be asked for: models that don't reason refuse the whole call for it.
fn reasons(chat: &ChatRequest, model: &str) -> bool {
    let effort = chat.reasoning_effort.as_deref();
    let knows_how = !WITHOUT_REASONING.iter().any(|family| model.starts_with(family)) && !model.contains("-chat");
    effort != Some("none") && (effort.is_some() || knows_how)
}

fn tool(tool: &Tool) -> Value {
    json!({
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        // This format is strict where nothing is said, others are not.
        "strict": tool.strict.unwrap_or(false),
    })
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => json!({ "type": "function", "name": name }),
    }
}

fn format(format: &Format) -> Option<Value> {
    match format {
        Format::Text => None,
        Format::JsonObject => Some(json!({ "type": "json_object" })),
        Format::JsonSchema { name, schema, strict } => {
            let strict = strict.unwrap_or(false);
            Some(json!({ "type": "json_schema", "name": name, "schema": schema, "strict": strict }))
        }
    }
}
