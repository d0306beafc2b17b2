//! A translated answer as a chat completion.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::details::{LogprobsBody, annotation};
use crate::dialects::About;
use crate::domain::chat::{ChatReply, Detail, Finish, Part};
use crate::domain::usage::Usage;

pub(super) fn reply(reply: &ChatReply, about: &About) -> Bytes {
    let mut body = json!({
        "id": about.id,
        "object": "chat.completion",
        "created": about.created_s,
        "model": about.model,
        "choices": [{
            "index": 0,
            "message": message(reply),
            "logprobs": null,
            "finish_reason": finish_reason(reply.finish.unwrap_or(Finish::Stop)),
        }],
        "usage": reply.usage.as_ref().map(UsageBody::new),
    });
    tell_details(reply, &mut body);
    body.to_string().into()
}

fn tell_details(reply: &ChatReply, body: &mut Value) {
    let (mut tokens, mut annotations) = (Vec::new(), Vec::new());
    for detail in &reply.details {
        match detail {
            Detail::Logprobs(more) => tokens.extend(more),
            Detail::Citation(citation) => annotations.extend(annotation(citation)),
            // The name that vLLM gave it.
            Detail::StopSequence(stop) => body["choices"][0]["stop_reason"] = stop.as_str().into(),
            Detail::ServiceTier(tier) => body["service_tier"] = tier.as_str().into(),
        }
    }
    if !tokens.is_empty() {
        body["choices"][0]["logprobs"] = json!(LogprobsBody::new(tokens));
    }
    if !annotations.is_empty() {
        body["choices"][0]["message"]["annotations"] = annotations.into();
    }
}

fn message(reply: &ChatReply) -> Value {
    let (mut content, mut reasoning) = (String::new(), String::new());
    let (mut calls, mut thinking) = (Vec::new(), Vec::new());
    for part in &reply.parts {
        match part {
            Part::Text(text) => content.push_str(text),
            Part::Reasoning { text, signature } => {
                reasoning.push_str(text);
                thinking.extend(signature.as_ref().map(|signature| thinking_block(text, signature)));
            }
            Part::ToolCall { id, name, arguments } => calls.push(json!({
                "id": id, "type": "function", "function": { "name": name, "arguments": arguments },
            })),
            // A model answers in words and calls.
            Part::Image(_) | Part::File { .. } | Part::ToolResult { .. } => {}
        }
    }
    let mut message = json!({
        "role": "assistant",
        "content": (!content.is_empty()).then_some(content),
        "refusal": reply.refusal,
    });
    if !reasoning.is_empty() {
        message["reasoning_content"] = reasoning.into();
    }
    if !thinking.is_empty() {
        message["thinking_blocks"] = thinking.into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

/// Signed reasoning; a client that sends its history back whole returns it to us, see `messages.rs`. The names are
/// those that other gateways gave the two fields.
pub(super) fn thinking_block(text: &str, signature: &str) -> Value {
    json!({ "type": "thinking", "thinking": text, "signature": signature })
}

pub(super) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

/// OpenAI counts what was read from or written to a cache inside the prompt.
#[derive(Serialize)]
pub(super) struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

impl UsageBody {
    pub(super) fn new(usage: &Usage) -> Self {
        let prompt_tokens = usage.total_input();
        UsageBody {
            prompt_tokens,
            completion_tokens: usage.output,
            total_tokens: prompt_tokens.saturating_add(usage.output),
            prompt_tokens_details: PromptDetails {
                cached_tokens: usage.cache_read,
                cache_write_tokens: usage.cache_write.saturating_add(usage.cache_write_1h),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_text_has_null_content_and_its_calls() {
        let call = Part::ToolCall { id: "c1".into(), name: "f".into(), arguments: "{}".into() };
        let answer = ChatReply { parts: vec![call], finish: Some(Finish::ToolCalls), ..ChatReply::default() };
        let about = About {
            id: "chatcmpl-1".into(),
            created_s: 5,
            model: "m".into(),
            include_usage: false,
            request: Bytes::new(),
            now_s: || 9,
        };

        let body: Value = serde_json::from_slice(&reply(&answer, &about)).expect("JSON");

        assert_eq!(body["choices"][0]["message"]["content"], Value::Null);
        assert_eq!(body["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "f");
        assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
    }

    #[test]
    fn the_total_is_the_sum_of_prompt_and_completion() {
        let usage = Usage { input: 1, cache_read: 2, cache_write: 3, cache_write_1h: 4, output: 5, ..Usage::default() };
        let body = serde_json::to_value(UsageBody::new(&usage)).expect("JSON");
        assert_eq!(
            body,
            json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                   "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 7}})
        );
    }
}
