//! What a provider sends: streamed, whole, or as an error.

use std::time::{Duration, SystemTime};

use crate::dialects::{About, DIALECTS};
use crate::domain::chat::{ChatEvent, Wire};
use crate::domain::sse::{SseFrame, SseSplitter};
use crate::providers::{Adapter, adapter};
use bytes::{Bytes, BytesMut};
use serde_json::Value;

/// One input as all that it could be. Nothing panics, and whatever was understood can be said to every client.
pub fn read(kind: &str, input: &[u8]) {
    let adapter = adapter(kind).expect("targets name kinds that exist");
    streamed(adapter, input);
    whole(adapter, input);
    failed(adapter, input);
}

fn streamed(adapter: &dyn Adapter, input: &[u8]) {
    let (mut splitter, mut decoder) = (SseSplitter::default(), adapter.decoder());
    let (mut frames, mut events) = (Vec::new(), Vec::new());
    let _ = splitter.push(input, &mut frames);
    for frame in &frames {
        if decoder.push(frame, &mut events).is_err() {
            break;
        }
    }
    for dialect in DIALECTS {
        let (mut encoder, mut out, mut usage) = (dialect.encoder(&about()), BytesMut::new(), None);
        for event in &events {
            encoder.push(event, &mut out);
            if let ChatEvent::Usage(total) = event {
                usage = Some(*total);
            }
        }
        if events.iter().any(|event| matches!(event, ChatEvent::Finish(_))) {
            encoder.finish(usage.as_ref(), &mut out);
        }
        if dialect.stream_head().content_type.starts_with("text/event-stream") {
            are_frames(&out);
        }
    }
}

fn whole(adapter: &dyn Adapter, input: &[u8]) {
    let inspected = adapter.inspect(input);
    let Ok(reply) = adapter.decode(input) else { return };
    let inspected = inspected.expect("what can be translated can be inspected");
    assert_eq!(inspected.usage, reply.usage, "one answer, two bills");
    for dialect in DIALECTS {
        let body = dialect.encode(&reply, &about());
        assert!(std::str::from_utf8(&body).is_ok(), "{body:?}");
        // Chat pages read a stream, whatever upstream sent.
        if dialect.wire() != Wire::AiSdk {
            assert!(serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.is_object()), "{body:?}");
        }
    }
}

/// The first byte chooses the status; headers hold the first line of the input.
fn failed(adapter: &dyn Adapter, input: &[u8]) {
    let status = 400 + u16::from(input.first().copied().unwrap_or_default());
    let line = input.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let header = std::str::from_utf8(line).ok().filter(|line| line.len() <= 64);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_500_000);
    let parts = adapter.failure(status, &|_| header.map(str::to_owned), input, now);
    assert!(parts.message.len() <= 2_048, "a message of {} bytes", parts.message.len());
    assert!(parts.retry_after.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0), "{:?}", parts.retry_after);
}

fn about() -> About {
    About {
        id: "chatcmpl-fuzz".into(),
        created_s: 1_795_500_000,
        model: "asked/model".into(),
        include_usage: true,
        request: Bytes::from_static(br#"{"metadata":{"k":"v"},"temperature":0.5}"#),
        now_s: || 1_795_500_003,
    }
}

/// Whole frames, each a JSON object or the end marker.
fn are_frames(bytes: &[u8]) {
    let (mut splitter, mut frames) = (SseSplitter::default(), Vec::<SseFrame>::new());
    splitter.push(bytes, &mut frames).expect("we write within our own caps");
    assert!(splitter.remainder().is_empty(), "half a frame");
    for frame in &frames {
        let data = frame.fields().data.expect("every frame has data");
        let is_object = serde_json::from_slice::<Value>(&data).is_ok_and(|value| value.is_object());
        assert!(is_object || &*data == b"[DONE]", "{:?}", String::from_utf8_lossy(&data));
    }
}
