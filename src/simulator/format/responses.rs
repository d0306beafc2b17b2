//! OpenAI responses.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{Call, Event, Format};
use crate::simulator::answer::{Piece, Usage, believable};
use crate::simulator::ask::Ask;
use crate::simulator::request::Request;
use crate::simulator::script::{ErrorWords, Finish, InBandError};

pub(in crate::simulator) struct Responses;

impl Format for Responses {
    fn name(&self) -> &'static str {
        "openai-responses"
    }

    fn request_id_header(&self) -> &'static str {
        "x-request-id"
    }

    fn requires_max_tokens(&self) -> bool {
        false
    }

    fn ask<'a>(&self, request: &'a Request) -> Result<Ask<'a>, String> {
        Ask::of_responses(&request.body)
    }

    fn error(&self, status: u16, words: &ErrorWords, request_id: &str) -> Value {
        super::OpenAi.error(status, words, request_id)
    }

    fn plain(&self, call: &Call<'_>) -> Value {
        response(call, true)
    }

    fn opening(&self, call: &Call<'_>) -> Vec<Event> {
        let mut events: Vec<Event> = ["response.created", "response.in_progress"]
            .map(|kind| event(call, kind, json!({ "response": response(call, false) })))
            .into();
        if has_text(call) {
            let item = json!({ "id": message_id(call), "type": "message", "status": "in_progress", "role": "assistant", "content": [] });
            events.push(event(call, "response.output_item.added", json!({ "output_index": 0, "item": item })));
            let part = json!({ "part": part(call, "") });
            events.push(event(call, "response.content_part.added", at_text(call, part)));
        }
        events
    }

    fn content(&self, call: &Call<'_>, piece: &Piece<'_>) -> Vec<Event> {
        match piece {
            Piece::Text(text) => {
                let kind = if refused(call) { "response.refusal.delta" } else { "response.output_text.delta" };
                vec![event(call, kind, at_text(call, json!({ "delta": text })))]
            }
            Piece::ToolOpen { index, tool } => {
                let mut events = ended(call, place(call, *index).checked_sub(1));
                let item = json!({
                    "id": format!("fc_mock_{}_{index}", call.number), "type": "function_call", "status": "in_progress",
                    "call_id": call_id(call, *index), "name": tool.name, "arguments": "",
                });
                let added = json!({ "output_index": place(call, *index), "item": item });
                events.push(event(call, "response.output_item.added", added));
                events
            }
            Piece::ToolArguments { index, fragment } => {
                let delta = json!({
                    "item_id": format!("fc_mock_{}_{index}", call.number), "output_index": place(call, *index),
                    "delta": fragment,
                });
                vec![event(call, "response.function_call_arguments.delta", delta)]
            }
        }
    }

    fn finish(&self, call: &Call<'_>) -> Vec<Event> {
        let mut events = ended(call, items(call).len().checked_sub(1));
        let kind = match status(&call.answer.finish).0 {
            "incomplete" => "response.incomplete",
            "failed" => "response.failed",
            _ => "response.completed",
        };
        events.push(event(call, kind, json!({ "response": response(call, true) })));
        events
    }

    fn done(&self) -> Option<Event> {
        None
    }

    fn keep_alive(&self) -> &'static str {
        ": keep-alive\n\n"
    }

    fn malformed(&self) -> Event {
        let data = r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"#;
        Event { name: Some("response.output_text.delta"), data: data.to_owned() }
    }

    fn in_band_error(&self, call: &Call<'_>, error: &InBandError, request_id: &str) -> Event {
        event(call, "error", self.error(500, &error.error, request_id))
    }

    fn billed_input(&self, usage: &Usage) -> Option<u64> {
        believable(&usage.input)
    }
}

/// Events are numbered in the order in which they are made, which is the order in which they are sent.
fn event(call: &Call<'_>, kind: &'static str, mut data: Value) -> Event {
    if let Some(members) = data.as_object_mut() {
        let number = call.events.fetch_add(1, Ordering::Relaxed);
        members.shift_insert(0, "type".to_owned(), kind.into());
        members.shift_insert(1, "sequence_number".to_owned(), number.into());
    }
    Event::named(kind, &data)
}

fn at_text(call: &Call<'_>, mut data: Value) -> Value {
    data["item_id"] = message_id(call).into();
    data["output_index"] = 0.into();
    data["content_index"] = 0.into();
    data
}

/// The events that end one item.
fn ended(call: &Call<'_>, output_index: Option<usize>) -> Vec<Event> {
    let Some((at, item)) = output_index.and_then(|at| Some((at, items(call).into_iter().nth(at)?))) else {
        return Vec::new();
    };
    let mut events = Vec::new();
    if item["type"] == "message" {
        let (kind, field) =
            if refused(call) { ("response.refusal.done", "refusal") } else { ("response.output_text.done", "text") };
        events.push(event(call, kind, at_text(call, json!({ field: call.answer.text }))));
        let part = json!({ "part": part(call, &call.answer.text) });
        events.push(event(call, "response.content_part.done", at_text(call, part)));
    } else {
        let done =
            json!({ "item_id": item["id"], "output_index": at, "name": item["name"], "arguments": item["arguments"] });
        events.push(event(call, "response.function_call_arguments.done", done));
    }
    events.push(event(call, "response.output_item.done", json!({ "output_index": at, "item": item })));
    events
}

fn response(call: &Call<'_>, is_whole: bool) -> Value {
    let (status, reason) = if is_whole { status(&call.answer.finish) } else { ("in_progress", None) };
    let failed = || json!({ "code": "server_error", "message": "The model failed." });
    json!({
        "id": format!("resp_mock_{}", call.number),
        "object": "response",
        "created_at": call.created,
        "completed_at": (status == "completed").then_some(call.created),
        "status": status,
        "incomplete_details": reason.map(|reason| json!({ "reason": reason })),
        "model": call.model,
        "previous_response_id": null,
        "instructions": null,
        "output": if is_whole { items(call) } else { Vec::new() },
        "error": (status == "failed").then(failed),
        "tools": [],
        "tool_choice": "auto",
        "truncation": "disabled",
        "parallel_tool_calls": true,
        "text": { "format": { "type": "text" } },
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "top_logprobs": 0,
        "temperature": 1.0,
        "reasoning": { "effort": null, "summary": null },
        "usage": call.usage.as_ref().filter(|_| is_whole).map(usage),
        "max_output_tokens": null,
        "max_tool_calls": null,
        "store": false,
        "background": false,
        "service_tier": "default",
        "metadata": {},
        "safety_identifier": null,
        "prompt_cache_key": null,
    })
}

fn items(call: &Call<'_>) -> Vec<Value> {
    let status = if call.answer.finish == Finish::Length { "incomplete" } else { "completed" };
    let message = has_text(call).then(|| {
        let content = [part(call, &call.answer.text)];
        json!({ "id": message_id(call), "type": "message", "status": status, "role": "assistant", "content": content })
    });
    let tools = call.answer.tools.iter().enumerate().map(|(index, tool)| {
        json!({
            "id": format!("fc_mock_{}_{index}", call.number), "type": "function_call", "status": status,
            "call_id": call_id(call, index), "name": tool.name, "arguments": tool.arguments,
        })
    });
    message.into_iter().chain(tools).collect()
}

fn part(call: &Call<'_>, text: &str) -> Value {
    if refused(call) {
        return json!({ "type": "refusal", "refusal": text });
    }
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

fn message_id(call: &Call<'_>) -> String {
    format!("msg_mock_{}", call.number)
}

fn call_id(call: &Call<'_>, index: usize) -> String {
    let scripted = call.answer.tools.get(index).and_then(|tool| tool.id.clone());
    scripted.unwrap_or_else(|| format!("call_mock_{}_{index}", call.number))
}

fn has_text(call: &Call<'_>) -> bool {
    !call.answer.text.is_empty()
}

fn refused(call: &Call<'_>) -> bool {
    call.answer.finish == Finish::Refusal
}

/// Place of a tool's item in the output: text, where there is any, comes first.
fn place(call: &Call<'_>, tool: usize) -> usize {
    tool + usize::from(has_text(call))
}

/// Status, and why it is not complete.
fn status(finish: &Finish) -> (&'static str, Option<&'static str>) {
    match finish {
        Finish::Stop | Finish::Refusal | Finish::ToolCalls => ("completed", None),
        Finish::Length => ("incomplete", Some("max_output_tokens")),
        Finish::ContentFilter => ("incomplete", Some("content_filter")),
        // The format has no further words for an end.
        Finish::Other(_) => ("failed", None),
    }
}

fn usage(usage: &Usage) -> Value {
    // Where a number is a lie there is no sum; the lie stands for it.
    let total = match (usage.input.as_i64(), usage.output.as_i64()) {
        (Some(input), Some(output)) => input.saturating_add(output).into(),
        _ => usage.output.clone(),
    };
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": { "cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": total,
    })
}
