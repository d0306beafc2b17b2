//! Where everything fails, retries and fallbacks stay a part of the traffic.

use std::sync::Arc;
use std::time::Instant;

use headgate::simulator::{Simulator, Step};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::redis::RedisServer;
use crate::support::{Reply, TestGateway, mock, question, until};

/// Every call fails, and no breaker takes the targets out.
fn everything_fails(mock: &Simulator) {
    mock.script("first", vec![Step::status(500)]);
    mock.script("second", vec![Step::status(500)]);
}

fn without_breaker(config: &mut Value) {
    config["breaker"] = json!({ "errors": 1000 });
}

/// Asks `times` on each gateway, ten at once, and checks that each client gets the provider's failure.
async fn ask(gateways: &[&TestGateway], times: usize) {
    for _ in 0..times / 10 {
        let mut asks = JoinSet::new();
        for gateway in gateways {
            for _ in 0..10 {
                asks.spawn(gateway.request(&question("standard")).send());
            }
        }
        while let Some(reply) = asks.join_next().await {
            let reply = Reply::of(reply.unwrap().unwrap()).await;
            assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_failed"), "{}", reply.message());
        }
    }
}

/// Upstream calls that there may be: 1.2 for each of the clients', 10 per second, and 10 once.
fn bound(asked: u64, began: Instant) -> f64 {
    1.2 * asked as f64 + 10.0 * began.elapsed().as_secs_f64() + 10.0
}

fn calls(mock: &Simulator) -> u64 {
    mock.model_counts("first").calls + mock.model_counts("second").calls
}

#[tokio::test]
async fn at_a_hundred_percent_failure_the_provider_gets_a_fifth_and_ten_per_second_more() {
    let gw = TestGateway::with(without_breaker).await;
    everything_fails(&gw.mock);
    let began = Instant::now();
    ask(&[&gw], 300).await;
    let (calls, bound) = (calls(&gw.mock), bound(300, began));
    assert!((300.0..=bound).contains(&(calls as f64)), "{calls} calls, {bound} at most");

    // The last failure is the answer, and the operator learns why nothing else was tried.
    gw.finished(300).await;
    let gave_up = gw.log().iter().filter(|line| line["gave_up"] == "retry_budget").count() as u64;
    assert!(gave_up > 0);
    let metrics = gw.metrics().await;
    assert!(metrics.contains(&format!("headgate_retries_refused_total {gave_up}\n")), "{gave_up} in\n{metrics}");
}

#[tokio::test]
async fn two_replicas_share_the_calls_per_second() {
    let folder = TempDir::new().unwrap();
    let redis = RedisServer::start(folder.path());
    let mock = mock().await;
    let on_redis = |config: &mut Value| {
        without_breaker(config);
        config["store"] = json!(redis.url());
    };
    let one = TestGateway::on(Arc::clone(&mock), on_redis).await;
    let other = TestGateway::on(Arc::clone(&mock), on_redis).await;
    everything_fails(&mock);
    let both = || [&one, &other].iter().all(|gw| gw.gateway.hall().targets().replicas() == 2);
    until("both know of each other", both).await;
    let began = Instant::now();
    ask(&[&one, &other], 100).await;
    let (calls, bound) = (calls(&mock), bound(200, began));
    assert!((200.0..=bound).contains(&(calls as f64)), "{calls} calls, {bound} at most");
}

#[tokio::test]
async fn a_budget_of_nothing_makes_every_first_failure_the_answer() {
    let gw = TestGateway::with(|config| config["retry"] = json!({ "budget": { "percent": 0, "per_second": 0 } })).await;
    everything_fails(&gw.mock);
    let reply = gw.ask("standard").await;
    assert_eq!((reply.status, reply.header("x-headgate-attempts")), (502, "1"));
    assert_eq!(gw.finished(1).await["gave_up"], "retry_budget");
    let receipt = gw.client.get(gw.url(&format!("/v1/requests/{}", reply.header("x-headgate-run"))));
    let receipt = Reply::of(receipt.bearer_auth(crate::support::KEY).send().await.unwrap()).await;
    assert_eq!(receipt.json()["gave_up"], "retry_budget");
}
