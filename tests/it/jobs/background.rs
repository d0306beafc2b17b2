//! `background: true` on `/v1/responses`, as clients see it.

use headgate::simulator::Step;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SLOWEST, events, is_over, kinds, question, said, slow};
use crate::support::redis::RedisServer;
use crate::support::rest::counted;
use crate::support::wire::Wire;
use crate::support::{KEY, Reply, TestGateway, told_when, until};

const RESPONSES: &str = "/v1/responses";

async fn ask(gw: &TestGateway, body: &Value) -> Reply {
    ask_with(gw, body, &[]).await
}

async fn ask_with(gw: &TestGateway, body: &Value, headers: &[(&'static str, &str)]) -> Reply {
    let mut request = gw.client.post(gw.url(RESPONSES)).bearer_auth(KEY).body(body.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Reply::of(request.header("content-type", "application/json").send().await.unwrap()).await
}

async fn get(gw: &TestGateway, path: &str) -> Reply {
    let request = gw.client.get(gw.url(&format!("{RESPONSES}/{path}"))).bearer_auth(KEY);
    Reply::of(request.send().await.unwrap()).await
}

async fn post(gw: &TestGateway, path: &str) -> Reply {
    let request = gw.client.post(gw.url(&format!("{RESPONSES}/{path}"))).bearer_auth(KEY);
    Reply::of(request.send().await.unwrap()).await
}

async fn over(gw: &TestGateway, id: &str) -> Value {
    told_when("its end", SLOWEST, async || get(gw, id).await.json(), is_over).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_accepted_at_once_and_polled_to_its_end() {
    // Given a model that takes its time.
    let gw = TestGateway::with(counted).await;
    gw.mock.script("first", vec![slow(8, 20)]);

    // When a call asks for nobody to wait.
    let told = ask(&gw, &question("single")).await;

    // Then it is told a name at once, and the answer comes under that name.
    let queued = told.json();
    assert_eq!((told.status, &queued["background"]), (200, &json!(true)));
    assert!(matches!(queued["status"].as_str(), Some("queued" | "in_progress")), "{queued}");
    assert_eq!(queued.as_object().map(|fields| fields.len()), Some(31));
    let id = queued["id"].as_str().unwrap().to_owned();
    let done = over(&gw, &id).await;
    assert_eq!((&done["status"], &done["model"]), (&json!("completed"), &json!("first")));
    assert_eq!(said(&done).split_whitespace().count(), 8);
    // And it is charged once, like any run.
    let line = gw.finished(1).await;
    assert_eq!((&line["outcome"], &line["run"]), (&json!("ok"), &json!(told.header("x-headgate-run"))));
    assert_eq!(gw.at_rest().await, line["cost_nano"].as_u64().unwrap());
    assert_eq!(gw.mock.model_counts("first").calls, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_stream_can_be_cut_and_read_on_without_a_gap_or_a_repeat() {
    let folder = TempDir::new().unwrap();
    let redis = RedisServer::start(folder.path());
    for store in ["sqlite:headgate.db".to_owned(), redis.url()] {
        let gw = TestGateway::with(|config| config["store"] = json!(store)).await;
        gw.mock.script("first", vec![slow(30, 10)]);

        // Given a client that reads along and leaves at the tenth event.
        let mut body = question("single");
        body["stream"] = json!(true);
        let mut wire = Wire::connect(gw.gateway.client).await;
        wire.ask(RESPONSES, &body.to_string(), &[]).await;
        assert_eq!(wire.head().await.status, 200);
        let text = wire.until(|text| text.matches("\n\n").count() >= 10).await;
        drop(wire);
        let first = events(&text);
        let (id, last) =
            (first[0]["response"]["id"].as_str().unwrap(), first.last().unwrap()["sequence_number"].clone());

        // When it comes back for what follows, then it has every event once, and the job was not disturbed.
        let rest = get(&gw, &format!("{id}?stream=true&starting_after={last}")).await;
        let rest = events(&String::from_utf8(rest.body).unwrap());
        let all: Vec<Value> = first.iter().chain(&rest).cloned().collect();
        let numbers: Vec<u64> = all.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
        assert_eq!(numbers, (0..all.len() as u64).collect::<Vec<_>>(), "{store}");
        assert_eq!(kinds(&all)[..3], ["response.created", "response.queued", "response.in_progress"], "{store}");
        assert_eq!(kinds(&all).last(), Some(&"response.completed"), "{store}");
        let deltas = all.iter().filter(|event| event["type"] == "response.output_text.delta");
        let written: String = deltas.filter_map(|event| event["delta"].as_str()).collect();
        assert_eq!(written, said(&all.last().unwrap()["response"]), "{store}");
        let again = get(&gw, &format!("{id}?stream=true")).await;
        assert_eq!(events(&String::from_utf8(again.body).unwrap()), all, "{store}");
        assert_eq!(gw.mock.model_counts("first").calls, 1, "{store}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_stops_upstream_bills_what_was_delivered_and_can_be_repeated() {
    let gw = TestGateway::with(counted).await;
    gw.mock.script("first", vec![slow(10_000, 20)]);
    let queued = ask(&gw, &question("single")).await.json();
    let id = queued["id"].as_str().unwrap();
    let spoken = |now: &Value| now["status"] == "in_progress";
    told_when("in progress", SLOWEST, async || get(&gw, id).await.json(), spoken).await;
    until("the model is asked", || gw.mock.model_counts("first").open_calls == 1).await;

    for _ in 0..2 {
        let told = post(&gw, &format!("{id}/cancel")).await;
        assert_eq!((told.status, &told.json()["status"]), (200, &json!("cancelled")));
    }
    until("upstream is closed", || gw.mock.model_counts("first").open_calls == 0).await;
    let line = gw.finished(1).await;
    assert_eq!(line["outcome"], "client_gone");
    let settled = gw.at_rest().await;
    assert!(settled > 0 && settled == line["cost_nano"].as_u64().unwrap(), "{settled}: {line}");
    assert_eq!(get(&gw, id).await.json()["status"], "cancelled");
    // Whoever reads it again learns how it ended.
    let replay = get(&gw, &format!("{id}?stream=true")).await;
    let events = events(&String::from_utf8_lossy(&replay.body));
    let end = events.last().unwrap();
    assert_eq!((&end["type"], &end["response"]["status"]), (&json!("response.incomplete"), &json!("cancelled")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_provider_ends_it_failed_with_a_reason() {
    let gw = TestGateway::with(counted).await;
    gw.mock.script("first", vec![Step::status(400)]);
    let queued = ask(&gw, &question("single")).await.json();
    let done = over(&gw, queued["id"].as_str().unwrap()).await;
    assert_eq!(done["status"], "failed");
    assert!(done["error"]["code"].is_string() && done["error"]["message"].is_string(), "{done}");
    assert_eq!(gw.at_rest().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_refused_at_once_is_refused_at_once() {
    let gw = TestGateway::with(counted).await;
    let unknown = ask(&gw, &question("no-such-model")).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "model_not_found"));
    let mut unkept = question("single");
    unkept["store"] = json!(false);
    let unkept = ask(&gw, &unkept).await;
    assert_eq!((unkept.status, &unkept.json()["error"]["param"]), (400, &json!("background")));
    assert_eq!((gw.mock.counts().calls, gw.at_rest().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_is_used_up_when_its_turn_comes_ends_it_failed_and_nothing_is_sent() {
    let gw = TestGateway::with(|config| config["limits"] = json!([{ "scope": "user", "usd": 0.000001, "per": "day" }]))
        .await;
    let queued = ask(&gw, &question("single")).await.json();
    let done = over(&gw, queued["id"].as_str().unwrap()).await;
    assert_eq!((&done["status"], &done["error"]["code"]), (&json!("failed"), &json!("budget_exceeded")));
    assert_eq!(gw.mock.counts().calls, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_idempotency_key_is_one_job() {
    let gw = TestGateway::with(counted).await;
    gw.mock.script("first", vec![slow(5, 10)]);
    let key = [("idempotency-key", "k-1")];
    let body = question("single");
    let (first, second) = tokio::join!(ask_with(&gw, &body, &key), ask_with(&gw, &body, &key));
    assert_eq!(first.json()["id"], second.json()["id"]);
    let done = over(&gw, first.json()["id"].as_str().unwrap()).await;
    let third = ask_with(&gw, &question("single"), &key).await.json();
    assert_eq!((&third["id"], &third["status"]), (&done["id"], &json!("completed")));
    assert_eq!(gw.mock.model_counts("first").calls, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_from_another_response_and_others_from_it() {
    let gw = TestGateway::with(counted).await;
    gw.mock.script("first", vec![Step { echo: true, ..Step::default() }]);
    let before = ask(&gw, &json!({ "model": "single", "input": "my name is Ann" })).await.json();
    let mut body = question("single");
    body["previous_response_id"] = before["id"].clone();
    let queued = ask(&gw, &body).await.json();
    let done = over(&gw, queued["id"].as_str().unwrap()).await;
    assert_eq!((&done["status"], &done["previous_response_id"]), (&json!("completed"), &before["id"]));
    let after = ask(&gw, &json!({ "model": "single", "input": "and now?", "previous_response_id": done["id"] })).await;
    assert_eq!(after.status, 200, "{}", after.json());
    assert!(gw.mock.requests("first").last().unwrap().body.to_string().contains("my name is Ann"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_stops_it_and_nothing_of_it_is_left() {
    let gw = TestGateway::with(counted).await;
    gw.mock.script("first", vec![slow(10_000, 20)]);
    let queued = ask(&gw, &question("single")).await.json();
    let id = queued["id"].as_str().unwrap();
    until("the model is asked", || gw.mock.model_counts("first").open_calls == 1).await;
    let gone = gw.client.delete(gw.url(&format!("{RESPONSES}/{id}"))).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(gone.status(), 200);
    until("upstream is closed", || gw.mock.model_counts("first").open_calls == 0).await;
    assert_eq!(get(&gw, id).await.status, 404);
    gw.finished(1).await;
    gw.at_rest().await;
    assert_eq!(get(&gw, id).await.status, 404, "no late write brings it back");
}
