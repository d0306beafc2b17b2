//! The receipt of a run: what was estimated, held, tried and paid.

use serde_json::{Value, json};

use crate::support::{KEY, Reply, TestGateway, sha256_hex, until};

async fn receipt(gw: &TestGateway, key: &str, run: &str) -> Reply {
    let url = gw.url(&format!("/v1/requests/{run}"));
    Reply::of(gw.client.get(url).bearer_auth(key).send().await.unwrap()).await
}

#[tokio::test]
async fn a_receipt_tells_the_estimate_the_hold_the_price_and_every_attempt() {
    let gw = TestGateway::with(|config| {
        config["limits"] = json!([{ "scope": "user", "usd": 5, "per": "day" }]);
    })
    .await;
    gw.mock.script("first", vec![headgate::simulator::Step::status(503)]);
    let reply = gw.ask("standard").await;
    let run = reply.header("x-headgate-run").to_owned();
    let line = gw.finished(1).await;
    let receipt: Value = receipt(&gw, KEY, &run).await.json();
    assert_eq!(receipt["id"], run);
    assert_eq!(receipt["price_nano"], line["cost_nano"]);
    assert!(receipt["hold_nano"].as_u64() >= receipt["price_nano"].as_u64());
    let classes: Vec<_> = receipt["attempts"].as_array().unwrap().iter().map(|a| &a["class"]).collect();
    assert_eq!(classes, [&json!("retryable"), &Value::Null]);
    let limit = &receipt["limits"][0];
    assert_eq!((&limit["scope"], &limit["before"]), (&json!("user"), &json!(0)));
    assert_eq!(limit["after"], receipt["estimate_nano"]);
}

#[tokio::test]
async fn a_foreign_run_answers_exactly_like_an_unknown_one() {
    let gw = TestGateway::with(|config| {
        let other = json!({ "name": "other", "sha256": sha256_hex("other-key") });
        config["keys"].as_array_mut().unwrap().push(other);
    })
    .await;
    let run = gw.ask("standard").await.header("x-headgate-run").to_owned();
    until("the record is written", || !gw.log().is_empty()).await;
    assert_eq!(receipt(&gw, KEY, &run).await.status, 200);
    let foreign = receipt(&gw, "other-key", &run).await;
    let unknown_id = "run_00000000000000000000000000000000";
    let unknown = receipt(&gw, "other-key", unknown_id).await;
    assert_eq!((foreign.status, unknown.status), (404, 404));
    assert_eq!(foreign.message().replace(&run, "ID"), unknown.message().replace(unknown_id, "ID"));
    assert_eq!(receipt(&gw, KEY, "no-run-id").await.status, 404);
}
