//! A Redis that comes back with what it knew some seconds ago.

use std::time::{Duration, Instant};

use headgate::simulator::Step;
use serde_json::json;
use tempfile::TempDir;

use crate::support::redis::RedisServer;
use crate::support::{TestGateway, config, mock, question};

/// How old the copy is when it comes into force, by the server's clock.
const AGE_MS: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_at_its_limit_gets_no_fresh_budget_from_a_store_restored_from_a_5_s_old_copy() {
    // Given a caller that has used its budget up, a part of it after the store was copied.
    let (files, mock) = (TempDir::new().unwrap(), mock().await);
    let redis = RedisServer::start(files.path());
    let mut config = config(&mock);
    config["store"] = json!(redis.url());
    config["limits"] =
        json!([{ "scope": "user", "usd": "0.05", "per": "day" }, { "scope": "global", "usd": 100, "per": "day" }]);
    let gw = TestGateway::start_in(mock, TempDir::new().unwrap(), &config, &[]).await.unwrap();
    gw.mock.script("first", vec![Step { words: Some(100), ..Step::default() }]);
    for _ in 0..2 {
        assert_eq!(gw.ask("single").await.status, 200);
    }
    let (copy, copied_at) = (redis.copy_of(files.path()), server_ms(&redis));
    let mut spent_after = 0;
    loop {
        let reply = gw.ask("single").await;
        if reply.status != 200 {
            assert_eq!(reply.code(), "budget_exceeded");
            break;
        }
        spent_after += 1;
    }
    assert!(spent_after > 10);
    let settled = gw.spent("user").await;
    while server_ms(&redis) < copied_at + AGE_MS {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // When the store dies and comes back as the copy.
    let _redis = redis.replaced_by_copy(files.path(), copy.path());

    // Then the caller is refused all the time: at first because the store is not trusted, then because of its limit.
    let (by, mut unavailable) = (Instant::now() + Duration::from_secs(20), 0);
    loop {
        let reply = gw.ask("single").await;
        match (reply.status, reply.code().as_str()) {
            (402, "budget_exceeded") => break,
            (503, "store_unavailable") => unavailable += 1,
            other => panic!("{other:?}"),
        }
        assert!(Instant::now() < by, "the store stays unavailable");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{spent_after} calls were forgotten and repeated; {unavailable} answers of 503 before the first 402");
    assert!(unavailable > 0);
    assert_eq!(gw.spent("user").await, settled);
    let metrics = gw.metrics().await;
    let repeated = metrics.lines().find_map(|line| line.strip_prefix("headgate_store_repeated_writes_total "));
    assert_eq!(repeated.and_then(|count| count.parse().ok()), Some(2 * spent_after), "reserved and settled");
    assert_eq!(gw.chat(&question("single")).await.code(), "budget_exceeded");
}

fn server_ms(redis: &RedisServer) -> u64 {
    let redis::Value::Array(parts) = redis.command(&["TIME"]) else { panic!("a time") };
    let number = |at: usize| redis::from_redis_value::<u64>(parts[at].clone()).expect("a number");
    number(0) * 1_000 + number(1) / 1_000
}
