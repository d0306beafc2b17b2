//! Streams that break after content, or before it when the client already has its head.

use serde_json::{Value, json};

use headgate::simulator::{ErrorWords, Fault, InBandError, StatusFault, Step};

use super::{TIERS, events, gateway, gateway_with, rules, said, streamed, types, wire};

#[tokio::test]
async fn a_stream_that_breaks_after_content_fails_by_the_rules_and_ends_abnormally() {
    let in_band = InBandError { after: 2, error: ErrorWords::default(), event_line: true };
    let faults = [
        Fault::Reset { after: 2 },
        Fault::Cut { after: 2 },
        Fault::CleanEnd { after: 2 },
        Fault::InBandError(in_band),
        Fault::MalformedFrame { after: 2 },
    ];
    for fault in &faults {
        let gw = gateway().await;
        for (at, tier) in TIERS.iter().enumerate() {
            gw.mock.script("first", vec![Step { fault: Some(fault.clone()), ..Step::text("one two three four") }]);
            let mut wire = wire(&gw, &streamed(tier)).await;
            assert_eq!(wire.head().await.status, 200, "{tier} {fault:?}");
            let body = wire.rest().await;
            assert!(!body.whole, "{tier} {fault:?}: the body must not end as a whole one does");
            let events = events(&body.frames());
            rules::events(&events);
            assert_eq!(said(&events, "response.output_text.delta").trim(), "one two", "{tier} {fault:?}");
            let [.., error, failed] = events.as_slice() else { panic!("{tier} {fault:?}: {events:?}") };
            assert_eq!(error["type"], "error", "{tier} {fault:?}");
            assert!(error["error"]["message"].is_string() && error["error"]["code"].is_string(), "{tier}: {error}");
            assert_eq!(failed["response"]["error"]["code"], error["error"]["code"], "{tier} {fault:?}");
            assert_eq!(gw.finished(at + 1).await["outcome"], "error", "{tier} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_failure_behind_a_head_that_was_sent_to_keep_the_client_is_a_whole_story() {
    for tier in ["passed", "anthropic"] {
        let gw = gateway_with(|config| config["timeouts"] = json!({ "head_hold": "10ms" })).await;
        let fault = Fault::Status(StatusFault { status: 400, ..StatusFault::default() });
        gw.mock.script("first", vec![Step { latency_ms: 100, ..Step::fault(fault) }]);
        let mut wire = wire(&gw, &streamed(tier)).await;
        assert_eq!(wire.head().await.status, 200, "{tier}");
        let body = wire.rest().await;
        assert!(!body.whole, "{tier}");
        let events = events(&body.frames());
        rules::events(&events);
        assert_eq!(types(&events), ["response.created", "response.in_progress", "error", "response.failed"], "{tier}");
        assert_eq!(events[2]["error"]["code"], "invalid_request", "{tier}");
        assert_eq!(events[3]["response"]["model"], Value::from(tier), "{tier}: no model answered");
    }
}
