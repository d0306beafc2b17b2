//! The two commits: the head is held until there is content, an error, or `timeouts.head_hold`; another target may
//! answer until there is content.

use serde_json::json;

use headgate::simulator::{Fault, Step};

use crate::support::wire::{Piece, Wire, data, said};
use crate::support::{TestGateway, streamed};

/// Signs of life after 50 ms and then every 30 ms; `headers` is how long a provider may be silent.
async fn impatient(headers: &str) -> TestGateway {
    TestGateway::with(|config| {
        config["timeouts"] = json!({ "head_hold": "50ms", "keep_alive": "30ms", "headers": headers });
    })
    .await
}

#[tokio::test]
async fn there_is_no_head_before_the_first_content() {
    // The role frame has come when the provider breaks off: a head that was out could only say 200.
    for fault in [Fault::Reset { after: 0 }, Fault::CleanEnd { after: 0 }, Fault::InBandError(Default::default())] {
        let gw = TestGateway::with(|config| config["retry"] = json!({ "attempts": 1 })).await;
        gw.mock.script("first", vec![Step::fault(fault.clone())]);
        let mut wire = Wire::chat(&gw, &streamed("single"), &[]).await;
        assert_eq!(wire.head().await.status, 502, "{fault:?}");
    }
}

#[tokio::test]
async fn the_head_goes_out_with_the_first_content_and_not_only_at_the_end() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![Step { fault: Some(Fault::Stall { after: 1 }), ..Step::text("one two three") }]);
    let mut wire = Wire::chat(&gw, &streamed("single"), &[]).await;
    assert_eq!(wire.head().await.status, 200);
    let text = wire.until(|text| text.contains("one")).await;
    assert!(text.contains("\"role\":\"assistant\""), "{text}");
    assert_eq!(gw.mock.model_counts("first").open_calls, 1, "the provider is still at it");
}

#[tokio::test]
async fn a_held_head_goes_out_in_time_and_comments_follow_until_there_is_content() {
    let gw = impatient("30s").await;
    gw.mock.script("first", vec![Step { latency_ms: 1_500, ..Step::text("late but whole") }]);
    let mut wire = Wire::chat(&gw, &streamed("single"), &[]).await;
    assert_eq!(wire.head().await.status, 200);
    assert_eq!(gw.mock.model_counts("first").answered, 0, "the head did not wait for the provider");
    let frames = wire.rest().await.frames();
    let comments = frames.iter().take_while(|frame| frame.starts_with(':')).count();
    assert!(comments >= 2, "{frames:?}");
    assert_eq!(said(&data(&frames)), "late but whole");
    assert_eq!(frames.last().expect("frames"), "data: [DONE]");
}

#[tokio::test]
async fn comments_fill_the_gaps_between_events() {
    let gw = impatient("30s").await;
    gw.mock.script("first", vec![Step { gap_ms: 300, ..Step::text("one two") }]);
    let mut wire = Wire::chat(&gw, &streamed("single"), &[]).await;
    wire.head().await;
    let frames = wire.rest().await.frames();
    let place = |word: &str| frames.iter().position(|frame| frame.contains(word)).expect("the word");
    let between = &frames[place("one") + 1..place("two")];
    assert!(!between.is_empty() && between.iter().all(|frame| frame.starts_with(':')), "{frames:?}");
}

#[tokio::test]
async fn role_frames_of_a_failed_target_never_reach_the_client() {
    let gw = TestGateway::with(|config| {
        config["tiers"]["standard"]["fallback"] = json!("openai/second");
    })
    .await;
    gw.mock.script("first", vec![Step::fault(Fault::Reset { after: 0 })]);
    gw.mock.script("second", vec![Step::text("from the second")]);
    let mut wire = Wire::chat(&gw, &streamed("standard"), &[]).await;
    let head = wire.head().await;
    assert_eq!((head.status, head.header("x-headgate-attempts")), (200, "2"));
    assert_eq!(head.header("x-headgate-model"), "openai/second");
    let body = wire.rest().await;
    let chunks = data(&body.frames());
    assert!(body.whole && chunks.iter().all(|chunk| chunk["model"] == "second"), "{}", body.text());
    let roles = chunks.iter().filter(|chunk| chunk["choices"][0]["delta"]["role"].is_string()).count();
    assert_eq!((roles, said(&chunks).as_str()), (1, "from the second"));
}

#[tokio::test]
async fn another_target_may_still_answer_when_the_head_is_out_and_content_is_not() {
    let gw = impatient("2s").await;
    gw.mock.script("first", vec![Step::fault(Fault::HangBeforeHead)]);
    gw.mock.script("second", vec![Step::text("from the second")]);
    let mut wire = Wire::chat(&gw, &streamed("standard"), &[]).await;
    assert_eq!(wire.head().await.status, 200);
    let Piece::Chunk(first) = wire.piece().await else { panic!("no comment came") };
    assert!(first.starts_with(b":"), "{}", String::from_utf8_lossy(&first));
    let body = wire.rest().await;
    assert!(body.whole);
    assert_eq!(said(&data(&body.frames())), "from the second");
}

#[tokio::test]
async fn when_every_target_failed_behind_a_head_the_error_is_told_in_band() {
    let gw = impatient("2s").await;
    gw.mock.script("first", vec![Step::fault(Fault::HangBeforeHead)]);
    let body = {
        let mut wire = Wire::chat(&gw, &streamed("single"), &[("x-stainless-retry-count", "1")]).await;
        assert_eq!(wire.head().await.status, 200);
        wire.rest().await
    };
    assert!(!body.whole, "an abnormal end");
    let frames = body.frames();
    assert!(frames[..frames.len() - 1].iter().all(|frame| frame.starts_with(':')), "{frames:?}");
    assert!(frames[frames.len() - 1].starts_with("event: error\ndata: {\"error\":"), "{frames:?}");
    assert!(frames[frames.len() - 1].contains("upstream_timeout"), "{frames:?}");
}
