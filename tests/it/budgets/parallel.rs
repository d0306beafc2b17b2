//! A budget under concurrency: never overspent, and never refused while there is room.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use headgate::simulator::Step;
use serde_json::json;
use tempfile::TempDir;

use super::{CAP_TOKENS, INPUT_NANO, OUTPUT_NANO, ask, billed, call, hold_nano, input_bound, limited, usd};
use crate::support::{Reply, TestGateway, config, mock, told_when};

pub(super) const CALLS: usize = 200;
const FIT: u64 = 99;

/// `gateways` gateways on one store share a budget that fits 99 of 200 parallel calls, each of which costs exactly
/// what it holds. `store` is the store as config names it; relative SQLite paths are private to each gateway.
/// `in_flight` of the calls are under way at any time. Returns how often the store did not answer in time.
pub(super) async fn exactly_99_of_200_fit(store: &str, gateways: usize, in_flight: usize) -> u32 {
    let mock = mock().await;
    let price = hold_nano(&ask());
    mock.script("first", vec![billed(input_bound(&ask()), CAP_TOKENS)]);
    let mut house = Vec::new();
    for _ in 0..gateways {
        let mut config = config(&mock);
        config["store"] = json!(store);
        config["limits"] = json!([
            // All but one nano-dollar of room for a hundredth call.
            { "scope": "global", "usd": usd(FIT * price + price - 1), "per": "day" },
            { "scope": "user", "usd": 1_000, "per": "day" },
        ]);
        let folder = TempDir::new().expect("a temporary folder");
        house.push(TestGateway::start_in(Arc::clone(&mock), folder, &config, &[]).await.expect("the gateway starts"));
    }

    let calls = (0..CALLS).map(|at| decided(&house[at % gateways]));
    let decisions: Vec<(Reply, u32)> = stream::iter(calls).buffer_unordered(in_flight).collect().await;

    let with =
        |status: u16, code: &str| decisions.iter().filter(|(r, _)| r.status == status && r.code() == code).count();
    let (mut served, refused) = (with(200, "") as u64, with(402, "budget_exceeded"));
    assert_eq!(served as usize + refused, CALLS);
    let unanswered = decisions.iter().map(|(_, unanswered)| unanswered).sum();
    if unanswered > 0 {
        // A hold that the store took and could not confirm was given back; while it stood it may have kept a call out.
        settled(&house[0], served * price).await;
        while served < FIT {
            assert_eq!(decided(&house[0]).await.0.status, 200, "refused although there is room");
            served += 1;
        }
        assert_eq!(decided(&house[0]).await.0.code(), "budget_exceeded");
    }
    assert_eq!(served, FIT);
    assert_eq!(mock.counts().calls, FIT, "calls that reached the provider");
    assert_eq!((mock.counts().input_tokens > 0, mock.counts().output_tokens), (true, FIT * CAP_TOKENS));
    for gw in &house {
        settled(gw, FIT * price).await;
        // All scopes or none: what the global limit refused is on nobody's account.
        assert_eq!(gw.spent("user").await, (FIT * price, 0));
    }
    // The books of the gateways and of the provider agree to the nano-dollar.
    let logged: u64 = house.iter().flat_map(TestGateway::log).filter_map(|line| line["cost_nano"].as_u64()).sum();
    assert_eq!(logged, FIT * price);
    unanswered
}

/// The answer of a client that tries again where the store could not say in time, as SDKs do; and how often it had to.
async fn decided(gw: &TestGateway) -> (Reply, u32) {
    for unanswered in 0..100 {
        let reply = call(gw).await;
        if reply.code() != "store_unavailable" {
            return (reply, unanswered);
        }
        let wait = reply.header("retry-after-ms").parse().expect("a wait");
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    panic!("the store never answers");
}

/// Waits until nothing is held; then exactly `nano` must be settled.
async fn settled(gw: &TestGateway, nano: u64) {
    let minute = Duration::from_secs(60);
    told_when("no hold is open", minute, async || gw.usage().await, |usage| usage["open_holds"] == 0).await;
    assert_eq!(gw.spent("global").await, (nano, 0), "settled and held");
}

#[tokio::test]
async fn of_200_parallel_calls_exactly_the_99_that_fit_the_budget_reach_the_provider() {
    assert_eq!(exactly_99_of_200_fit("sqlite:headgate.db", 1, CALLS).await, 0);
}

#[tokio::test]
async fn a_budget_of_exactly_99_calls_admits_exactly_99() {
    let price = hold_nano(&ask());
    let gw = limited(json!([{ "scope": "global", "usd": usd(FIT * price), "per": "day" }])).await;
    gw.mock.script("first", vec![billed(input_bound(&ask()), CAP_TOKENS)]);
    let replies = join_all((0..CALLS).map(|_| call(&gw))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count() as u64, FIT);
    assert_eq!(gw.mock.counts().calls, FIT);
    assert_eq!(gw.spent("global").await, (FIT * price, 0));
}

#[tokio::test]
async fn what_a_call_did_not_need_is_free_again_and_parallel_calls_never_pass_the_limit() {
    // Room for five holds, and calls that cost a tenth of theirs.
    let (hold, cost) = (hold_nano(&ask()), 5 * INPUT_NANO + 100 * OUTPUT_NANO);
    let limit = 5 * hold;
    let gw = limited(json!([{ "scope": "global", "usd": usd(limit), "per": "day" }])).await;
    gw.mock.script("first", vec![Step { latency_ms: 20, ..billed(5, 100) }]);
    let mut served = 0;
    while served * cost + hold <= limit {
        let replies = join_all((0..20).map(|_| call(&gw))).await;
        served += replies.iter().filter(|reply| reply.status == 200).count() as u64;
        assert_eq!(gw.spent("global").await, (served * cost, 0));
        assert!(served * cost <= limit);
    }
    assert_eq!(gw.mock.counts().calls, served);
}
