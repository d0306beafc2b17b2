//! Requests per sliding window.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::{call, limited, rows};
use crate::support::{Reply, TestGateway};

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

#[tokio::test]
async fn every_reply_says_what_is_left_and_the_refusal_when_more_comes() {
    let gw = limited(json!([
        { "scope": "user", "requests": 3, "per": "1h" },
        { "scope": "global", "requests": 100, "per": "50s" },
    ]))
    .await;
    for left in [2, 1, 0] {
        let reply = call(&gw).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("ratelimit-policy"), r#""user-requests";q=3;w=3600, "global-requests";q=100;w=50"#);
        let [user, global]: [&str; 2] = reply.header("ratelimit").split(", ").collect::<Vec<_>>().try_into().unwrap();
        assert!(user.starts_with(&format!(r#""user-requests";r={left};t="#)), "{user}");
        assert!(global.starts_with(&format!(r#""global-requests";r={};t="#, 97 + left)), "{global}");
        let seconds = number(user.rsplit_once('=').unwrap().1);
        assert!((3_590..=3_600).contains(&seconds), "{user}");
        // The older names tell the tightest one.
        assert_eq!(reply.header("x-ratelimit-limit-requests"), "3");
        assert_eq!(reply.header("x-ratelimit-remaining-requests"), left.to_string());
        assert_eq!(reply.header("x-ratelimit-reset-requests"), format!("{seconds}s"));
    }
    let reply = call(&gw).await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), "0");
    assert!(reply.header("ratelimit").starts_with(r#""user-requests";r=0;t="#), "{}", reply.header("ratelimit"));
    assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), ("", "false"), "an hour is no wait");
    let limit = &reply.json()["error"]["limit"];
    let named = (&limit["scope"], &limit["id"], &limit["unit"], &limit["per"], &limit["limit"], &limit["used"]);
    assert_eq!(named, (&json!("user"), &json!("web"), &json!("requests"), &json!("1h"), &json!(3), &json!(3)));
    assert!(limit["resets_at"].is_string(), "{limit}");
}

#[tokio::test]
async fn of_parallel_calls_exactly_as_many_as_the_limit_says_are_admitted_and_refused_ones_consume_nothing() {
    let gw = limited(json!([
        { "scope": "user", "requests": 10, "per": "1h" },
        { "scope": "global", "requests": 1_000, "per": "1h" },
        { "scope": "user", "usd": 5, "per": "day" },
    ]))
    .await;
    let replies = join_all((0..60).map(|_| call(&gw))).await;
    let with = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((with(200), with(429)), (10, 50));
    assert_eq!(gw.mock.counts().calls, 10);
    for scope in ["user", "global"] {
        let row = &rows(&gw, scope, "requests").await[0];
        assert_eq!(row["used"], 10, "{row}");
    }
    gw.finished(60).await;
    let cost: u64 = gw.log().iter().map(|line| line["cost_nano"].as_u64().unwrap()).sum();
    assert_eq!(gw.spent("user").await, (cost, 0));
}

#[tokio::test]
async fn a_client_that_waits_as_long_as_it_is_told_is_served_whatever_was_refused_before() {
    let gw = limited(json!([{ "scope": "user", "requests": 2, "per": "1500ms" }])).await;
    let mut waited = 0;
    while waited < 3 {
        let reply = call(&gw).await;
        if reply.status == 200 {
            continue;
        }
        // The gateway meant its own clock, which was at most now when it said so.
        let by = Instant::now() + told_wait(&reply);
        if !hammered(&gw, by).await {
            continue;
        }
        tokio::time::sleep_until((by + Duration::from_millis(2)).into()).await;
        assert_eq!(call(&gw).await.status, 200, "not served after the wait it was told");
        waited += 1;
    }
}

/// Calls on and on, which must not move the moment that was told. False where a call was served meanwhile.
async fn hammered(gw: &TestGateway, by: Instant) -> bool {
    for _ in 0..5 {
        let sent = Instant::now();
        let again = call(gw).await;
        if again.status == 200 {
            return false;
        }
        assert!(sent + told_wait(&again) <= by + Duration::from_millis(2), "the wait grew");
    }
    true
}

/// The exact wait of a refusal; its two headers must agree.
fn told_wait(reply: &Reply) -> Duration {
    let (seconds, ms) = (number(reply.header("retry-after")), number(reply.header("retry-after-ms")));
    assert_eq!(seconds, ms.div_ceil(1_000));
    assert!((1..=1_500).contains(&ms), "{ms} ms");
    assert_eq!(reply.header("x-should-retry"), "");
    Duration::from_millis(ms)
}

#[tokio::test]
async fn no_window_of_that_length_ever_holds_more_calls_than_the_limit() {
    const MAX: usize = 5;
    const WINDOW: Duration = Duration::from_millis(600);
    let gw = limited(json!([{ "scope": "user", "requests": MAX, "per": "600ms" }])).await;
    // Each of four clients calls as fast as it can, over the edges of several windows.
    let end = Instant::now() + 4 * WINDOW;
    let client = async || {
        let mut admitted = Vec::new();
        while Instant::now() < end {
            let sent = Instant::now();
            if call(&gw).await.status == 200 {
                admitted.push((sent, Instant::now()));
            }
        }
        admitted
    };
    let (a, b, c, d) = tokio::join!(client(), client(), client(), client());
    let mut admitted = [a, b, c, d].concat();
    assert!(admitted.len() > 2 * MAX, "{} calls in four windows", admitted.len());
    // A call was admitted between its sending and its answer. If at most MAX fall into any window, then any MAX + 1
    // admissions span more than it, and so do the outermost instants around them.
    admitted.sort_by_key(|(sent, _)| *sent);
    for (at, (sent, _)) in admitted.iter().enumerate() {
        let answers = admitted[at..].iter().map(|(_, answered)| *answered);
        let within =
            answers.filter(|answered| answered.duration_since(*sent) < WINDOW - Duration::from_millis(2)).count();
        assert!(within <= MAX, "{within} calls within {WINDOW:?}");
    }
}
