//! `Retry-After`, waits and breakers: nobody is called before it is due.

use std::time::{Duration, Instant};

use serde_json::json;

use headgate::simulator::{Fault, RetryAfter, Step};

use super::refusal;
use crate::support::rest::counted;
use crate::support::wire::Wire;
use crate::support::{TestGateway, question, streamed, until};

#[tokio::test]
async fn the_only_target_is_called_again_when_it_asked_to_be_and_not_before() {
    for (hint, wait_ms) in
        [(RetryAfter::Seconds(1), 1_000), (RetryAfter::Ms(700), 700), (RetryAfter::HttpDate(2), 1_000)]
    {
        let gw = TestGateway::start().await;
        gw.mock.script("first", vec![refusal(429, hint.clone()), Step::text("now")]);
        let start = Instant::now();
        let reply = gw.ask("single").await;
        let took = start.elapsed();
        assert_eq!((reply.status, reply.text().as_str()), (200, "now"), "{hint:?}");
        assert_eq!(reply.header("x-headgate-attempts"), "2", "{hint:?}");
        assert!(took >= Duration::from_millis(wait_ms), "{hint:?}: called again after {took:?}");
        let line = gw.finished(1).await;
        assert!(line["attempts"][1]["wait_ms"].as_u64().unwrap() >= wait_ms - 50, "{hint:?}: {line}");
    }
}

#[tokio::test]
async fn a_target_that_said_when_is_left_alone_by_every_other_run_until_then() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![refusal(429, RetryAfter::Seconds(4)), Step::text("rested")]);
    let start = Instant::now();
    assert_eq!(gw.ask("standard").await.header("x-headgate-attempts"), "2");
    // Other runs, and clients of the tier that has no other target, keep away from it too.
    for _ in 0..3 {
        let reply = gw.ask("standard").await;
        assert_eq!((reply.header("x-headgate-model"), reply.header("x-headgate-attempts")), ("anthropic/second", "1"));
    }
    assert_eq!(gw.mock.model_counts("first").calls, 1);
    // The next call that must have it waits for it.
    let reply = gw.ask("single").await;
    assert!(start.elapsed() >= Duration::from_secs(4), "called again after {:?}", start.elapsed());
    assert_eq!((reply.text().as_str(), gw.mock.model_counts("first").calls), ("rested", 2));
    assert_eq!(gw.ask("standard").await.header("x-headgate-model"), "openai/first", "it is back");
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_the_clients_to_wait() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![refusal(429, RetryAfter::Seconds(45))]);
    let reply = gw.ask("single").await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "rate_limit_exceeded"));
    assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), ("45", "false"));
    assert_eq!(gw.mock.model_counts("first").calls, 1);
    // Nobody asks it in vain meanwhile.
    let reply = gw.ask("single").await;
    assert_eq!((reply.status, reply.header("x-headgate-attempts")), (503, "0"), "{}", reply.message());
    assert!(reply.header("retry-after").parse::<u64>().unwrap() > 40);
    assert_eq!(gw.mock.model_counts("first").calls, 1);
}

#[tokio::test]
async fn a_client_that_leaves_during_a_wait_ends_it() {
    let gw = TestGateway::with(counted).await;
    gw.mock.script("first", vec![refusal(429, RetryAfter::Seconds(8))]);
    for body in [question("single"), streamed("single")] {
        let (calls, runs) = (gw.mock.model_counts("first").calls, gw.log().len());
        let wire = Wire::chat(&gw, &body, &[]).await;
        until("the run waits", || {
            let run = gw.gateway.hall().metrics();
            run.runs_open.get() == 1 && run.upstream_open.get() == 0 && gw.mock.model_counts("first").answered > 0
        })
        .await;
        let start = Instant::now();
        drop(wire);
        let line = gw.finished(runs + 1).await;
        assert_eq!(line["outcome"], "client_gone", "{line}");
        assert!(start.elapsed() < Duration::from_secs(4), "it waited on for {:?}", start.elapsed());
        assert!(gw.mock.model_counts("first").calls <= calls + 1);
    }
    assert_eq!(gw.at_rest().await, 0, "HTTP errors cost nothing");
}

#[tokio::test]
async fn errors_in_a_row_open_the_breaker_and_one_probe_at_a_time_closes_it() {
    let gw = TestGateway::with(|config| {
        config["breaker"] = json!({ "errors": 3, "open": "1s" });
        config["retry"] = json!({ "attempts": 1, "max_wait": "1ms" });
    })
    .await;
    gw.mock.script("first", vec![Step::status(500)]);
    for _ in 0..3 {
        assert_eq!(gw.ask("single").await.status, 502);
    }
    let reply = gw.ask("single").await;
    assert_eq!((reply.status, reply.header("x-headgate-attempts")), (503, "0"), "open: {}", reply.message());
    assert_eq!(gw.mock.model_counts("first").calls, 3);

    // The probe hangs until it is told otherwise: whoever comes meanwhile is refused.
    gw.mock.script("first", vec![Step { latency_ms: 500, ..Step::text("well again") }, Step::text("and again")]);
    let mut probe = loop {
        let (before, runs) = (gw.mock.model_counts("first").calls, gw.log().len());
        let wire = Wire::chat(&gw, &question("single"), &[]).await;
        until("refused or sent", || gw.mock.model_counts("first").calls > before || gw.log().len() > runs).await;
        if gw.mock.model_counts("first").calls > before {
            break wire;
        }
    };
    for _ in 0..4 {
        assert_eq!(gw.ask("single").await.status, 503, "one probe at a time");
    }
    assert_eq!(gw.mock.model_counts("first").calls, 4);
    assert_eq!(probe.head().await.status, 200);
    assert_eq!(gw.ask("single").await.text(), "and again", "closed");
}

#[tokio::test]
async fn a_breaker_is_not_moved_by_the_callers_own_mistakes_nor_by_limits() {
    let gw = TestGateway::with(|config| {
        config["breaker"] = json!({ "errors": 1, "open": "1h" });
        config["retry"] = json!({ "attempts": 1 });
    })
    .await;
    for step in [Step::status(400), Step::status(422), refusal(429, RetryAfter::Ms(1)), refusal(429, RetryAfter::Ms(1))]
    {
        gw.mock.script("first", vec![step, Step::text("fine")]);
        gw.ask("single").await;
        assert_eq!(gw.ask("single").await.text(), "fine");
    }
    gw.mock.script("first", vec![Step::fault(Fault::ResetBeforeHead)]);
    gw.ask("single").await;
    assert_eq!(gw.ask("single").await.status, 503, "a failure does move it");
}
