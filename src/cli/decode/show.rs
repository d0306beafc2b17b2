//! A decoded recording for people and for programs.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::domain::chat::{Citation, Detail, Finish, Media, Part};
use crate::domain::failure::{ErrorVerdict, Failure};
use crate::domain::usage::Usage;

use super::answer::Read;

pub(super) fn json(read: &Read) -> Value {
    let reply = &read.reply;
    let mut clients = Map::new();
    for client in &read.clients {
        let whole: Value = serde_json::from_slice(&client.whole).unwrap_or_default();
        clients
            .insert(client.dialect.to_owned(), json!({ "whole": whole, "stream": client.stream.as_ref().map(lossy) }));
    }
    json!({
        "kind": read.kind,
        "frames": read.frames,
        "id": reply.id,
        "model": reply.model,
        "text": text_of(&reply.parts),
        "reasoning": reply.parts.iter().filter_map(reasoning).collect::<Vec<_>>(),
        "tool_calls": reply.parts.iter().filter_map(call).collect::<Vec<_>>(),
        "refusal": reply.refusal,
        "finish": reply.finish.map(word),
        "usage": reply.usage.as_ref().map(usage),
        "details": reply.details.iter().map(detail).collect::<Vec<_>>(),
        "error": read.failed.as_ref().map(|(failure, verdict)| error(failure, verdict)),
        "clients": clients,
    })
}

/// One line per fact, then the answer in each client format.
pub(super) fn text(read: &Read) -> String {
    let reply = &read.reply;
    let mut out = String::new();
    let mut line = |name: &str, value: &str| out.push_str(&format!("{name:<12}{value}\n"));
    let frames = read.frames.map_or("one body".to_owned(), |frames| format!("a stream of {frames} frames"));
    line("kind", &format!("{}, {frames}", read.kind));
    line("id", reply.id.as_deref().unwrap_or("none"));
    line("model", reply.model.as_deref().unwrap_or("none"));
    for part in &reply.parts {
        match part {
            Part::Text(text) => line("text", &Value::from(text.as_str()).to_string()),
            Part::Reasoning { text, signature } => {
                line("reasoning", &Value::from(text.as_str()).to_string());
                if let Some(signature) = signature {
                    line("  signature", signature);
                }
            }
            Part::ToolCall { id, name, arguments } => line("tool call", &format!("{id} {name} {arguments}")),
            Part::Image(media) | Part::File { media, .. } => line("media", &place(media)),
            Part::ToolResult { .. } => {}
        }
    }
    if let Some(refusal) = &reply.refusal {
        line("refusal", &Value::from(refusal.as_str()).to_string());
    }
    for one in &reply.details {
        line("detail", &detail(one).to_string());
    }
    line("finish", reply.finish.map_or("none", word));
    let counted = |usage: &Usage| {
        let Usage { input, cache_read, cache_write, cache_write_1h, output, .. } = usage;
        format!(
            "input {input}, cache read {cache_read}, cache write {}, output {output}",
            cache_write.saturating_add(*cache_write_1h)
        )
    };
    line("usage", &reply.usage.as_ref().map_or("none".to_owned(), counted));
    if let Some((failure, verdict)) = &read.failed {
        line("error", &error(failure, verdict).to_string());
    }
    for client in &read.clients {
        out.push_str(&format!("\nto a client of {}:\n{}\n", client.dialect, lossy(&client.whole)));
        if let Some(stream) = &client.stream {
            out.push_str(&format!("\nto a client of {}, streamed:\n{}", client.dialect, lossy(stream)));
        }
    }
    out
}

fn text_of(parts: &[Part]) -> String {
    parts.iter().filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None }).collect()
}

fn reasoning(part: &Part) -> Option<Value> {
    let Part::Reasoning { text, signature } = part else { return None };
    Some(json!({ "text": text, "signature": signature }))
}

fn call(part: &Part) -> Option<Value> {
    let Part::ToolCall { id, name, arguments } = part else { return None };
    Some(json!({ "id": id, "name": name, "arguments": arguments }))
}

fn detail(detail: &Detail) -> Value {
    match detail {
        Detail::Citation(Citation { passage, url, title, quote }) => {
            json!({ "passage": [passage.start, passage.end], "url": url, "title": title, "quote": quote })
        }
        Detail::Logprobs(tokens) => {
            json!({ "logprobs": tokens.iter().map(|token| json!([token.token, token.logprob])).collect::<Vec<_>>() })
        }
        Detail::StopSequence(stop) => json!({ "stop_sequence": stop }),
        Detail::ServiceTier(tier) => json!({ "service_tier": tier }),
    }
}

fn place(media: &Media) -> String {
    match media {
        Media::Url(url) => url.clone(),
        Media::Inline { media_type, data } => format!("{media_type}, {} bytes in base64", data.len()),
    }
}

fn word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

fn usage(usage: &Usage) -> Value {
    json!({
        "input": usage.input,
        "output": usage.output,
        "cache_read": usage.cache_read,
        "cache_write": usage.cache_write.saturating_add(usage.cache_write_1h),
    })
}

fn error(failure: &Failure, verdict: &ErrorVerdict) -> Value {
    json!({
        "status": failure.status,
        "phase": failure.phase.as_str(),
        "code": failure.code,
        "type": failure.error_type,
        "param": failure.param,
        "message": failure.message,
        "retry_after": failure.retry_after,
        "category": verdict.category.as_str(),
        "next_target": verdict.next_target,
    })
}

fn lossy(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
