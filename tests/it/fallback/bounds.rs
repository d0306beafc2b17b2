//! How many calls one run may make, and that none is made which the hold does not cover.

use serde_json::json;

use headgate::simulator::{Fault, RetryAfter, Step};

use super::refusal;
use crate::support::rest::counted;
use crate::support::{Reply, TestGateway, question, streamed};

#[tokio::test]
async fn attempts_are_bounded_over_retries_and_fallbacks_together() {
    for attempts in 1..=4 {
        let gw = TestGateway::with(|config| {
            counted(config);
            config["retry"] = json!({ "attempts": attempts });
        })
        .await;
        gw.mock.script("first", vec![Step::status(500)]);
        gw.mock.script("second", vec![Step::status(500)]);
        for (runs, body) in [question("standard"), streamed("standard")].iter().enumerate() {
            let reply = gw.chat(body).await;
            assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_failed"), "{attempts}");
            assert_eq!(reply.header("x-headgate-attempts"), attempts.to_string());
            assert_eq!(reply.header("x-should-retry"), "false", "our retries are spent");
            let (first, second) = (gw.mock.model_counts("first").calls, gw.mock.model_counts("second").calls);
            let runs = runs as u64 + 1;
            assert_eq!(first + second, attempts * runs, "{attempts} attempts");
            // Nobody is asked again before everybody was asked once.
            assert!(first >= runs && (attempts == 1 || second >= runs), "{attempts} attempts: {first} and {second}");
        }
        assert_eq!(gw.at_rest().await, 0, "HTTP errors cost nothing");
    }
}

#[tokio::test]
async fn a_limit_that_outlasts_its_wait_is_the_clients_to_wait_for() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![refusal(429, RetryAfter::Ms(10))]);
    for body in [question("single"), streamed("single")] {
        let reply = gw.chat(&body).await;
        assert_eq!((reply.status, reply.header("x-headgate-attempts")), (429, "2"), "{}", reply.message());
        assert_eq!(reply.header("retry-after"), "1");
    }
    assert_eq!(gw.mock.model_counts("first").calls, 4, "an SDK that retries once costs four calls and not six");
}

#[tokio::test]
async fn a_clients_own_retry_calls_no_target_twice() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![Step::status(500)]);
    gw.mock.script("second", vec![Step::status(500)]);
    for (tier, calls) in [("single", (1, 0)), ("standard", (2, 1))] {
        let request = gw.request(&question(tier)).header("x-stainless-retry-count", "1");
        let reply = Reply::of(request.send().await.unwrap()).await;
        assert_eq!(reply.status, 502);
        assert_eq!((gw.mock.model_counts("first").calls, gw.mock.model_counts("second").calls), calls, "{tier}");
    }
    // Its first try is no retry.
    let request = gw.request(&question("single")).header("x-stainless-retry-count", "0");
    assert_eq!(Reply::of(request.send().await.unwrap()).await.header("x-headgate-attempts"), "3");
}

#[tokio::test]
async fn no_further_attempt_is_made_when_the_budget_does_not_cover_it() {
    let hold = {
        let gw = TestGateway::with(counted).await;
        gw.hold_of(&question("standard"), "first").await
    };
    let exactly = format!("0.{hold:09}");
    for body in [question("standard"), streamed("standard")] {
        let budget = |config: &mut serde_json::Value| {
            config["limits"] = json!([{ "scope": "global", "usd": exactly, "per": "day" }]);
        };
        // The broken call may be billed, and the budget is used up by one call at its worst.
        let gw = TestGateway::with(budget).await;
        gw.mock.script("first", vec![Step::fault(Fault::ResetBeforeHead)]);
        let reply = gw.chat(&body).await;
        assert_eq!((reply.status, reply.header("x-headgate-attempts")), (502, "1"), "{}", reply.message());
        assert_eq!((gw.mock.model_counts("first").calls, gw.mock.model_counts("second").calls), (1, 0));
        let settled = gw.at_rest().await;
        assert!(0 < settled && settled <= hold, "{settled} of {hold}");
        // An HTTP error is not billed, so the same budget pays for the fallback.
        let gw = TestGateway::with(budget).await;
        gw.mock.script("first", vec![Step::status(500)]);
        let reply = gw.chat(&body).await;
        assert_eq!((reply.status, reply.header("x-headgate-attempts")), (200, "2"));
    }
}

#[tokio::test]
async fn a_run_of_two_billed_attempts_settles_both_and_never_more_than_was_held() {
    let gw = TestGateway::with(counted).await;
    let hold = gw.hold_of(&question("standard"), "first").await;
    let before = gw.at_rest().await;
    gw.mock.script("first", vec![Step::fault(Fault::ResetBeforeHead)]);
    assert_eq!(gw.ask("standard").await.status, 200);
    let settled = gw.at_rest().await - before;
    let second = gw.mock.model_counts("second");
    assert!(settled > second.input_tokens * 1_000 + second.output_tokens * 10_000, "{settled}");
    assert!(settled <= 2 * hold, "{settled}");
}
