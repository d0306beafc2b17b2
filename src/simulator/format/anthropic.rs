//! Anthropic messages.

use serde_json::{Value, json};

use super::{Call, Event, Format};
use crate::simulator::answer::{Piece, Usage, believable};
use crate::simulator::errors::error_row;
use crate::simulator::script::{ErrorWords, Finish, InBandError};

pub(in crate::simulator) struct Anthropic;

impl Format for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn request_id_header(&self) -> &'static str {
        "request-id"
    }

    fn requires_max_tokens(&self) -> bool {
        true
    }

    fn error(&self, status: u16, words: &ErrorWords, request_id: &str) -> Value {
        let row = error_row(status);
        let mut error = json!({
            "type": words.kind.as_deref().unwrap_or(row.anthropic_type),
            "message": words.message.as_deref().unwrap_or(row.message),
        });
        if let (Some(error), Some(code)) = (error.as_object_mut(), &words.code) {
            error.insert("details".to_owned(), json!({ "error_code": code }));
        }
        json!({ "type": "error", "error": error, "request_id": request_id })
    }

    fn plain(&self, call: &Call<'_>) -> Value {
        let mut content = Vec::new();
        if has_text(call) {
            content.push(json!({ "type": "text", "text": call.answer.text }));
        }
        for (index, tool) in call.answer.tools.iter().enumerate() {
            // Arguments that the cap cut are no JSON any more; the provider then answers with an empty input.
            let input: Value = serde_json::from_str(&tool.arguments).unwrap_or_else(|_| json!({}));
            content.push(json!({ "type": "tool_use", "id": tool_id(call, index), "name": tool.name, "input": input }));
        }
        let mut message = message(call, content, &stop_reason(&call.answer.finish));
        if let (Some(message), Some(usage)) = (message.as_object_mut(), &call.usage) {
            message.insert("usage".to_owned(), usage_of(usage, &usage.output));
        }
        message
    }

    fn opening(&self, call: &Call<'_>) -> Vec<Event> {
        let mut message = message(call, Vec::new(), &Value::Null);
        if let (Some(message), Some(usage)) = (message.as_object_mut(), &call.usage) {
            // Never 0, as with the real one: whoever adds up cumulative counts gets one too many.
            message.insert("usage".to_owned(), usage_of(usage, &json!(1)));
        }
        let mut events = vec![event("message_start", json!({ "message": message }))];
        if has_text(call) {
            let block = json!({ "type": "text", "text": "" });
            events.push(event("content_block_start", json!({ "index": 0, "content_block": block })));
        }
        events.push(event("ping", json!({})));
        events
    }

    fn content(&self, call: &Call<'_>, piece: &Piece<'_>) -> Vec<Event> {
        let delta =
            |block: usize, delta: Value| vec![event("content_block_delta", json!({ "index": block, "delta": delta }))];
        match piece {
            Piece::Text(text) => delta(0, json!({ "type": "text_delta", "text": text })),
            Piece::ToolArguments { index, fragment } => {
                delta(block(call, *index), json!({ "type": "input_json_delta", "partial_json": fragment }))
            }
            Piece::ToolOpen { index, tool } => {
                let block = block(call, *index);
                let mut events = Vec::new();
                if let Some(before) = block.checked_sub(1) {
                    events.push(event("content_block_stop", json!({ "index": before })));
                }
                let opened = json!({ "type": "tool_use", "id": tool_id(call, *index), "name": tool.name, "input": {} });
                events.push(event("content_block_start", json!({ "index": block, "content_block": opened })));
                events
            }
        }
    }

    fn finish(&self, call: &Call<'_>) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(last) = block(call, call.answer.tools.len()).checked_sub(1) {
            events.push(event("content_block_stop", json!({ "index": last })));
        }
        let mut delta = json!({
            "delta": { "stop_reason": stop_reason(&call.answer.finish), "stop_sequence": null },
        });
        if let (Some(delta), Some(usage)) = (delta.as_object_mut(), &call.usage) {
            delta.insert("usage".to_owned(), json!({ "output_tokens": usage.output }));
        }
        events.push(event("message_delta", delta));
        events
    }

    fn done(&self) -> Option<Event> {
        Some(event("message_stop", json!({})))
    }

    fn keep_alive(&self) -> &'static str {
        "event: ping\ndata: {\"type\": \"ping\"}\n\n"
    }

    fn malformed(&self) -> Event {
        let data = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"#;
        Event { name: Some("content_block_delta"), data: data.to_owned() }
    }

    fn in_band_error(&self, _: &Call<'_>, error: &InBandError, request_id: &str) -> Event {
        Event::named("error", &self.error(529, &error.error, request_id))
    }

    fn billed_input(&self, usage: &Usage) -> Option<u64> {
        let cached = believable(&usage.cache_read).unwrap_or(0) + believable(&usage.cache_write).unwrap_or(0);
        believable(&usage.input).map(|input| input + cached)
    }
}

fn event(name: &'static str, mut data: Value) -> Event {
    if let Some(members) = data.as_object_mut() {
        members.shift_insert(0, "type".to_owned(), name.into());
    }
    Event::named(name, &data)
}

fn message(call: &Call<'_>, content: Vec<Value>, stop_reason: &Value) -> Value {
    json!({
        "id": format!("msg_mock_{}", call.number),
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
    })
}

fn has_text(call: &Call<'_>) -> bool {
    !call.answer.text.is_empty()
}

/// Index of a tool's content block: text, where there is any, has block 0.
fn block(call: &Call<'_>, tool: usize) -> usize {
    tool + usize::from(has_text(call))
}

fn tool_id(call: &Call<'_>, index: usize) -> String {
    let scripted = call.answer.tools.get(index).and_then(|tool| tool.id.clone());
    scripted.unwrap_or_else(|| format!("toolu_mock_{}_{index}", call.number))
}

fn stop_reason(finish: &Finish) -> Value {
    match finish {
        Finish::Stop => "end_turn".into(),
        Finish::Length => "max_tokens".into(),
        Finish::ToolCalls => "tool_use".into(),
        Finish::ContentFilter | Finish::Refusal => "refusal".into(),
        Finish::Other(word) => word.as_str().into(),
    }
}

fn usage_of(usage: &Usage, output: &Value) -> Value {
    let short = match (usage.cache_write.as_u64(), usage.cache_write_1h.as_u64()) {
        (Some(all), Some(long)) => json!(all.saturating_sub(long)),
        _ => usage.cache_write.clone(),
    };
    let mut told = json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": { "ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": usage.cache_write_1h },
        "output_tokens": output,
        "service_tier": "standard",
    });
    if let Some(searches) = &usage.web_searches {
        told["server_tool_use"] = json!({ "web_search_requests": searches });
    }
    told
}
