//! Breakers that two replicas on one Redis share.

mod alone;
mod views;

use std::sync::Arc;
use std::time::Duration;

use headgate::simulator::{Fault, Simulator, Step};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::redis::RedisServer;
use crate::support::{PATIENCE, Reply, TestGateway, mock, question, told_when, until};

const ERRORS: u64 = 5;

struct Fleet {
    mock: Arc<Simulator>,
    gateways: [TestGateway; 2],
    // Dropped last: the gateways use it until they end.
    _redis: RedisServer,
    _folder: TempDir,
}

/// Two gateways on one Redis in front of one provider; their breakers stay open for `open`.
async fn fleet(open: &str) -> Fleet {
    let folder = TempDir::new().unwrap();
    let redis = RedisServer::start(folder.path());
    let mock = mock().await;
    let gateway = || {
        TestGateway::on(Arc::clone(&mock), |config| {
            config["store"] = json!(redis.url());
            config["retry"] = json!({ "attempts": 1 });
            config["breaker"] = json!({ "errors": ERRORS, "open": open });
        })
    };
    let gateways = [gateway().await, gateway().await];
    Fleet { gateways, mock, _redis: redis, _folder: folder }
}

impl Fleet {
    fn calls(&self) -> u64 {
        self.mock.model_counts("first").calls
    }

    async fn fail(&self, gateway: usize, times: u64) {
        for _ in 0..times {
            assert_eq!(self.gateways[gateway].ask("single").await.status, 502);
        }
    }

    /// Waits until both gateways show the breaker in one of `states`.
    async fn both_show(&self, states: &[u8]) {
        for gateway in &self.gateways {
            let shows = |metrics: &String| {
                let line = |state: &u8| format!("breaker_state{{target=\"openai/first\"}} {state}\n");
                states.iter().any(|state| metrics.contains(&line(state)))
            };
            told_when(&format!("{states:?}"), PATIENCE, async || gateway.metrics().await, shows).await;
        }
    }
}

#[tokio::test]
async fn five_errors_that_one_replica_sees_open_the_breaker_for_the_other() {
    let fleet = fleet("60s").await;
    fleet.mock.script("first", vec![Step::status(500)]);
    fleet.fail(0, ERRORS).await;
    fleet.both_show(&[2]).await;
    let refused = fleet.gateways[1].ask("single").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "upstream_failed"));
    assert_eq!(fleet.calls(), ERRORS, "the other one never called");
}

#[tokio::test]
async fn five_errors_in_a_row_that_two_replicas_see_together_open_it_for_both() {
    let fleet = fleet("60s").await;
    fleet.mock.script("first", vec![Step::status(500)]);
    fleet.fail(0, 3).await;
    fleet.fail(1, 2).await;
    fleet.both_show(&[2]).await;
    assert_eq!(fleet.calls(), ERRORS);
}

#[tokio::test]
async fn a_half_open_breaker_lets_one_call_of_both_replicas_through_and_its_success_closes_it_for_both() {
    let fleet = fleet("1s").await;
    fleet.mock.script("first", vec![Step::status(500); 5]);
    fleet.fail(0, ERRORS).await;
    fleet.both_show(&[1, 2]).await;

    // When twenty calls come at once, and the one that gets through takes its time.
    fleet.mock.script("first", vec![Step::fault(Fault::HangBeforeHead), Step::text("well again")]);
    let mut asks = JoinSet::new();
    for gateway in &fleet.gateways {
        for _ in 0..10 {
            asks.spawn(gateway.request(&question("single")).send());
        }
    }
    for _ in 0..19 {
        let reply = Reply::of(asks.join_next().await.unwrap().unwrap().unwrap()).await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "upstream_failed"));
    }
    until("the one call has reached the provider", || fleet.calls() == ERRORS + 1).await;

    // Then the next one goes through when that client has left, whichever replica it comes to, and tells everybody.
    asks.shutdown().await;
    let by = tokio::time::Instant::now() + Duration::from_secs(20);
    let mut asked = 0;
    while fleet.gateways[asked % 2].ask("single").await.text() != "well again" {
        assert!(tokio::time::Instant::now() < by, "nobody may try again");
        asked += 1;
    }
    assert_eq!(fleet.calls(), ERRORS + 2);
    fleet.both_show(&[0]).await;
    for gateway in &fleet.gateways {
        assert_eq!(gateway.ask("single").await.status, 200);
    }
}
