//! `Idempotency-Key`: the same request is one run, whoever asks for it again, when, and on which replica.

mod crash;
mod kept;

use std::sync::Arc;
use std::time::Duration;

use headgate::simulator::{Fault, Step};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::redis::RedisServer;
use crate::support::{KEY, Reply, TestGateway, question, sha256_hex, streamed, until};

/// A gateway on each store, and two replicas on one Redis: the second of a pair is where the request comes again.
async fn each_store<F: Future<Output = ()>>(check: impl Fn(Arc<TestGateway>, Arc<TestGateway>) -> F) {
    let alone = Arc::new(TestGateway::start().await);
    check(Arc::clone(&alone), alone).await;
    let folder = TempDir::new().expect("a temporary folder");
    let redis = RedisServer::start(folder.path());
    let first = TestGateway::with(|config| config["store"] = json!(redis.url())).await;
    let second = TestGateway::on(Arc::clone(&first.mock), |config| config["store"] = json!(redis.url())).await;
    check(Arc::new(first), Arc::new(second)).await;
}

async fn post(gw: &TestGateway, body: &Value, key: &str) -> Reply {
    Reply::of(gw.request(body).header("idempotency-key", key).send().await.expect("an answer")).await
}

/// The body without what no journal keeps.
fn without_comments(body: &[u8]) -> String {
    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
    text.split_inclusive("\n\n").filter(|frame| !frame.starts_with(':')).collect()
}

#[tokio::test]
async fn parallel_posts_with_one_key_make_one_upstream_call_and_get_equal_bytes() {
    each_store(|first, second| async move {
        for (n, body) in [question("single"), streamed("single")].into_iter().enumerate() {
            first.mock.script("first", vec![Step { latency_ms: 100, gap_ms: 10, ..Step::text("one and only one") }]);
            let before = first.mock.model_counts("first").calls;
            let key = format!("parallel-{n}");
            let (a, b) = tokio::join!(post(&first, &body, &key), post(&second, &body, &key));
            assert_eq!((a.status, b.status), (200, 200));
            assert_eq!(without_comments(&a.body), without_comments(&b.body));
            assert_eq!(a.header("x-headgate-run"), b.header("x-headgate-run"));
            assert_eq!(a.header("content-type"), b.header("content-type"));
            assert_ne!(a.header("x-request-id"), b.header("x-request-id"), "each request has an id of its own");
            assert_eq!(first.mock.model_counts("first").calls - before, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn a_post_after_the_end_gets_the_stored_answer_and_costs_nothing() {
    each_store(|first, second| async move {
        for (n, body) in [question("single"), streamed("single")].into_iter().enumerate() {
            let key = format!("again-{n}");
            let a = post(&first, &body, &key).await;
            first.finished(n + 1).await;
            let b = post(&second, &body, &key).await;
            assert_eq!((b.status, without_comments(&a.body)), (200, without_comments(&b.body)));
        }
        assert_eq!(first.mock.model_counts("first").calls, 2);
        let lines = first.log().len() + if Arc::ptr_eq(&first, &second) { 0 } else { second.log().len() };
        assert_eq!(lines, 2, "only runs that called a model are logged and billed");
    })
    .await;
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    each_store(|first, second| async move {
        assert_eq!(post(&first, &question("single"), "k").await.status, 200);
        // `stream` alone makes another body.
        let other = post(&second, &streamed("single"), "k").await;
        assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
        assert_eq!(other.header("x-should-retry"), "false");
    })
    .await;
}

#[tokio::test]
async fn failures_and_refusals_are_not_stored() {
    each_store(|first, second| async move {
        first.mock.script("first", vec![Step::status(400), Step::text("now it works")]);
        assert_eq!(post(&first, &question("single"), "k").await.status, 400);
        until("the failed run is closed", || first.log().len() == 1).await;
        let again = post(&second, &question("single"), "k").await;
        assert_eq!((again.status, again.text().as_str()), (200, "now it works"));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_left_comes_back_for_the_same_run() {
    each_store(|first, second| async move {
        first.mock.script("first", vec![Step { words: Some(30), gap_ms: 20, ..Step::text("on") }]);
        let mut response =
            first.request(&streamed("single")).header("idempotency-key", "k").send().await.expect("an answer");
        assert!(response.chunk().await.expect("a frame").is_some());
        drop(response);
        let again = post(&second, &streamed("single"), "k").await;
        let text = without_comments(&again.body);
        assert_eq!((text.matches("on").count() >= 30, text.ends_with("data: [DONE]\n\n")), (true, true), "{text}");
        let counts = first.mock.model_counts("first");
        assert_eq!((counts.calls, counts.answered), (1, 1), "the provider was not hung up on");
        assert_eq!(first.finished(1).await["outcome"], "ok");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_for_whoever_follows() {
    each_store(|first, second| async move {
        first.mock.script(
            "first",
            vec![Step { gap_ms: 20, fault: Some(Fault::Reset { after: 3 }), ..Step::text("a b c d") }],
        );
        let read = |gw: Arc<TestGateway>| async move {
            let mut response =
                gw.request(&streamed("single")).header("idempotency-key", "k").send().await.expect("an answer");
            let mut text = String::new();
            let end = loop {
                match response.chunk().await {
                    Ok(Some(bytes)) => text.push_str(&String::from_utf8_lossy(&bytes)),
                    Ok(None) => break "clean",
                    Err(_) => break "abnormal",
                }
            };
            (text, end)
        };
        let (a, b) = tokio::join!(read(first), read(second));
        for (text, end) in [a, b] {
            assert!(text.contains("event: error\n") && end == "abnormal", "{end}: {text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_is_one_callers_and_one_routes() {
    let gw = TestGateway::with(|config| {
        let other = json!({ "name": "other", "sha256": sha256_hex("other-key") });
        config["keys"].as_array_mut().expect("a list").push(other);
    })
    .await;
    let mine = post(&gw, &question("single"), "k").await;
    let request = gw.client.post(gw.url("/v1/chat/completions")).bearer_auth("other-key");
    let request = request.header("idempotency-key", "k").body(question("single").to_string());
    let theirs = Reply::of(request.send().await.expect("an answer")).await;
    assert_eq!((mine.status, theirs.status), (200, 200));
    assert_ne!(mine.header("x-headgate-run"), theirs.header("x-headgate-run"));
    let messages = json!({ "model": "single", "max_tokens": 9, "messages": [{ "role": "user", "content": "hi" }] });
    let request = gw.client.post(gw.url("/v1/messages")).bearer_auth(KEY).header("idempotency-key", "k");
    assert_eq!(request.body(messages.to_string()).send().await.expect("an answer").status(), 200);
    assert_eq!(gw.mock.model_counts("first").calls, 3);
}

#[tokio::test]
async fn a_key_that_can_not_be_one_is_a_400() {
    let gw = TestGateway::start().await;
    for bad in ["", &"x".repeat(256)] {
        let reply = post(&gw, &question("single"), bad).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"));
        assert!(reply.message().contains("Idempotency-Key"), "{}", reply.message());
    }
    let twice = gw.request(&question("single")).header("idempotency-key", "a").header("idempotency-key", "b");
    assert_eq!(twice.send().await.expect("an answer").status(), 400);
    assert_eq!(gw.mock.model_counts("first").calls, 0);
}

#[tokio::test]
async fn a_follower_gets_signs_of_life_while_the_model_thinks() {
    let gw = TestGateway::with(|config| {
        config["timeouts"] = json!({ "head_hold": "50ms", "keep_alive": "30ms" });
    })
    .await;
    gw.mock.script("first", vec![Step { latency_ms: 1_000, ..Step::text("late but whole") }]);
    let reply = tokio::time::timeout(Duration::from_secs(20), post(&gw, &streamed("single"), "k")).await.expect("ends");
    let text = String::from_utf8(reply.body).expect("UTF-8");
    assert!(text.matches(": ").count() >= 3 && text.contains("whole"), "{text}");
}

#[tokio::test]
async fn fields_that_were_left_out_are_told_again_whatever_their_name() {
    let gw = TestGateway::start().await;
    let mut body = question("anthropic/second");
    body["\u{10}\u{43a}, 100%"] = json!(true);
    for time in ["first", "again"] {
        let reply = post(&gw, &body, "odd-names").await;
        assert_eq!((reply.status, reply.header("x-headgate-dropped")), (200, "%10%D0%BA%2C%20100%25"), "{time}");
    }
    body[format!("{:x<3000}", "long")] = json!(true);
    let reply = post(&gw, &body, "long-names").await;
    assert_eq!((reply.status, reply.header("x-headgate-dropped")), (200, "%10%D0%BA%2C%20100%25, ..."));
}
