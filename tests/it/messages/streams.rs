//! Answers as events.

use std::num::NonZeroUsize;

use serde_json::{Value, json};

use headgate::simulator::{Fault, Framing, InBandError, Step};

use super::{events, gateway, named, said, streamed, tools, weather, wire};
use crate::support::wire::{Body, Wire};
use crate::support::{TestGateway, mock};

async fn whole(gw: &TestGateway, body: &Value) -> Body {
    let mut wire = wire(gw, body, &[]).await;
    let head = wire.head().await;
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream; charset=utf-8"));
    assert_eq!(head.header("request-id"), head.header("x-request-id"));
    let body = wire.rest().await;
    assert!(body.whole);
    body
}

/// What `step` writes when it is asked exactly what the gateway asked it: by another mock, whose numbers start anew.
async fn sent_by_the_provider(gw: &TestGateway, step: Step) -> String {
    let asked = gw.mock.requests("first").pop().expect("a call").body;
    let other = mock().await;
    other.script("first", vec![step]);
    let mut wire = Wire::connect(other.addr()).await;
    wire.ask("/v1/messages", &asked, &[]).await;
    assert_eq!(wire.head().await.status, 200);
    wire.rest().await.text()
}

#[tokio::test]
async fn every_byte_of_the_providers_frames_reaches_the_client_but_for_the_cost_before_the_end() {
    for (crlf, bytes_per_write) in [(false, None), (true, None), (false, NonZeroUsize::new(7))] {
        let gw = gateway().await;
        let step = Step {
            tool_calls: vec![weather("toolu_1", "Zürich")],
            framing: Framing { crlf, ..Framing::default() },
            bytes_per_write,
            ..Step::text("Grüße 😀 from \"the\" mock")
        };
        gw.mock.script("first", vec![step.clone()]);
        let text = whole(&gw, &streamed("claude")).await.text();
        let expected = sent_by_the_provider(&gw, step).await;
        assert!(expected.contains("message_stop") && expected.contains("ping"), "{expected}");
        let start = text.find(": headgate cost_usd=").expect("a cost");
        let end = start + text[start..].find("\n\n").expect("an end") + 2;
        assert_eq!([&text[..start], &text[end..]].concat(), expected);
        assert!(text[end..].starts_with("event: message_stop"), "{text}");
        let counts = gw.mock.model_counts("first");
        assert_eq!(gw.finished(1).await["cost_nano"], counts.input_tokens * 1_000 + counts.output_tokens * 10_000);
    }
}

#[tokio::test]
async fn chat_completion_chunks_become_the_events_of_a_message() {
    let gw = gateway().await;
    gw.mock.script("first", vec![Step { bytes_per_write: NonZeroUsize::new(3), ..Step::text("Grüße from GPT 😀") }]);
    let body = whole(&gw, &streamed("gpt")).await;
    for chunk in &body.chunks {
        let text = std::str::from_utf8(chunk).expect("a chunk holds whole characters");
        assert!(text.ends_with("\n\n") && (text.starts_with("event: ") || text.starts_with(": ")), "{text:?}");
    }
    let frames = body.frames();
    assert!(frames[frames.len() - 3].starts_with(": headgate cost_usd=0.0"), "{frames:?}");
    let events = events(&frames);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..3], ["message_start", "content_block_start", "content_block_delta"]);
    assert_eq!(names[names.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
    assert!(events.iter().all(|(name, data)| data["type"] == name.as_str()), "{events:?}");
    assert_eq!(said(&events, "text"), "Grüße from GPT 😀");
    assert_eq!(events[0].1["message"]["model"], "first");
    let last = named(&events, "message_delta")[0];
    let counts = gw.mock.model_counts("first");
    assert_eq!(last["delta"]["stop_reason"], "end_turn");
    assert_eq!(last["usage"]["input_tokens"], counts.input_tokens);
    assert_eq!(last["usage"]["output_tokens"], counts.output_tokens);
}

#[tokio::test]
async fn streamed_calls_of_another_format_become_blocks_whose_fragments_add_up() {
    let gw = gateway().await;
    let calls = vec![weather("call_1", "Paris"), weather("call_2", "Zürich")];
    gw.mock.script("first", vec![Step { tool_calls: calls, ..Step::text("Let me look.") }]);
    let mut body = streamed("gpt");
    body["tools"] = tools();
    let events = events(&whole(&gw, &body).await.frames());
    let starts: Vec<_> = named(&events, "content_block_start")
        .iter()
        .map(|data| (data["index"].clone(), data["content_block"]["type"].clone(), data["content_block"]["id"].clone()))
        .collect();
    let expected = [(0, "text", Value::Null), (1, "tool_use", json!("call_1")), (2, "tool_use", json!("call_2"))];
    assert_eq!(starts, expected.map(|(index, kind, id)| (json!(index), json!(kind), id)));
    for (block, city) in [(1, "Paris"), (2, "Zürich")] {
        let mine = events.iter().filter(|(_, data)| data["index"] == block).cloned().collect::<Vec<_>>();
        let input: Value = serde_json::from_str(&said(&mine, "partial_json")).expect("whole arguments");
        assert_eq!(input, json!({ "city": city, "days": [1, 2] }));
    }
    assert_eq!(named(&events, "content_block_stop").len(), 3);
    assert_eq!(named(&events, "message_delta")[0]["delta"]["stop_reason"], "tool_use");
}

#[tokio::test]
async fn a_fallback_before_the_first_content_is_not_seen() {
    for tier in ["claude", "gpt"] {
        for fault in [Fault::InBandError(InBandError::default()), Fault::EmptyStream, Fault::Cut { after: 0 }] {
            let gw = gateway().await;
            gw.mock.script("first", vec![Step::fault(fault.clone())]);
            gw.mock.script("second", vec![Step::text("the second one")]);
            let events = events(&whole(&gw, &streamed(tier)).await.frames());
            assert_eq!(said(&events, "text"), "the second one", "{tier} {fault:?}");
            for name in ["message_start", "message_delta", "message_stop"] {
                assert_eq!(named(&events, name).len(), 1, "{tier} {fault:?}: {events:?}");
            }
            assert_eq!(gw.finished(1).await["attempts"].as_array().map(Vec::len), Some(2));
        }
    }
}

#[tokio::test]
async fn an_end_marker_that_the_provider_forgot_is_written() {
    for tier in ["claude-alone", "gpt-alone"] {
        let gw = gateway().await;
        gw.mock.script("first", vec![Step::fault(Fault::FinishWithoutDone)]);
        let events = events(&whole(&gw, &streamed(tier)).await.frames());
        assert_eq!(events.last().map(|(name, _)| name.as_str()), Some("message_stop"), "{tier}");
        assert_eq!(named(&events, "message_delta").len(), 1, "{tier}: {events:?}");
    }
}

#[tokio::test]
async fn a_stream_that_uses_up_its_hold_ends_as_a_reached_cap_with_its_block_closed() {
    for tier in ["claude-alone", "gpt-alone"] {
        let gw = gateway().await;
        gw.mock
            .script("first", vec![Step { ignore_max_tokens: true, words: Some(60_000), ..Step::text("a-long-word") }]);
        let events = events(&whole(&gw, &streamed(tier)).await.frames());
        assert_eq!(gw.finished(1).await["outcome"], "cut_at_hold", "{tier}");
        for (name, times) in
            [("message_start", 1), ("content_block_start", 1), ("content_block_stop", 1), ("message_stop", 1)]
        {
            assert_eq!(named(&events, name).len(), times, "{tier}: {name}");
        }
        assert_eq!(named(&events, "message_delta")[0]["delta"]["stop_reason"], "max_tokens", "{tier}");
    }
}

#[tokio::test]
async fn pings_keep_a_waiting_client_attached() {
    for tier in ["claude-alone", "gpt-alone"] {
        let gw = TestGateway::with(|config| {
            config["timeouts"] = json!({ "head_hold": "20ms", "keep_alive": "20ms" });
            config["tiers"]["claude-alone"] = json!({ "primary": "anthropic/first", "max_tokens": 1000 });
            config["tiers"]["gpt-alone"] = json!({ "primary": "openai/first", "max_tokens": 1000 });
        })
        .await;
        gw.mock.script("first", vec![Step { latency_ms: 200, ..Step::text("at last") }]);
        let frames = whole(&gw, &streamed(tier)).await.frames();
        assert_eq!(frames[0], "event: ping\ndata: {\"type\":\"ping\"}", "{tier}");
        assert_eq!(said(&events(&frames), "text"), "at last", "{tier}");
    }
}
