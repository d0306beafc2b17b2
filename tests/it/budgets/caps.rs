//! The cap on what one call may cost.

use serde_json::{Value, json};

use super::{CAP_TOKENS, INPUT_NANO, OUTPUT_NANO, ask, call, hold_nano, input_bound, usd};
use crate::support::{TestGateway, question};

async fn capped(nano: u64, over_cap: &str) -> TestGateway {
    TestGateway::with(|config| {
        config["request"] = json!({ "cost_cap_usd": usd(nano), "over_cap": over_cap });
        config["limits"] = json!([{ "scope": "global", "usd": 5, "per": "day" }]);
    })
    .await
}

fn sent_cap(gw: &TestGateway, model: &str) -> u64 {
    let seen = gw.mock.requests(model);
    let body: Value = serde_json::from_str(&seen.last().expect("a call").body).unwrap();
    body["max_tokens"].as_u64().or(body["max_completion_tokens"].as_u64()).expect("a cap")
}

#[tokio::test]
async fn a_call_that_may_cost_more_than_the_cap_is_a_402_that_says_by_how_much() {
    let hold = hold_nano(&ask());
    let gw = capped(hold - 1, "deny").await;
    let reply = call(&gw).await;
    assert_eq!((reply.status, reply.code().as_str()), (402, "cost_cap_exceeded"));
    for nano in [hold, hold - 1] {
        let dollars = usd(nano).as_str().unwrap().trim_end_matches('0').to_owned();
        assert!(reply.message().contains(&format!("${dollars}")), "{dollars} is not in: {}", reply.message());
    }
    assert_eq!(reply.header("x-should-retry"), "false");
    assert_eq!((gw.mock.counts().calls, gw.spent_or_nothing().await), (0, (0, 0)));
    // One token less fits.
    let mut body = ask();
    body["max_tokens"] = json!(CAP_TOKENS - 1);
    assert_eq!(gw.chat(&body).await.status, 200);
}

impl TestGateway {
    /// Like `spent("global")` where nothing may have been counted yet.
    async fn spent_or_nothing(&self) -> (u64, u64) {
        let usage = self.usage().await;
        if usage["limits"].as_array().is_some_and(Vec::is_empty) { (0, 0) } else { self.spent("global").await }
    }
}

#[tokio::test]
async fn a_cap_of_exactly_the_worst_case_lets_the_call_pass() {
    let gw = capped(hold_nano(&ask()), "deny").await;
    let reply = call(&gw).await;
    assert_eq!((reply.status, reply.header("x-headgate-max-tokens")), (200, ""));
}

#[tokio::test]
async fn clamp_lowers_the_output_until_the_call_fits_and_tells() {
    // Room for 300 tokens of output and most of another.
    let cap = input_bound(&ask()) * INPUT_NANO + 301 * OUTPUT_NANO - 1;
    let gw = capped(cap, "clamp").await;
    let mut body = ask();
    body["max_tokens"] = json!(CAP_TOKENS);
    let reply = gw.chat(&body).await;
    assert_eq!((reply.status, reply.header("x-headgate-max-tokens")), (200, "300"));
    assert_eq!(sent_cap(&gw, "first"), 300);
    // Several answers share the room.
    body["n"] = json!(4);
    assert_eq!(gw.chat(&body).await.header("x-headgate-max-tokens"), "75");
    assert_eq!(sent_cap(&gw, "first"), 75);
    // Also where the client named no cap: without being told it would take the end for the model's own.
    let reply = call(&gw).await;
    assert_eq!((reply.header("x-headgate-max-tokens"), sent_cap(&gw, "first")), ("300", 300));
    // What fits anyway is left alone.
    body["max_tokens"] = json!(20);
    assert_eq!(gw.chat(&body).await.header("x-headgate-max-tokens"), "");
    assert_eq!(sent_cap(&gw, "first"), 20);
}

#[tokio::test]
async fn clamp_refuses_where_the_input_alone_is_too_dear() {
    let gw = capped(input_bound(&ask()) * INPUT_NANO + OUTPUT_NANO - 1, "clamp").await;
    let reply = call(&gw).await;
    assert_eq!((reply.status, reply.code().as_str()), (402, "cost_cap_exceeded"));
    assert_eq!(gw.mock.counts().calls, 0);
}

#[tokio::test]
async fn a_tiers_own_cap_replaces_the_common_one() {
    let hold = hold_nano(&ask());
    let gw = TestGateway::with(|config| {
        config["request"] = json!({ "cost_cap_usd": usd(hold - 1) });
        config["tiers"]["roomy"] = config["tiers"]["single"].clone();
        config["tiers"]["roomy"]["cost_cap_usd"] = usd(hold);
        config["tiers"]["tight"] = config["tiers"]["single"].clone();
        config["tiers"]["tight"]["cost_cap_usd"] = usd(INPUT_NANO);
    })
    .await;
    for (tier, status) in [("single", 402), ("roomy", 200), ("tight", 402)] {
        assert_eq!(gw.chat(&question(tier)).await.status, status, "{tier}");
    }
}

#[tokio::test]
async fn a_target_above_the_cap_leaves_the_plan_and_the_next_one_answers() {
    let gw = TestGateway::with(|config| {
        config["prices"]["openai/first"] = json!({ "input": 100, "output": 1_000 });
        config["request"] = json!({ "cost_cap_usd": usd(hold_nano(&ask())) });
    })
    .await;
    let reply = gw.chat(&question("standard")).await;
    assert_eq!((reply.status, reply.header("x-headgate-model")), (200, "anthropic/second"));
    assert_eq!((reply.header("x-headgate-attempts"), gw.mock.model_counts("first").calls), ("1", 0));
}
