//! A Redis that stops answering under load and comes back.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use headgate::simulator::{Simulator, Step};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::process::{Serving, run, text};
use crate::support::redis::RedisServer;
use crate::support::{KEY, config, mock, question, streamed, until};

/// The issue's load is 100 calls a second and 5 s without Redis; `STORE_PAUSE=full` runs it, the suite a part.
struct Load {
    gap: Duration,
    pause: Duration,
    /// The issue's second; a crowded machine may add to it in the suite.
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

const TOKEN: &str = "admin-token";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_pauses_under_load_costs_503s_and_nothing_else() {
    // Given calls at a steady rate, a stream that outlasts the pause, and one that ends in the middle of it.
    let load = Load::chosen();
    let (folder, mock) = (TempDir::new().unwrap(), mock().await);
    let redis = RedisServer::start(folder.path());
    write_config(folder.path(), &mock, &redis.url());
    let serving = Serving::start(folder.path(), &[("TOKEN", TOKEN)]).await;
    let house = House { client: reqwest::Client::new(), url: format!("http://{}", serving.client) };
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
            until_down(&house, serving.admin).await;
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

#[derive(Clone)]
struct House {
    client: reqwest::Client,
    url: String,
}

impl House {
    async fn post(&self, id: &str, body: &Value) -> reqwest::Response {
        let request = self.client.post(format!("{}/v1/chat/completions", self.url)).bearer_auth(KEY);
        request.header("x-request-id", id).body(body.to_string()).send().await.unwrap()
    }

    /// Status of a plain call, and how long it took.
    async fn ask(&self, id: &str) -> (u16, Duration) {
        let asked = Instant::now();
        let reply = self.post(id, &question("single")).await;
        let status = reply.status().as_u16();
        let body = reply.text().await.unwrap();
        assert!(status == 200 || body.contains("store_unavailable"), "{status}: {body}");
        (status, asked.elapsed())
    }

    async fn until_ready(&self, status: u16) {
        let by = Instant::now() + Duration::from_secs(20);
        loop {
            let ready = self.client.get(format!("{}/readyz", self.url)).send().await.unwrap();
            let (is, body) = (ready.status().as_u16(), ready.text().await.unwrap());
            let store = if status == 200 { r#""store":"ok""# } else { r#""store":"unavailable""# };
            if is == status && body.contains(store) {
                return;
            }
            assert!(Instant::now() < by, "not {status}: {is} {body}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Probe and gauge both tell.
async fn until_down(house: &House, admin: std::net::SocketAddr) {
    house.until_ready(503).await;
    let by = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = house.client.get(format!("http://{admin}/metrics")).bearer_auth(TOKEN).send().await.unwrap();
        if metrics.text().await.unwrap().contains("headgate_store_up 0") {
            return;
        }
        assert!(Instant::now() < by, "the gauge stays up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn stream_to_its_end(mut stream: reqwest::Response) -> String {
    let mut all = Vec::new();
    while let Some(chunk) = stream.chunk().await.expect("no stream breaks") {
        all.extend_from_slice(&chunk);
    }
    text(&all)
}

fn write_config(folder: &Path, mock: &Simulator, store: &str) {
    let mut config = config(mock);
    config["store"] = json!(store);
    config["server"]["admin_token"] = json!("${TOKEN}");
    config["limits"] =
        json!([{ "scope": "user", "usd": 100, "per": "day" }, { "scope": "global", "usd": 1000, "per": "day" }]);
    std::fs::write(folder.join("config.yaml"), config.to_string()).unwrap();
}

/// Waits until nothing is held; returns the nano-dollars settled.
async fn at_rest(folder: &Path) -> u64 {
    let usage = || -> Value {
        let output = run(folder, &["usage", "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    until("nothing is held", || usage()["open_holds"] == 0).await;
    let usage = usage();
    let row = usage["limits"].as_array().unwrap().iter().find(|row| row["scope"] == "global").unwrap().clone();
    assert_eq!(row["held_nano"], 0);
    row["settled_nano"].as_u64().unwrap()
}
