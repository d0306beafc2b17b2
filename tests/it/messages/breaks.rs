//! Streams that break after content, and clients that leave.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use headgate::simulator::{ErrorWords, Fault, InBandError, Step};

use super::{events, gateway, named, question, said, streamed, wire};
use crate::support::until;

/// A second is promised; the rest is for a crowded machine.
const NOTICED: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_stream_that_breaks_after_content_says_so_and_ends_abnormally() {
    let in_band = InBandError { after: 2, error: ErrorWords::default(), event_line: true };
    let faults = [
        Fault::Reset { after: 2 },
        Fault::Cut { after: 2 },
        Fault::CleanEnd { after: 2 },
        Fault::DoneWithoutFinish { after: 2 },
        Fault::InBandError(in_band),
        Fault::MalformedFrame { after: 2 },
    ];
    for tier in ["claude", "gpt"] {
        for fault in &faults {
            let gw = gateway().await;
            gw.mock.script("first", vec![Step { fault: Some(fault.clone()), ..Step::text("one two three four") }]);
            let mut wire = wire(&gw, &streamed(tier), &[("x-request-id", "mine-1")]).await;
            assert_eq!(wire.head().await.status, 200, "{tier} {fault:?}");
            let body = wire.rest().await;
            assert!(!body.whole, "{tier} {fault:?}: the body must not end as a whole one does");
            let events = events(&body.frames());
            assert_eq!(said(&events, "text").trim(), "one two", "{tier} {fault:?}: {events:?}");
            assert!(named(&events, "message_stop").is_empty(), "{tier} {fault:?}: {events:?}");
            let (name, error) = events.last().expect("events");
            assert_eq!((name.as_str(), &error["type"]), ("error", &json!("error")), "{tier} {fault:?}");
            let kind = error["error"]["type"].as_str().expect("a type");
            assert!(matches!(kind, "api_error" | "overloaded_error"), "{tier} {fault:?}: {error}");
            assert_eq!(error["request_id"], "mine-1", "{tier} {fault:?}");
            assert_eq!(gw.mock.model_counts("second").calls, 0, "{tier} {fault:?}: nobody else goes on");
            assert_eq!(gw.finished(1).await["outcome"], "error", "{tier} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_providers_call_and_pays_what_was_delivered() {
    for tier in ["claude", "gpt"] {
        for (body, step) in [
            (question(tier), Step::fault(Fault::HangBeforeHead)),
            (streamed(tier), Step { gap_ms: 5, words: Some(100_000), ignore_max_tokens: true, ..Step::text("on") }),
        ] {
            let gw = gateway().await;
            gw.mock.script("first", vec![step]);
            let mut wire = wire(&gw, &body, &[]).await;
            if body["stream"] == Value::Bool(true) {
                assert_eq!(wire.head().await.status, 200, "{tier}");
                wire.until(|text| text.contains("text_delta")).await;
            } else {
                until("the provider has the call", || gw.mock.model_counts("first").open_calls == 1).await;
            }
            let left = Instant::now();
            drop(wire);
            until("the provider is hung up on", || gw.mock.model_counts("first").aborted == 1).await;
            assert!(left.elapsed() < NOTICED, "{tier}: after {:?}", left.elapsed());
            let line = gw.finished(1).await;
            assert_eq!((&line["outcome"], &line["status"]), (&json!("client_gone"), &json!(499)), "{tier}: {line}");
            assert!(line["cost_nano"].as_u64().is_some_and(|cost| cost > 0), "{tier}: {line}");
        }
    }
}
