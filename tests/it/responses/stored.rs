//! Stored responses: read again, followed, gone on from, deleted; each over providers of every kind.

use std::sync::Arc;

use headgate::simulator::Step;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{RESPONSES, TIERS, ask, events, gateway, gateway_with, question, streamed, wire};
use crate::support::redis::RedisServer;
use crate::support::{KEY, Reply, TestGateway, sha256_hex, until};

async fn get(gw: &TestGateway, path: &str) -> Reply {
    let request = gw.client.get(gw.url(&format!("{RESPONSES}/{path}"))).bearer_auth(KEY);
    Reply::of(request.send().await.expect("an answer")).await
}

async fn delete(gw: &TestGateway, id: &str) -> Reply {
    let request = gw.client.delete(gw.url(&format!("{RESPONSES}/{id}"))).bearer_auth(KEY);
    Reply::of(request.send().await.expect("an answer")).await
}

fn id(response: &Value) -> &str {
    response["id"].as_str().expect("an id")
}

fn without_comments(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    text.split_inclusive("\n\n").filter(|frame| !frame.starts_with(':')).collect()
}

#[tokio::test]
async fn a_response_is_read_again_as_it_was_told() {
    let gw = gateway().await;
    for tier in TIERS {
        let told = ask(&gw, &question(tier)).await;
        assert_eq!(told.status, 200, "{tier}");
        let again = get(&gw, id(&told.json())).await;
        assert_eq!((again.status, again.json()), (200, told.json()), "{tier}");
    }
}

#[tokio::test]
async fn a_streamed_response_is_read_again_as_its_last_event_told_it_and_its_events_byte_for_byte() {
    let gw = gateway().await;
    for tier in TIERS {
        let mut body = wire(&gw, &streamed(tier)).await;
        assert_eq!(body.head().await.status, 200, "{tier}");
        let told = body.rest().await;
        let told_events = events(&told.frames());
        let last =
            told_events.iter().rev().find(|event| event["type"] == "response.completed").expect("an end").clone();
        let name = id(&last["response"]);
        assert_eq!(get(&gw, name).await.json(), last["response"], "{tier}");
        let whole = without_comments(told.text().as_bytes());
        let frames: Vec<&str> = whole.split_inclusive("\n\n").collect();
        for after in -1..i64::try_from(told_events.len()).expect("few") {
            let replay = get(&gw, &format!("{name}?stream=true&starting_after={after}")).await;
            let rest = frames[usize::try_from(after + 1).expect("from 0").min(frames.len())..].concat();
            assert_eq!(without_comments(&replay.body), rest, "{tier} after {after}");
        }
        let replay = get(&gw, &format!("{name}?stream=true")).await;
        assert_eq!(without_comments(&replay.body), whole, "{tier}");
    }
}

#[tokio::test]
async fn a_request_goes_on_from_a_stored_response_with_the_whole_dialogue() {
    let gw = gateway().await;
    gw.mock.script("first", vec![Step::text("Hello, Alice."), Step::text("Alice."), Step::text("Bye.")]);
    let mut first = question("openai");
    first["input"] = json!("My name is Alice.");
    let a = ask(&gw, &first).await.json();
    let mut second = question("anthropic");
    (second["input"], second["previous_response_id"]) = (json!("What is my name?"), json!(id(&a)));
    let b = ask(&gw, &second).await.json();
    assert_eq!((&b["previous_response_id"], &b["status"]), (&a["id"], &json!("completed")));
    for tier in TIERS {
        let mut third = question(tier);
        (third["input"], third["previous_response_id"]) =
            (json!([{ "role": "user", "content": "Bye" }]), json!(id(&b)));
        assert_eq!(ask(&gw, &third).await.status, 200, "{tier}");
        let seen = gw.mock.requests("first").pop().expect("a request").body;
        let places: Vec<Option<usize>> = ["My name is Alice.", "Hello, Alice.", "What is my name?", "Bye"]
            .iter()
            .map(|text| seen.find(text))
            .collect();
        assert!(places.is_sorted() && places.iter().all(Option::is_some), "{tier}: {seen}");
        assert!(!seen.contains(id(&b)), "{tier}: upstream knows no response of ours: {seen}");
    }
    let items = get(&gw, &format!("{}/input_items", id(&b))).await.json();
    assert_eq!((&items["object"], &items["has_more"]), (&json!("list"), &json!(false)));
    assert_eq!(items["data"][0]["content"][0], json!({ "type": "input_text", "text": "What is my name?" }));
    assert!(items["data"][0]["id"].is_string() && items["data"].as_array().expect("a list").len() == 1);
}

#[tokio::test]
async fn a_dialogue_that_passes_its_links_is_refused_where_one_is_gone() {
    let gw = gateway().await;
    let a = ask(&gw, &question("openai")).await.json();
    let mut next = question("openai");
    next["previous_response_id"] = a["id"].clone();
    let b = ask(&gw, &next).await.json();
    assert_eq!(delete(&gw, id(&a)).await.json(), json!({ "id": a["id"], "object": "response", "deleted": true }));
    next["previous_response_id"] = b["id"].clone();
    let refused = ask(&gw, &next).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("previous_response_id")));
    assert!(refused.message().contains(id(&a)), "{}", refused.message());
}

#[tokio::test]
async fn what_was_deleted_not_stored_or_never_there_is_not_found_and_nothing_of_it_stays() {
    let gw = gateway().await;
    for tier in TIERS {
        let told = ask(&gw, &question(tier)).await.json();
        assert_eq!(delete(&gw, id(&told)).await.status, 200, "{tier}");
        let mut off = question(tier);
        off["store"] = json!(false);
        let unstored = ask(&gw, &off).await.json();
        for gone in [id(&told), id(&unstored), "resp_doesnotexist", "%00"] {
            let reply = get(&gw, gone).await;
            assert_eq!((reply.status, reply.code().as_str()), (404, "response_not_found"), "{tier} {gone}");
            assert_eq!(delete(&gw, gone).await.status, 404, "{tier} {gone}");
        }
    }
    let rows = rusqlite::Connection::open(gw.folder.path().join("headgate.db")).expect("opens");
    let left: i64 = rows.query_row("SELECT count(*) FROM kept_runs", [], |row| row.get(0)).expect("counts");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn another_callers_response_looks_like_an_unknown_one() {
    let gw = gateway_with(|config| {
        let other = json!({ "name": "other", "sha256": sha256_hex("other-key") });
        config["keys"].as_array_mut().expect("a list").push(other);
    })
    .await;
    for tier in TIERS {
        let told = ask(&gw, &question(tier)).await.json();
        let url = gw.url(&format!("{RESPONSES}/{}", id(&told)));
        let foreign = Reply::of(gw.client.get(url).bearer_auth("other-key").send().await.expect("an answer")).await;
        let unknown = get(&gw, "resp_00000000000000000000000000000000").await;
        let words = |reply: &Reply, id: &str| reply.message().replace(id, "ID");
        assert_eq!(
            (foreign.status, words(&foreign, id(&told))),
            (unknown.status, words(&unknown, "resp_00000000000000000000000000000000")),
            "{tier}"
        );
        let mut next = question(tier);
        next["previous_response_id"] = told["id"].clone();
        let body = next.to_string();
        let request = gw.client.post(gw.url(RESPONSES)).bearer_auth("other-key").body(body);
        assert_eq!(request.send().await.expect("an answer").status(), 400, "{tier}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_response_and_what_it_got_is_kept() {
    let gw = gateway().await;
    for (n, tier) in TIERS.iter().enumerate() {
        gw.mock.script("first", vec![Step { words: Some(10_000), gap_ms: 20, ..Step::text("on") }]);
        let mut stream = wire(&gw, &streamed(tier)).await;
        assert_eq!(stream.head().await.status, 200, "{tier}");
        let text = stream.until(|text| text.contains("output_text.delta")).await;
        let created = events(&crate::support::wire::frames(&text)[..1])[0].clone();
        drop(stream);
        until("upstream is closed", || gw.mock.model_counts("first").open_calls == 0).await;
        gw.finished(n + 1).await;
        let kept = get(&gw, id(&created["response"])).await.json();
        assert_eq!(kept["status"], "cancelled", "{tier}: {kept}");
    }
}

#[tokio::test]
async fn only_a_background_response_can_be_cancelled() {
    let gw = gateway().await;
    let told = ask(&gw, &question("openai")).await.json();
    for (name, status) in [(id(&told), 400), ("resp_unknown", 404)] {
        let request = gw.client.post(gw.url(&format!("{RESPONSES}/{name}/cancel"))).bearer_auth(KEY);
        assert_eq!(request.send().await.expect("an answer").status(), status, "{name}");
    }
}

#[tokio::test]
async fn a_plain_response_has_no_events_to_replay() {
    let gw = gateway().await;
    let told = ask(&gw, &question("openai")).await.json();
    let reply = get(&gw, &format!("{}?stream=true", id(&told))).await;
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("stream")));
}

/// The number is 1,000 streams; the suite replays a part of them, `STREAMS=1000` all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn journaled_streams_are_replayed_from_every_number_on_another_replica_with_equal_bytes() {
    let streams: usize = std::env::var("STREAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let folder = TempDir::new().expect("a temporary folder");
    let redis = RedisServer::start(folder.path());
    let first = Arc::new(gateway_with(|config| config["store"] = json!(redis.url())).await);
    let config: Value = serde_json::from_slice(&std::fs::read(first.config_path()).expect("reads")).expect("JSON");
    let second = TestGateway::start_in(Arc::clone(&first.mock), TempDir::new().expect("a folder"), &config, &[]);
    let second = second.await.expect("the replica starts");
    for n in 0..streams {
        let tier = TIERS[n % TIERS.len()];
        first.mock.script("first", vec![Step { words: Some(5 + n as u64 % 20), ..Step::text("Grüße 😀 on") }]);
        let mut stream = wire(&first, &streamed(tier)).await;
        assert_eq!(stream.head().await.status, 200, "{tier}");
        let told = stream.rest().await;
        let whole = without_comments(told.text().as_bytes());
        let frames: Vec<&str> = whole.split_inclusive("\n\n").collect();
        let name = events(&told.frames())[0]["response"]["id"].as_str().expect("an id").to_owned();
        for from in 0..=frames.len() {
            let path = format!("{name}?stream=true&starting_after={}", i64::try_from(from).expect("few") - 1);
            let replay = get(if from % 2 == 0 { &second } else { &first }, &path).await;
            let (told, read) = (sha256_hex(&frames[from..].concat()), sha256_hex(&without_comments(&replay.body)));
            assert_eq!(told, read, "stream {n} ({tier}) from {from}");
        }
    }
}
