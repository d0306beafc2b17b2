//! Translations as golden files: one `case.in` and its results per case, whole bodies compared. `case.out` is for a client
//! of OpenAI's chat format, `case.messages` for one of Anthropic's, `case.responses` for one of OpenAI's Responses,
//! `case.ui` and `case.ui4` for chat pages of the AI SDK.
//!
//! What clients read of `failures` is `case.clients`, written by `tests/it/failures.rs` through the door.
//!
//! A new case is a new `.in` file; `UPDATE_GOLDEN=1 cargo test --test golden` writes the results beside it, to be read
//! before they are committed.

mod cases;
mod messages;
mod properties;
mod responses;
mod tokens;
mod ui;

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use headgate::dialects::{About, Dialect, OPENAI_CHAT};
use headgate::domain::chat::ChatEvent;
use headgate::domain::error::GatewayError;
use headgate::domain::sse::{SseFrame, SseSplitter};
use headgate::domain::usage::Usage;
use headgate::providers::{Adapter, Ask, DecodeError, adapter};
use serde_json::{Value, json};

use cases::{each_json, each_stream};

fn about() -> About {
    About {
        id: "chatcmpl-golden".into(),
        created_s: 1_795_500_000,
        model: "asked/model".into(),
        include_usage: true,
        request: Bytes::from_static(br#"{"metadata":{"k":"v"},"temperature":0.5}"#),
        now_s: || 1_795_500_003,
    }
}

fn provider(kind: &str) -> &'static dyn Adapter {
    adapter(kind).expect("the directory is named after a provider kind")
}

#[test]
fn requests_reach_every_provider_with_the_same_meaning() {
    each_json("requests", "out", |kind, body| {
        let ask = Ask { model: "target-model", stream: true, max_tokens: 256, cap_field: "max_completion_tokens" };
        let encoded = OPENAI_CHAT
            .decode(Bytes::from(body.to_string()))
            .and_then(|call| OPENAI_CHAT.chat(&call))
            .and_then(|chat| provider(kind).encode(&chat, &ask));
        match encoded {
            Ok(encoded) => {
                let body: Value = serde_json::from_slice(&encoded.body).expect("JSON");
                json!({ "body": body, "dropped": encoded.dropped })
            }
            Err(GatewayError::InvalidRequest { message, param }) => json!({ "refused": message, "param": param }),
            Err(other) => panic!("unexpected {other:?}"),
        }
    });
}

#[test]
fn answers_reach_the_client_with_the_same_meaning() {
    each_json("answers", "out", |kind, body| match provider(kind).decode(body.to_string().as_bytes()) {
        Ok(reply) => serde_json::from_slice(&OPENAI_CHAT.encode(&reply, &about())).expect("JSON"),
        Err(error) => json!({ "no_answer": error.to_string() }),
    });
}

#[test]
fn streams_reach_the_client_with_the_same_meaning() {
    each_stream("streams", "out", |kind, bytes| encode(OPENAI_CHAT, kind, bytes));
}

/// A recorded stream as `dialect` writes it.
fn encode(dialect: &dyn Dialect, kind: &str, bytes: &[u8]) -> String {
    let events = decode(kind, &[bytes]).expect("the stream can be read");
    let (mut encoder, mut out) = (dialect.encoder(&about()), BytesMut::new());
    let mut usage: Option<Usage> = None;
    for event in &events {
        encoder.push(event, &mut out);
        match event {
            ChatEvent::Usage(total) => usage = Some(*total),
            ChatEvent::Error(error) => out.extend_from_slice(format!("! {error:?}\n\n").as_bytes()),
            _ => {}
        }
    }
    if events.iter().any(|event| matches!(event, ChatEvent::Finish(_))) {
        encoder.finish(usage.as_ref(), &mut out);
    }
    String::from_utf8(out.to_vec()).expect("UTF-8")
}

#[test]
fn a_stream_cut_anywhere_on_its_way_gives_the_same_events() {
    each_stream("streams", "out", |kind, bytes| {
        let whole = decode(kind, &[bytes]).expect("the stream can be read");
        for cut in 0..=bytes.len() {
            assert_eq!(decode(kind, &[&bytes[..cut], &bytes[cut..]]), Ok(whole.clone()), "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode(kind, &single), Ok(whole.clone()), "byte by byte");
        let text = std::str::from_utf8(bytes).expect("UTF-8");
        let other_lines = text.replace("\r\n", "\n").replace('\n', "\r\n").replace("data: ", "data:");
        let single: Vec<&[u8]> = other_lines.as_bytes().chunks(1).collect();
        assert_eq!(decode(kind, &single), Ok(whole), "with other line ends");
        cases::UNCHECKED.to_owned()
    });
}

fn decode(kind: &str, pieces: &[&[u8]]) -> Result<Vec<ChatEvent>, DecodeError> {
    let (mut splitter, mut decoder) = (SseSplitter::default(), provider(kind).decoder());
    let (mut frames, mut events) = (Vec::<SseFrame>::new(), Vec::new());
    for piece in pieces {
        splitter.push(piece, &mut frames).expect("within the caps");
        for frame in frames.drain(..) {
            decoder.push(&frame, &mut events)?;
        }
    }
    Ok(events)
}

#[test]
fn failures_keep_their_facts() {
    each_json("failures", "out", |kind, case| {
        let status = u16::try_from(case["status"].as_u64().expect("a status")).expect("a status");
        let header = |name: &str| case["headers"][name].as_str().map(str::to_owned);
        let body = match &case["body"] {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_500_000);
        let parts = provider(kind).failure(status, &header, body.as_bytes(), now);
        json!({ "code": parts.code, "type": parts.error_type, "param": parts.param, "message": parts.message,
                "retry_after": parts.retry_after })
    });
}
