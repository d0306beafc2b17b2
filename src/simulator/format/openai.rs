//! OpenAI chat completions.

use serde_json::{Value, json};

use super::{Call, Event, Format};
use crate::simulator::answer::{Piece, Usage, believable};
use crate::simulator::errors::error_row;
use crate::simulator::script::{ErrorWords, Finish, InBandError};

pub(in crate::simulator) struct OpenAi;

impl Format for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn request_id_header(&self) -> &'static str {
        "x-request-id"
    }

    fn requires_max_tokens(&self) -> bool {
        false
    }

    fn error(&self, status: u16, words: &ErrorWords, _: &str) -> Value {
        let row = error_row(status);
        json!({ "error": {
            "message": words.message.as_deref().unwrap_or(row.message),
            "type": words.kind.as_deref().unwrap_or(row.openai_type),
            "param": null,
            "code": words.code.clone().unwrap_or_else(|| json!(row.openai_code)),
        } })
    }

    fn plain(&self, call: &Call<'_>) -> Value {
        let tools: Vec<Value> = (call.answer.tools.iter().enumerate())
            .map(|(index, tool)| {
                let function = json!({ "name": tool.name, "arguments": tool.arguments });
                json!({ "id": tool_id(call, index), "type": "function", "function": function })
            })
            .collect();
        let text = (!call.answer.text.is_empty() || tools.is_empty()).then_some(call.answer.text.as_str());
        let refused = call.answer.finish == Finish::Refusal;
        let mut message = json!({
            "role": "assistant",
            "content": text.filter(|_| !refused),
            "refusal": text.filter(|_| refused),
            "annotations": [],
        });
        set(&mut message, "tool_calls", (!tools.is_empty()).then_some(tools.into()));
        let choices: Vec<Value> = (0..call.choices)
            .map(|index| {
                let finish = finish_word(&call.answer.finish);
                json!({ "index": index, "message": message, "logprobs": null, "finish_reason": finish })
            })
            .collect();
        let mut body = json!({
            "id": id(call),
            "object": "chat.completion",
            "created": call.created,
            "model": call.model,
            "choices": choices,
        });
        set(&mut body, "usage", call.usage.as_ref().map(usage));
        set(&mut body, "service_tier", Some("default".into()));
        set(&mut body, "system_fingerprint", Some("fp_mock".into()));
        body
    }

    fn opening(&self, call: &Call<'_>) -> Vec<Event> {
        let content = if call.answer.text.is_empty() && !call.answer.tools.is_empty() { None } else { Some("") };
        let delta = json!({ "role": "assistant", "content": content, "refusal": null });
        each_choice(call, &delta)
    }

    fn content(&self, call: &Call<'_>, piece: &Piece<'_>) -> Vec<Event> {
        let delta = match piece {
            Piece::Text(text) if call.answer.finish == Finish::Refusal => json!({ "refusal": text }),
            Piece::Text(text) => json!({ "content": text }),
            Piece::ToolOpen { index, tool } => {
                let function = json!({ "name": tool.name, "arguments": "" });
                let id = tool_id(call, *index);
                json!({ "tool_calls": [{ "index": index, "id": id, "type": "function", "function": function }] })
            }
            Piece::ToolArguments { index, fragment } => {
                json!({ "tool_calls": [{ "index": index, "function": { "arguments": fragment } }] })
            }
        };
        each_choice(call, &delta)
    }

    fn finish(&self, call: &Call<'_>) -> Vec<Event> {
        let reported = call.usage.as_ref().map(usage);
        let on_finish = call.framing.usage_on_finish;
        let mut events: Vec<Event> = (0..call.choices)
            .map(|index| {
                let choice = choice(index, &json!({}), &finish_word(&call.answer.finish));
                let mut chunk = chunk(call, json!([choice]));
                if on_finish {
                    set(&mut chunk, "usage", reported.clone());
                }
                Event::data(&chunk)
            })
            .collect();
        if let Some(reported) = reported.filter(|_| call.include_usage && !on_finish) {
            let mut chunk = chunk(call, json!([]));
            set(&mut chunk, "usage", Some(reported));
            events.push(Event::data(&chunk));
        }
        events
    }

    fn done(&self) -> Option<Event> {
        Some(Event { name: None, data: "[DONE]".to_owned() })
    }

    fn keep_alive(&self) -> &'static str {
        ": keep-alive\n\n"
    }

    fn malformed(&self) -> Event {
        let data =
            r#"{"id":"chatcmpl-mock","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"#;
        Event { name: None, data: data.to_owned() }
    }

    fn in_band_error(&self, _: &Call<'_>, error: &InBandError, request_id: &str) -> Event {
        let data = self.error(500, &error.error, request_id);
        if error.event_line { Event::named("error", &data) } else { Event::data(&data) }
    }

    fn billed_input(&self, usage: &Usage) -> Option<u64> {
        believable(&usage.input)
    }
}

fn id(call: &Call<'_>) -> String {
    format!("chatcmpl-mock-{}", call.number)
}

fn tool_id(call: &Call<'_>, index: usize) -> String {
    let scripted = call.answer.tools.get(index).and_then(|tool| tool.id.clone());
    scripted.unwrap_or_else(|| format!("call_mock_{}_{index}", call.number))
}

fn each_choice(call: &Call<'_>, delta: &Value) -> Vec<Event> {
    (0..call.choices).map(|index| Event::data(&chunk(call, json!([choice(index, delta, &Value::Null)])))).collect()
}

fn choice(index: u64, delta: &Value, finish: &Value) -> Value {
    json!({ "index": index, "delta": delta, "logprobs": null, "finish_reason": finish })
}

fn chunk(call: &Call<'_>, choices: Value) -> Value {
    let mut chunk = json!({
        "id": id(call),
        "object": "chat.completion.chunk",
        "created": call.created,
        "model": call.model,
        "service_tier": "default",
        "system_fingerprint": "fp_mock",
        "choices": choices,
    });
    // Null on every chunk but the last, and only where it was asked for.
    set(&mut chunk, "usage", call.include_usage.then_some(Value::Null));
    chunk
}

fn finish_word(finish: &Finish) -> Value {
    match finish {
        Finish::Stop | Finish::Refusal => "stop".into(),
        Finish::Length => "length".into(),
        Finish::ToolCalls => "tool_calls".into(),
        Finish::ContentFilter => "content_filter".into(),
        Finish::Other(word) => word.as_str().into(),
    }
}

fn usage(usage: &Usage) -> Value {
    // Where a number is a lie there is no sum; the lie stands for it.
    let total = match (usage.input.as_i64(), usage.output.as_i64()) {
        (Some(input), Some(output)) => input.saturating_add(output).into(),
        _ => usage.output.clone(),
    };
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

fn set(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(members), Some(value)) = (object.as_object_mut(), value) {
        members.insert(key.to_owned(), value);
    }
}
