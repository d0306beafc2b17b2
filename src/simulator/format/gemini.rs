//! Gemini's generateContent. The model and the way to answer are in the path; a stream is made of whole answers and has
//! no end marker; waits are told in the body.

use serde_json::{Value, json};

use super::{Call, Event, Format};
use crate::simulator::answer::{Piece, Usage, believable};
use crate::simulator::ask::Ask;
use crate::simulator::errors::error_row;
use crate::simulator::request::Request;
use crate::simulator::script::{ErrorWords, Finish, InBandError, RetryAfter};

pub(in crate::simulator) struct Gemini;

const PLAIN: &str = ":generateContent";
const STREAMED: &str = ":streamGenerateContent";

impl Gemini {
    pub(in crate::simulator) fn is_path(path: &str) -> bool {
        path.ends_with(PLAIN) || path.ends_with(STREAMED)
    }
}

impl Format for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn request_id_header(&self) -> &'static str {
        "x-request-id"
    }

    fn requires_max_tokens(&self) -> bool {
        false
    }

    fn ask<'a>(&self, request: &'a Request) -> Result<Ask<'a>, String> {
        let path = request.head.path.as_str();
        let (model, stream) = match (path.strip_suffix(PLAIN), path.strip_suffix(STREAMED)) {
            (Some(model), _) => (model, false),
            (None, Some(_)) if !request.head.query.split('&').any(|pair| pair == "alt=sse") => {
                return Err("this mock streams events only; ask with ?alt=sse".to_owned());
            }
            (None, model) => (model.unwrap_or_default(), true),
        };
        Ask::of_gemini(model.rsplit('/').next().unwrap_or_default(), stream, &request.body)
    }

    fn error(&self, status: u16, words: &ErrorWords, _: &str) -> Value {
        let row = error_row(status);
        let mut error = json!({
            "code": status,
            "message": words.message.as_deref().unwrap_or(row.message),
            "status": words.kind.as_deref().unwrap_or(row.gemini_status),
        });
        if let Some(reason) = &words.code {
            add_detail(&mut error, detail("ErrorInfo", "reason", reason.clone()));
        }
        json!({ "error": error })
    }

    fn tells_wait(&self, body: &mut Value, wait: &RetryAfter) -> bool {
        let seconds = match wait {
            RetryAfter::Seconds(seconds) | RetryAfter::HttpDate(seconds) => format!("{seconds}s"),
            RetryAfter::Ms(ms) => format!("{}s", *ms as f64 / 1e3),
            RetryAfter::Raw(raw) => raw.clone(),
        };
        add_detail(&mut body["error"], detail("RetryInfo", "retryDelay", seconds.into()));
        true
    }

    fn plain(&self, call: &Call<'_>) -> Value {
        let text = (!call.answer.text.is_empty()).then(|| json!({ "text": call.answer.text }));
        let calls = (0..call.answer.tools.len()).map(|index| called(call, index));
        let parts: Vec<Value> = text.into_iter().chain(calls).collect();
        answer(call, parts.into(), Some(finish_reason(&call.answer.finish)))
    }

    fn opening(&self, _: &Call<'_>) -> Vec<Event> {
        Vec::new()
    }

    fn content(&self, call: &Call<'_>, piece: &Piece<'_>) -> Vec<Event> {
        let part = match piece {
            Piece::Text(text) => json!({ "text": text }),
            Piece::ToolOpen { index, .. } => called(call, *index),
            // Calls come whole.
            Piece::ToolArguments { .. } => return Vec::new(),
        };
        vec![Event::data(&answer(call, json!([part]), None))]
    }

    fn finish(&self, call: &Call<'_>) -> Vec<Event> {
        vec![Event::data(&answer(call, json!([{ "text": "" }]), Some(finish_reason(&call.answer.finish))))]
    }

    fn done(&self) -> Option<Event> {
        None
    }

    fn keep_alive(&self) -> &'static str {
        ": keep-alive\n\n"
    }

    fn malformed(&self) -> Event {
        Event { name: None, data: r#"{"candidates":[{"content":{"parts":[{"text":"#.to_owned() }
    }

    fn in_band_error(&self, _: &Call<'_>, error: &InBandError, request_id: &str) -> Event {
        Event::data(&self.error(503, &error.error, request_id))
    }

    fn billed_input(&self, usage: &Usage) -> Option<u64> {
        believable(&usage.input)
    }
}

/// One answer, or one frame. The output is counted in the last one only; counts of zero are left out, as by the real one.
fn answer(call: &Call<'_>, parts: Value, finish: Option<Value>) -> Value {
    let mut candidate = json!({ "content": { "parts": parts, "role": "model" }, "index": 0 });
    let mut metadata = call.usage.as_ref().map(|usage| json!({ "promptTokenCount": usage.input }));
    if let Some(finish) = finish {
        candidate["finishReason"] = finish;
        if let (Some(metadata), Some(usage)) = (&mut metadata, &call.usage) {
            metadata["candidatesTokenCount"] = usage.output.clone();
            metadata["cachedContentTokenCount"] = usage.cache_read.clone();
            if let (Some(input), Some(output)) = (usage.input.as_u64(), usage.output.as_u64()) {
                metadata["totalTokenCount"] = input.saturating_add(output).into();
            }
        }
    }
    let mut answer = json!({ "candidates": [candidate] });
    if let Some(metadata) = metadata {
        answer["usageMetadata"] = metadata;
    }
    answer["modelVersion"] = call.model.into();
    answer["responseId"] = format!("mock{}", call.number).into();
    answer
}

/// A call has an id only where the script gives it one.
fn called(call: &Call<'_>, index: usize) -> Value {
    let Some(tool) = call.answer.tools.get(index) else { return Value::Null };
    // Arguments that the cap cut are no JSON any more; the provider then answers with none.
    let args: Value = serde_json::from_str(&tool.arguments).unwrap_or_else(|_| json!({}));
    let mut called = json!({ "name": tool.name, "args": args });
    if let Some(id) = &tool.id {
        called["id"] = id.as_str().into();
    }
    json!({ "functionCall": called })
}

fn finish_reason(finish: &Finish) -> Value {
    match finish {
        Finish::Stop | Finish::ToolCalls => "STOP".into(),
        Finish::Length => "MAX_TOKENS".into(),
        Finish::ContentFilter | Finish::Refusal => "SAFETY".into(),
        Finish::Other(word) => word.as_str().into(),
    }
}

fn detail(kind: &str, name: &str, value: Value) -> Value {
    json!({ "@type": format!("type.googleapis.com/google.rpc.{kind}"), name: value })
}

fn add_detail(error: &mut Value, detail: Value) {
    match error.get_mut("details").and_then(Value::as_array_mut) {
        Some(details) => details.push(detail),
        None => error["details"] = json!([detail]),
    }
}
