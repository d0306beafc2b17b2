//! Whoever works on a job dies: it is started again, told honestly, and charged once.

use std::path::Path;

use headgate::simulator::Simulator;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SLOWEST, events, is_over, kinds, question, said, slow};
use crate::process::{Serving, run, text};
use crate::support::redis::RedisServer;
use crate::support::{KEY, config, mock, told_when, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_process_is_killed_starts_again_and_is_charged_once_on_sqlite() {
    let folder = TempDir::new().unwrap();
    killed_in_the_middle(folder.path(), "sqlite:headgate.db").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_process_is_killed_starts_again_and_is_charged_once_on_redis() {
    let folder = TempDir::new().unwrap();
    let redis = RedisServer::start(folder.path());
    killed_in_the_middle(folder.path(), &redis.url()).await;
}

async fn killed_in_the_middle(folder: &Path, store: &str) {
    // Given a job that is in the middle of its answer.
    let mock = mock().await;
    write_config(folder, &mock, store, 3);
    mock.script("first", vec![slow(500, 20), slow(5, 1)]);
    let first = Serving::start(folder, &[]).await;
    let client = reqwest::Client::new();
    let id = queue(&client, &first).await;
    let (path, plain) = (format!("/v1/responses/{id}?stream=true"), format!("/v1/responses/{id}"));
    told_when("it speaks", SLOWEST, async || peek(&client, &first, &path).await, |events| *events > 8).await;

    // When its process is killed and another is started.
    first.kill();
    until("upstream is closed", || mock.counts().open_calls == 0).await;
    let second = Serving::start(folder, &[]).await;

    // Then the job ends with a whole answer of the second start alone.
    let done = told_when("its end", SLOWEST, async || get(&client, &second, &plain).await, is_over).await;
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(said(&done).split_whitespace().count(), 5);
    assert_eq!(mock.model_counts("first").calls, 2);
    // And its stream tells both: what was begun is closed as incomplete, then it begins again. No number is missing.
    let all = events(&text_of(&client, &second, &path).await);
    let numbers: Vec<u64> = all.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..all.len() as u64).collect::<Vec<_>>());
    assert_eq!(kinds(&all).iter().filter(|kind| **kind == "response.in_progress").count(), 2);
    let statuses: Vec<&str> = all
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .filter_map(|event| event["item"]["status"].as_str())
        .collect();
    assert_eq!(statuses, ["incomplete", "completed"]);
    assert_eq!(kinds(&all).iter().filter(|kind| **kind == "response.completed").count(), 1);
    // And the caller is charged for the second start; the first one's hold expires as the operator's loss.
    let receipt = get(&client, &second, &format!("/v1/requests/{}", id.replacen("resp_", "run_", 1))).await;
    let price = receipt["price_nano"].as_u64().unwrap();
    let settled =
        told_when("nothing is held", SLOWEST, async || usage(folder), |usage| row(usage, "user").1 == 0).await;
    assert_eq!(row(&settled, "user").0, price);
    assert!(price > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_takes_its_process_with_it_too_often_is_given_up() {
    let folder = TempDir::new().unwrap();
    let mock = mock().await;
    write_config(folder.path(), &mock, "sqlite:headgate.db", 2);
    mock.script("first", vec![slow(10_000, 20)]);
    let client = reqwest::Client::new();
    let first = Serving::start(folder.path(), &[]).await;
    let id = queue(&client, &first).await;
    let mut serving = Some(first);
    for start in 1..=2_u64 {
        until("the model is asked", || mock.model_counts("first").calls == start).await;
        serving.take().expect("one serves").kill();
        serving = Some(Serving::start(folder.path(), &[]).await);
    }
    let (serving, plain) = (serving.expect("one serves"), format!("/v1/responses/{id}"));
    let done = told_when("its end", SLOWEST, async || get(&client, &serving, &plain).await, is_over).await;
    assert_eq!((&done["status"], &done["error"]["code"]), (&json!("failed"), &json!("worker_died")));
    assert!(done["error"]["message"].as_str().unwrap().contains("worker died 2 times"), "{done}");
    assert_eq!(mock.model_counts("first").calls, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_told_to_end_gives_its_jobs_back_unharmed() {
    let folder = TempDir::new().unwrap();
    let mock = mock().await;
    // One death would be too many.
    write_config(folder.path(), &mock, "sqlite:headgate.db", 1);
    mock.script("first", vec![slow(10_000, 20), slow(5, 1)]);
    let client = reqwest::Client::new();
    let first = Serving::start(folder.path(), &[]).await;
    let id = queue(&client, &first).await;
    until("the model is asked", || mock.model_counts("first").calls == 1).await;
    let (_, errors, code) = tokio::task::spawn_blocking(|| first.stop()).await.unwrap();
    assert_eq!(code, Some(0), "{errors}");
    let (second, plain) = (Serving::start(folder.path(), &[]).await, format!("/v1/responses/{id}"));
    let done = told_when("its end", SLOWEST, async || get(&client, &second, &plain).await, is_over).await;
    assert_eq!((&done["status"], said(&done).split_whitespace().count()), (&json!("completed"), 5));
}

fn write_config(folder: &Path, mock: &Simulator, store: &str, poison_limit: u32) {
    let mut config = config(mock);
    config["store"] = json!(store);
    config["limits"] = json!([{ "scope": "user", "usd": 100, "per": "day" }]);
    config["background"] = json!({ "poison_limit": poison_limit });
    std::fs::write(folder.join("config.yaml"), config.to_string()).unwrap();
}

async fn queue(client: &reqwest::Client, gateway: &Serving) -> String {
    let url = format!("http://{}/v1/responses", gateway.client);
    let reply = client.post(url).bearer_auth(KEY).body(question("single").to_string()).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let told: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
    told["id"].as_str().unwrap().to_owned()
}

async fn get(client: &reqwest::Client, gateway: &Serving, path: &str) -> Value {
    let reply = client.get(format!("http://{}{path}", gateway.client)).bearer_auth(KEY).send().await.unwrap();
    serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap()
}

async fn text_of(client: &reqwest::Client, gateway: &Serving, path: &str) -> String {
    let reply = client.get(format!("http://{}{path}", gateway.client)).bearer_auth(KEY).send().await.unwrap();
    reply.text().await.unwrap()
}

/// Reads a stream that goes on until some events have come, and leaves. Answers how many.
async fn peek(client: &reqwest::Client, gateway: &Serving, path: &str) -> u64 {
    let request = client.get(format!("http://{}{path}", gateway.client)).bearer_auth(KEY);
    let mut reply = request.send().await.unwrap();
    let mut read = String::new();
    while read.matches("\n\n").count() <= 8 {
        let Ok(Some(bytes)) = reply.chunk().await else { break };
        read.push_str(&String::from_utf8_lossy(&bytes));
    }
    read.matches("\n\n").count() as u64
}

fn usage(folder: &Path) -> Value {
    let output = run(folder, &["usage", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Settled and held nano-dollars.
fn row(usage: &Value, scope: &str) -> (u64, u64) {
    let rows = usage["limits"].as_array().unwrap();
    let row = rows.iter().find(|row| row["scope"] == scope && row["unit"] == "usd").unwrap();
    (row["settled_nano"].as_u64().unwrap(), row["held_nano"].as_u64().unwrap())
}
