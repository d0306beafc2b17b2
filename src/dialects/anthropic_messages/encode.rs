//! A translated answer as a message.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::citations::{self, CitationBody};
use crate::dialects::About;
use crate::domain::chat::{ChatReply, Detail, Finish, Part};
use crate::domain::usage::Usage;

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    stop_reason: &'static str,
    /// Most other formats don't say which of the stops it was.
    stop_sequence: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_details: Option<Value>,
    usage: UsageBody,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<CitationBody<'a>>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Box<RawValue>,
    },
}

pub(super) fn reply(reply: &ChatReply, about: &About) -> Bytes {
    let mut content: Vec<Block<'_>> = reply.parts.iter().filter_map(block).collect();
    let texts = content.iter_mut().filter_map(|block| match block {
        Block::Text { citations, .. } => Some(citations),
        Block::Thinking { .. } | Block::ToolUse { .. } => None,
    });
    texts.zip(citations::by_text(reply)).for_each(|(citations, found)| *citations = found);
    let calls = content.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    let refusal = reply.refusal.as_deref();
    let (mut tier, mut stop_sequence) = (None, None);
    for detail in &reply.details {
        match detail {
            Detail::StopSequence(stop) => stop_sequence = Some(stop.as_str()),
            Detail::ServiceTier(word) => tier = service_tier(word),
            // Probabilities have no place here; sources stand at their texts.
            Detail::Citation(_) | Detail::Logprobs(_) => {}
        }
    }
    let body = Body {
        id: &about.id,
        r#type: "message",
        role: "assistant",
        model: &about.model,
        stop_reason: stop_reason(reply.finish.unwrap_or(Finish::Stop), calls, refusal.is_some(), stop_sequence),
        stop_sequence,
        stop_details: refusal.map(stop_details),
        usage: UsageBody::new(&reply.usage.unwrap_or_default()).served_as(tier),
        content,
    };
    serde_json::to_vec(&body).expect("a message is plain data with text keys").into()
}

fn block(part: &Part) -> Option<Block<'_>> {
    match part {
        Part::Text(text) => Some(Block::Text { text, citations: Vec::new() }),
        // The format wants a signature. An empty one comes back as it is and is cut out then, see `unreadable.rs`.
        Part::Reasoning { text, signature } => {
            Some(Block::Thinking { thinking: text, signature: signature.as_deref().unwrap_or_default() })
        }
        Part::ToolCall { id, name, arguments } => {
            Some(Block::ToolUse { id: tool_id(id), name, input: input(arguments) })
        }
        // A model answers in words and calls.
        Part::Image(_) | Part::File { .. } | Part::ToolResult { .. } => None,
    }
}

/// Arguments are a text elsewhere and an object here. What the output cap cut in the middle is none any more; Anthropic
/// answers with an empty one then, too.
fn input(arguments: &str) -> Box<RawValue> {
    let object = RawValue::from_string(arguments.trim().to_owned()).ok().filter(|raw| raw.get().starts_with('{'));
    object.unwrap_or_else(|| RawValue::from_string("{}".into()).expect("an empty object is JSON"))
}

/// Ids of other providers may hold characters that Anthropic refuses when the id comes back to it; a call and its result
/// carry the same one either way.
pub(super) fn tool_id(id: &str) -> Cow<'_, str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if id.chars().all(allowed) {
        return Cow::Borrowed(id);
    }
    id.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

/// Clients go on with their tools for `tool_use` alone; OpenAI says `stop` where the client named the tool itself.
pub(super) fn stop_reason(finish: Finish, calls: bool, refused: bool, stop: Option<&str>) -> &'static str {
    match finish {
        _ if refused => "refusal",
        Finish::Stop if calls => "tool_use",
        Finish::Stop if stop.is_some() => "stop_sequence",
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "refusal",
    }
}

/// None for a tier that this format has no word for.
pub(super) fn service_tier(tier: &str) -> Option<&'static str> {
    match tier {
        "default" => Some("standard"),
        "priority" => Some("priority"),
        "batch" => Some("batch"),
        _ => None,
    }
}

/// A refusal in the model's own words.
pub(super) fn stop_details(explanation: &str) -> Value {
    json!({ "type": "refusal", "category": null, "explanation": explanation })
}

/// Anthropic counts what was read from or written to a cache beside the input.
#[derive(Serialize)]
pub(super) struct UsageBody {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation: CacheCreation,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
}

#[derive(Serialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

impl UsageBody {
    pub(super) fn new(usage: &Usage) -> Self {
        UsageBody {
            input_tokens: usage.input,
            cache_creation_input_tokens: usage.cache_write.saturating_add(usage.cache_write_1h),
            cache_read_input_tokens: usage.cache_read,
            cache_creation: CacheCreation {
                ephemeral_5m_input_tokens: usage.cache_write,
                ephemeral_1h_input_tokens: usage.cache_write_1h,
            },
            output_tokens: usage.output,
            service_tier: None,
        }
    }

    /// With the tier, which the start of a message tells and its end does not.
    pub(super) fn served_as(self, service_tier: Option<&'static str>) -> Self {
        UsageBody { service_tier, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(answer: &ChatReply) -> Value {
        let about = About {
            id: "msg_1".into(),
            created_s: 5,
            model: "m".into(),
            include_usage: true,
            request: Bytes::new(),
            now_s: || 9,
        };
        serde_json::from_slice(&reply(answer, &about)).expect("JSON")
    }

    #[test]
    fn a_call_ends_with_tool_use_whatever_the_provider_calls_it_and_keeps_its_arguments() {
        let call = |arguments: &str| Part::ToolCall {
            id: "functions.f:0".into(),
            name: "f".into(),
            arguments: arguments.into(),
        };
        let answer =
            |arguments| ChatReply { parts: vec![call(arguments)], finish: Some(Finish::Stop), ..ChatReply::default() };
        let body = encoded(&answer(r#"{"b":1.0,"a":2}"#));
        assert_eq!(body["stop_reason"], "tool_use");
        assert_eq!(
            body["content"],
            json!([{"type": "tool_use", "id": "functions_f_0", "name": "f", "input": {"b": 1.0, "a": 2}}])
        );
        for broken in ["", r#"{"city":"Par"#, "[1]"] {
            assert_eq!(encoded(&answer(broken))["content"][0]["input"], json!({}), "{broken}");
        }
    }

    #[test]
    fn a_refusal_says_why_where_clients_of_this_format_look() {
        let answer = ChatReply { refusal: Some("I can't".into()), finish: Some(Finish::Stop), ..ChatReply::default() };
        let body = encoded(&answer);
        assert_eq!((&body["stop_reason"], &body["content"]), (&json!("refusal"), &json!([])));
        assert_eq!(body["stop_details"]["explanation"], "I can't");
    }

    #[test]
    fn cached_tokens_stand_beside_the_input() {
        let usage = Usage { input: 1, cache_read: 2, cache_write: 3, cache_write_1h: 4, output: 5, ..Usage::default() };
        assert_eq!(
            serde_json::to_value(UsageBody::new(&usage)).expect("JSON"),
            json!({"input_tokens": 1, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 2,
                   "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}, "output_tokens": 5})
        );
    }
}
