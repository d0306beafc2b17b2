//! Answers as a UI message stream.

use std::num::NonZeroUsize;

use serde_json::{Value, json};

use headgate::simulator::{Fault, InBandError, Step, ToolCall};

use super::{chunks, gateway, of_type, page, said, streamed, tiers, types};
use crate::support::TestGateway;

#[tokio::test]
async fn a_page_gets_a_message_of_one_step_with_its_usage_and_its_price() {
    for tier in ["claude", "gpt"] {
        let gw = gateway().await;
        gw.mock.script("first", vec![Step { bytes_per_write: NonZeroUsize::new(3), ..Step::text("Grüße 😀 to you") }]);
        let (head, body) = streamed(&gw, &page(tier)).await;
        assert_eq!(head.header("content-type"), "text/event-stream; charset=utf-8", "{tier}");
        assert_eq!(head.header("x-vercel-ai-ui-message-stream"), "v1", "{tier}");
        assert_eq!(head.header("x-accel-buffering"), "no", "{tier}");
        let frames = body.frames();
        assert!(body.whole && frames.last().is_some_and(|frame| frame == "data: [DONE]"), "{tier}: {frames:?}");
        let chunks = crate::support::wire::data(&frames);
        let mut order = types(&chunks);
        order.dedup();
        let wanted = ["start", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish"];
        assert_eq!(order, wanted, "{tier}");
        assert_eq!(said(&chunks, "text-delta"), "Grüße 😀 to you", "{tier}");
        assert_eq!(chunks[0]["messageId"].as_str(), Some(head.header("x-headgate-run")), "{tier}");
        let counts = gw.mock.model_counts("first");
        let finish = of_type(&chunks, "finish")[0];
        assert_eq!(finish["finishReason"], "stop", "{tier}");
        let usage = &finish["messageMetadata"]["usage"];
        assert_eq!(
            (&usage["inputTokens"], &usage["outputTokens"]),
            (&json!(counts.input_tokens), &json!(counts.output_tokens))
        );
        let line = gw.finished(1).await;
        let told: f64 = finish["messageMetadata"]["costUsd"].as_str().expect("a price").parse().expect("a number");
        assert_eq!((told * 1e9).round(), line["cost_nano"].as_f64().expect("a price"), "{tier}");
    }
}

#[tokio::test]
async fn a_request_without_a_model_goes_to_the_default_tier() {
    let gw = gateway().await;
    let mut body = page("");
    body.as_object_mut().expect("an object").remove("tier");
    let (head, _) = streamed(&gw, &body).await;
    assert_eq!(head.header("x-headgate-tier"), "standard");
}

#[tokio::test]
async fn a_page_names_its_tier_its_cap_and_whatever_it_likes_beside_them() {
    let gw = gateway().await;
    let mut body = page("claude");
    body["maxOutputTokens"] = json!(77);
    body["system"] = json!("Be brief.");
    body["sessionId"] = json!("an app's own");
    let (head, _) = streamed(&gw, &body).await;
    assert_eq!((head.header("x-headgate-model"), head.header("x-headgate-dropped")), ("anthropic/first", ""));
    let sent: Value = serde_json::from_str(&gw.mock.requests("first")[0].body).expect("JSON");
    assert_eq!(
        (&sent["max_tokens"], &sent["system"], &sent["sessionId"]),
        (&json!(77), &json!("Be brief."), &Value::Null)
    );
}

#[tokio::test]
async fn calls_of_the_pages_own_tools_come_with_whole_arguments() {
    for tier in ["claude", "gpt"] {
        let gw = gateway().await;
        let call = |id: &str, city: &str| ToolCall {
            id: Some(id.into()),
            name: "weather".into(),
            arguments: json!({ "city": city }),
        };
        gw.mock.script(
            "first",
            vec![Step { tool_calls: vec![call("a", "Paris"), call("b", "Zürich")], ..Step::text("Let me look.") }],
        );
        let mut body = page(tier);
        body["tools"] = json!({ "weather": { "description": "Weather", "inputSchema": { "type": "object" } } });
        let chunks = chunks(&gw, &body).await;
        let sent: Value = serde_json::from_str(&gw.mock.requests("first")[0].body).expect("JSON");
        assert!(sent["tools"].to_string().contains(r#""name":"weather""#), "{tier}: {sent}");
        for (id, city) in [("a", "Paris"), ("b", "Zürich")] {
            let started = of_type(&chunks, "tool-input-start").into_iter().find(|chunk| chunk["toolCallId"] == id);
            assert_eq!(started.expect("a start")["toolName"], "weather", "{tier}");
            let deltas = of_type(&chunks, "tool-input-delta").into_iter().filter(|chunk| chunk["toolCallId"] == id);
            let text: String = deltas.filter_map(|chunk| chunk["inputTextDelta"].as_str()).collect();
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), json!({ "city": city }), "{tier}");
            let whole = of_type(&chunks, "tool-input-available").into_iter().find(|chunk| chunk["toolCallId"] == id);
            assert_eq!(whole.expect("the call")["input"], json!({ "city": city }), "{tier}");
        }
        assert_eq!(of_type(&chunks, "finish")[0]["finishReason"], "tool-calls", "{tier}");
    }
}

#[tokio::test]
async fn an_answer_to_a_pages_own_result_goes_on_with_the_message_of_the_call() {
    let gw = gateway().await;
    let mut body = page("gpt");
    let call = json!({ "type": "tool-weather", "toolCallId": "a", "state": "output-available",
                       "input": { "city": "Paris" }, "output": { "c": 21 } });
    let parts = json!([{ "type": "step-start" }, call]);
    body["messages"].as_array_mut().expect("a list").push(json!({ "id": "m-2", "role": "assistant", "parts": parts }));
    let chunks = chunks(&gw, &body).await;
    assert_eq!(chunks[0]["messageId"], "m-2");
    let sent: Value = serde_json::from_str(&gw.mock.requests("first")[0].body).expect("JSON");
    assert_eq!(sent["messages"][1]["tool_calls"][0]["function"]["arguments"], r#"{"city":"Paris"}"#);
    assert_eq!(
        (&sent["messages"][2]["tool_call_id"], &sent["messages"][2]["content"]),
        (&json!("a"), &json!(r#"{"c":21}"#))
    );
}

#[tokio::test]
async fn a_fallback_before_the_first_content_is_not_seen() {
    for fault in [Fault::InBandError(InBandError::default()), Fault::EmptyStream, Fault::Cut { after: 0 }] {
        let gw = gateway().await;
        gw.mock.script("first", vec![Step::fault(fault.clone())]);
        gw.mock.script("second", vec![Step::text("the second one")]);
        let chunks = chunks(&gw, &page("gpt")).await;
        assert_eq!(said(&chunks, "text-delta"), "the second one", "{fault:?}");
        for once in ["start", "start-step", "finish-step", "finish"] {
            assert_eq!(of_type(&chunks, once).len(), 1, "{fault:?}: {chunks:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_uses_up_its_hold_ends_as_a_reached_cap_with_its_part_closed() {
    let gw = gateway().await;
    gw.mock.script("first", vec![Step { ignore_max_tokens: true, words: Some(60_000), ..Step::text("a-long-word") }]);
    let chunks = chunks(&gw, &page("gpt-alone")).await;
    let line = gw.finished(1).await;
    assert_eq!(line["outcome"], "cut_at_hold");
    assert_eq!(types(&chunks[chunks.len() - 3..]), ["text-end", "finish-step", "finish"]);
    let finish = &chunks[chunks.len() - 1];
    assert_eq!(finish["finishReason"], "length");
    let told: f64 = finish["messageMetadata"]["costUsd"].as_str().expect("a price").parse().expect("a number");
    assert_eq!(Some((told * 1e9).round()), line["cost_nano"].as_f64());
}

#[tokio::test]
async fn comments_keep_a_waiting_page_attached() {
    let gw = TestGateway::with(|config| {
        tiers(config);
        config["timeouts"] = json!({ "head_hold": "20ms", "keep_alive": "20ms" });
    })
    .await;
    gw.mock.script("first", vec![Step { latency_ms: 200, ..Step::text("at last") }]);
    let (_, body) = streamed(&gw, &page("gpt-alone")).await;
    assert_eq!(body.frames()[0], ": keep-alive");
    assert_eq!(said(&crate::support::wire::data(&body.frames()), "text-delta"), "at last");
}
