//! What a file of a recorded answer holds: one body, or the frames of a stream.

use bytes::Bytes;
use serde_json::Value;

use crate::domain::sse::{SseCaps, SseFrame, SseSplitter};

pub(super) enum Recording {
    Whole(Bytes),
    Stream(Vec<SseFrame>),
}

impl Recording {
    /// Errors: neither JSON nor a stream.
    pub(super) fn read(bytes: &[u8]) -> Result<Recording, String> {
        let bytes = bytes.trim_ascii();
        match serde_json::from_slice::<Value>(bytes) {
            Ok(value) if is_step(&value) => Ok(Recording::Stream(vec![frame(bytes)])),
            // A stream that was not asked for as events comes as a list of its steps.
            Ok(Value::Array(steps)) if steps.iter().all(|step| step.get("error").is_none()) => {
                Ok(Recording::Stream(steps.iter().map(|step| frame(step.to_string().as_bytes())).collect()))
            }
            Ok(Value::Object(_) | Value::Array(_)) => Ok(Recording::Whole(Bytes::copy_from_slice(bytes))),
            Ok(_) | Err(_) => stream(bytes).map(Recording::Stream),
        }
    }

    /// The JSON values in it, in order.
    pub(super) fn values(&self) -> Vec<Value> {
        match self {
            Recording::Whole(body) => serde_json::from_slice(body).into_iter().collect(),
            Recording::Stream(frames) => {
                let data = |frame: &SseFrame| serde_json::from_slice(frame.fields().data.as_deref()?).ok();
                frames.iter().filter_map(data).collect()
            }
        }
    }
}

/// A stream of one step looks like a whole body, and says in its own words that it is none.
fn is_step(value: &Value) -> bool {
    let kind = value["type"].as_str().unwrap_or_default();
    value["object"] == "chat.completion.chunk"
        || kind.starts_with("response.")
        || matches!(kind, "message_start" | "message_delta" | "message_stop" | "ping")
        || kind.starts_with("content_block_")
}

fn stream(bytes: &[u8]) -> Result<Vec<SseFrame>, String> {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_payload = first.starts_with(b"{") || first.starts_with(b"[");
    if is_payload {
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        return Ok(lines.map(frame).collect());
    }
    if ![&b"data:"[..], b"event:", b"id:", b"retry:", b":"].iter().any(|field| first.starts_with(field)) {
        return Err("it is neither JSON nor a recorded stream".into());
    }
    let caps = SseCaps { frame_bytes: usize::MAX, lines: usize::MAX };
    let (mut splitter, mut frames) = (SseSplitter::new(caps), Vec::new());
    // Editors take the blank line off that ends the last frame.
    for part in [bytes, b"\n\n"] {
        splitter.push(part, &mut frames).map_err(|e| e.to_string())?;
    }
    Ok(frames)
}

/// One payload as a frame. Where events have names, the payload's `type` is the name.
fn frame(payload: &[u8]) -> SseFrame {
    let mut raw = Vec::with_capacity(payload.len() + 64);
    if let Ok(value) = serde_json::from_slice::<Value>(payload)
        && let Some(name) = value["type"].as_str().filter(|name| !name.contains(['\r', '\n']))
    {
        raw.extend_from_slice(format!("event: {name}\n").as_bytes());
    }
    raw.extend_from_slice(b"data: ");
    raw.extend_from_slice(payload);
    raw.extend_from_slice(b"\n\n");
    SseFrame { raw: raw.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(file: &str) -> Option<Vec<String>> {
        match Recording::read(file.as_bytes()).expect("a recording") {
            Recording::Whole(_) => None,
            Recording::Stream(frames) => {
                Some(frames.iter().map(|frame| String::from_utf8_lossy(&frame.raw).into_owned()).collect())
            }
        }
    }

    #[test]
    fn payloads_in_lines_a_list_and_raw_events_are_streams_and_one_body_is_none() {
        assert_eq!(frames(" {\"choices\":[]}\n"), None);
        assert_eq!(frames("{\"error\":\"no\"}"), None);
        assert_eq!(frames("[{\"error\":{}}]"), None);
        let named = ["event: ping\ndata: {\"type\":\"ping\"}\n\n", "data: [DONE]\n\n"].map(str::to_owned);
        assert_eq!(frames("{\"type\":\"ping\"}\r\n\n[DONE]\n"), Some(named.to_vec()));
        assert_eq!(frames("{\"type\":\"ping\"}"), Some(named[..1].to_vec()));
        assert_eq!(frames("[{\"a\":1},\n{\"b\":2}]").map(|frames| frames.len()), Some(2));
        let raw = ["event: x\ndata: {}\n\n", ": c\n\n", "data:1\n\n"].map(str::to_owned);
        assert_eq!(frames("event: x\ndata: {}\n\n: c\n\ndata:1"), Some(raw.to_vec()));
    }

    #[test]
    fn other_files_are_refused() {
        for file in ["", "<html>", "12", "hello\n{}"] {
            assert!(Recording::read(file.as_bytes()).is_err(), "{file}");
        }
    }
}
