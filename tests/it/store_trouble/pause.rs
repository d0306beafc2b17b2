//! A Redis that stops answering under load and comes back.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use headgate::simulator::Step;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{ENV, House, at_rest, stream_to_its_end, until_down, write_config};
use crate::process::Serving;
use crate::support::redis::RedisServer;
use crate::support::{mock, streamed};

/// The load is 100 calls a second and 5 s without Redis; `STORE_PAUSE=full` runs it, the suite a part.
struct Load {
    gap: Duration,
    pause: Duration,
    /// The second; a crowded machine may add to it in the suite.
    answered_within: Duration,
}

impl Load {
    fn chosen() -> Self {
        let millis = Duration::from_millis;
        match std::env::var("STORE_PAUSE").as_deref() {
            Ok("full") => Load { gap: millis(10), pause: millis(5_000), answered_within: millis(1_000) },
            _ => Load { gap: millis(40), pause: millis(1_500), answered_within: millis(5_000) },
        }
    }
}

/// What the issue grants from the end of the pause to the first answer.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_pauses_under_load_costs_503s_and_nothing_else() {
    // Given calls at a steady rate, a stream that outlasts the pause, and one that ends in the middle of it.
    let load = Load::chosen();
    let (folder, mock) = (TempDir::new().unwrap(), mock().await);
    let redis = RedisServer::start(folder.path());
    write_config(folder.path(), &mock, &redis.url());
    let serving = Serving::start(folder.path(), ENV).await;
    let house = House::of(&serving);
    let slow = |ms: u64| Step { words: Some(50), gap_ms: ms / 50, ignore_max_tokens: true, ..Step::default() };
    let pause_ms = u64::try_from(load.pause.as_millis()).unwrap();
    mock.script("first", vec![slow(2 * pause_ms), slow(pause_ms / 2), Step::text("hello")]);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = house.post("stream", &streamed("single")).await;
        assert!(stream.chunk().await.unwrap().is_some());
        streams.push(tokio::spawn(stream_to_its_end(stream)));
    }
    assert_eq!(house.ask("before").await.0, 200);

    // When Redis is stopped, under the load, and goes on after a while.
    redis.signal("STOP");
    let (stopped, mut calls) = (Instant::now(), JoinSet::new());
    let mut ticks = tokio::time::interval(load.gap);
    while stopped.elapsed() < load.pause {
        ticks.tick().await;
        let (asker, id) = (house.clone(), format!("paused-{}", calls.len()));
        calls.spawn(async move { asker.ask(&id).await });
        if calls.len() == 10 {
            until_down(&house, &serving).await;
        }
    }
    let asked = calls.len();
    let answers = calls.join_all().await;
    redis.signal("CONT");
    let resumed = Instant::now();

    // Then every call of the pause was refused, in time, and none reached a provider.
    let slowest = answers.iter().map(|(_, took)| *took).max().unwrap();
    println!("{asked} calls in {:?} without Redis, slowest answer {slowest:?}", load.pause);
    assert!(answers.iter().all(|(status, _)| *status == 503), "{answers:?}");
    assert!(slowest < load.answered_within, "{slowest:?}");
    let reached: HashSet<String> =
        mock.requests("first").iter().filter_map(|r| r.header("x-request-id").map(str::to_owned)).collect();
    assert!(!reached.iter().any(|id| id.starts_with("paused-")), "{reached:?}");

    // It is served again soon, by itself, and both streams were whole.
    let mut tries = 0;
    while house.ask("after").await.0 != 200 {
        tries += 1;
        assert!(resumed.elapsed() < RECOVERED_WITHIN, "still refused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("served again {:?} after Redis was, at try {}", resumed.elapsed(), tries + 1);
    for stream in streams {
        assert!(stream.await.unwrap().ends_with("data: [DONE]\n\n"));
    }
    house.until_ready(200).await;

    // And the books agree to the nano-dollar: each call that was served is paid, and nothing is held.
    let settled = at_rest(folder.path()).await;
    let (stdout, stderr, _) = serving.stop();
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["status"] == 503).count(), asked + tries);
    assert_eq!(lines.iter().filter(|line| line["status"] == 200).count() as u64, mock.counts().calls);
    assert_eq!(lines.iter().filter_map(|line| line["cost_nano"].as_u64()).sum::<u64>(), settled);
    assert_eq!(mock.counts().input_tokens * 1_000 + mock.counts().output_tokens * 10_000, settled);

    // One line tells that it went away, one that it came back.
    let about = |what: &str| stderr.lines().filter(|line| line.contains(what)).count();
    assert_eq!((about("takes no writes"), about("takes writes again")), (1, 1), "{stderr}");
    assert!(stderr.lines().filter(|line| line.contains("ERROR") || line.contains("WARN")).count() <= 3, "{stderr}");
}
