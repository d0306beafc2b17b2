//! Answers as event streams.

use std::num::NonZeroUsize;

use serde_json::{Value, json};

use headgate::simulator::{Fault, Finish, Framing, InBandError, Step};

use super::{
    TIERS, events, gateway, gateway_with, output_text, rules, said, streamed, types, weather, whole, with_tools,
};

const DELTA: &str = "response.output_text.delta";

#[tokio::test]
async fn every_providers_stream_obeys_the_rules_and_says_what_the_model_said() {
    let gw = gateway().await;
    for (at, tier) in TIERS.iter().enumerate() {
        gw.mock.reset();
        // Mistral says its usage unasked, with the finish.
        let framing = Framing { usage_on_finish: *tier == "mistral", ..Framing::default() };
        let bytes_per_write = NonZeroUsize::new(5);
        gw.mock.script("first", vec![Step { framing, bytes_per_write, ..Step::text("Grüße from afar 😀") }]);
        let body = whole(&gw, &streamed(tier)).await;
        for chunk in &body.chunks {
            let text = std::str::from_utf8(chunk).expect("a chunk holds whole characters");
            assert!(
                text.ends_with("\n\n") && (text.starts_with("event: ") || text.starts_with(": ")),
                "{tier}: {text:?}"
            );
        }
        let frames = body.frames();
        let [.., cost, _] = frames.as_slice() else { panic!("{tier}: {frames:?}") };
        assert!(cost.starts_with(": headgate cost_usd=0.0"), "{tier}: {frames:?}");
        let events = events(&frames);
        rules::events(&events);
        assert_eq!(said(&events, DELTA), "Grüße from afar 😀", "{tier}");
        let response = &events.last().expect("events")["response"];
        assert_eq!(output_text(response), "Grüße from afar 😀", "{tier}");
        let counts = gw.mock.model_counts("first");
        assert_eq!(response["usage"]["output_tokens"], counts.output_tokens, "{tier}");
        assert_eq!(gw.finished(at + 1).await["cost_nano"], counts.input_tokens * 1_000 + counts.output_tokens * 10_000);
    }
}

#[tokio::test]
async fn streamed_calls_become_items_whose_arguments_add_up() {
    let gw = gateway().await;
    for tier in TIERS {
        let calls = vec![weather("callnr001", "Paris"), weather("callnr002", "Zürich")];
        gw.mock.script("first", vec![Step { tool_calls: calls, ..Step::text("Let me look.") }]);
        let events = events(&whole(&gw, &with_tools(streamed(tier))).await.frames());
        rules::events(&events);
        let response = &events.last().expect("events")["response"];
        let arguments: Vec<Value> = response["output"].as_array().expect("items")[1..]
            .iter()
            .map(|item| serde_json::from_str(item["arguments"].as_str().expect("a text")).expect("JSON"))
            .collect();
        assert_eq!(arguments, [json!({ "city": "Paris" }), json!({ "city": "Zürich" })], "{tier}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_part_of_its_own() {
    for tier in ["passed", "openai"] {
        let gw = gateway().await;
        gw.mock.script("first", vec![Step { finish: Some(Finish::Refusal), ..Step::text("I can't do that") }]);
        let events = events(&whole(&gw, &streamed(tier)).await.frames());
        rules::events(&events);
        assert_eq!(said(&events, "response.refusal.delta"), "I can't do that", "{tier}");
        assert_eq!(events.last().expect("events")["response"]["output"][0]["content"][0]["type"], "refusal", "{tier}");
    }
}

#[tokio::test]
async fn a_fallback_before_the_first_content_is_not_seen() {
    for fault in [Fault::InBandError(InBandError::default()), Fault::EmptyStream, Fault::Cut { after: 0 }] {
        let gw = gateway().await;
        gw.mock.script("second", vec![Step::text("the second one")]);
        for (at, tier) in TIERS.iter().enumerate() {
            gw.mock.script("first", vec![Step::fault(fault.clone())]);
            let events = events(&whole(&gw, &streamed(&format!("{tier}-switching"))).await.frames());
            rules::events(&events);
            assert_eq!(said(&events, DELTA), "the second one", "{tier} {fault:?}");
            assert_eq!(gw.finished(at + 1).await["attempts"].as_array().map(Vec::len), Some(2), "{tier} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_uses_up_its_hold_ends_as_a_reached_cap_with_its_item_closed() {
    let gw = gateway().await;
    for (at, tier) in TIERS.iter().enumerate() {
        gw.mock
            .script("first", vec![Step { ignore_max_tokens: true, words: Some(60_000), ..Step::text("a-long-word") }]);
        let events = events(&whole(&gw, &streamed(tier)).await.frames());
        assert_eq!(gw.finished(at + 1).await["outcome"], "cut_at_hold", "{tier}");
        rules::events(&events);
        let response = &events.last().expect("events")["response"];
        assert_eq!(response["incomplete_details"]["reason"], "max_output_tokens", "{tier}");
        assert_eq!(output_text(response), said(&events, DELTA), "{tier}");
    }
}

#[tokio::test]
async fn comments_keep_a_waiting_client_attached() {
    for tier in ["passed", "anthropic"] {
        let gw = gateway_with(|config| config["timeouts"] = json!({ "head_hold": "20ms", "keep_alive": "20ms" })).await;
        gw.mock.script("first", vec![Step { latency_ms: 200, ..Step::text("at last") }]);
        let frames = whole(&gw, &streamed(tier)).await.frames();
        assert_eq!(frames[0], ": keep-alive", "{tier}");
        rules::events(&events(&frames));
        assert!(types(&events(&frames)).contains(&"response.completed"), "{tier}");
    }
}
