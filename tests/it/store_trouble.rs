//! A store in trouble: what clients see of it, what is lost, and how it ends.

mod allowed;
mod old_copy;
mod pause;
mod sqlite;

use std::path::Path;
use std::time::{Duration, Instant};

use headgate::simulator::Simulator;
use serde_json::{Value, json};

use crate::process::{Serving, run, text};
use crate::support::{KEY, PATIENCE, config, question, told_when, until};

const TOKEN: &str = "admin-token";
const ENV: &[(&str, &str)] = &[("TOKEN", TOKEN)];

#[derive(Clone)]
struct House {
    client: reqwest::Client,
    url: String,
}

impl House {
    fn of(serving: &Serving) -> Self {
        House { client: reqwest::Client::new(), url: format!("http://{}", serving.client) }
    }

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
        let ask = async || {
            let ready = self.client.get(format!("{}/readyz", self.url)).send().await.unwrap();
            (ready.status().as_u16(), ready.text().await.unwrap())
        };
        let store = if status == 200 { r#""store":"ok""# } else { r#""store":"unavailable""# };
        let says = |(is, body): &(u16, String)| *is == status && body.contains(store);
        told_when(&format!("readiness {status}"), PATIENCE, ask, says).await;
    }
}

/// Probe and gauge both tell.
async fn until_down(house: &House, serving: &Serving) {
    house.until_ready(503).await;
    let metrics = async || {
        let url = format!("http://{}/metrics", serving.admin);
        house.client.get(url).bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap()
    };
    let down = |metrics: &String| metrics.contains("headgate_store_up 0");
    told_when("the gauge is down", PATIENCE, metrics, down).await;
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
