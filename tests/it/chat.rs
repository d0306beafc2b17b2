//! A plain chat call through every room.

use serde_json::json;

use crate::support::{TestGateway, question};

#[tokio::test]
async fn a_plain_call_is_answered_by_its_tiers_primary_and_says_what_it_cost() {
    let gw = TestGateway::start().await;
    let reply = gw.ask("standard").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-headgate-tier"), "standard");
    assert_eq!(reply.header("x-headgate-model"), "openai/first");
    assert_eq!(reply.header("x-headgate-attempts"), "1");
    assert_eq!(reply.header("cache-control"), "no-store");
    let usage = &reply.json()["usage"];
    let (input, output) = (usage["prompt_tokens"].as_u64().unwrap(), usage["completion_tokens"].as_u64().unwrap());
    let line = gw.finished(1).await;
    assert_eq!(line["cost_nano"], input * 1_000 + output * 10_000);
    assert_eq!(line["outcome"], "ok");
    assert_eq!(line["key"], "web");
}

#[tokio::test]
async fn a_request_id_is_echoed_and_sent_upstream_and_minted_where_there_is_none() {
    let gw = TestGateway::start().await;
    let reply = gw.request(&question("standard")).header("x-request-id", "mine-1").send().await.unwrap();
    assert_eq!(reply.headers()["x-request-id"], "mine-1");
    let upstream = gw.mock.requests("first");
    assert_eq!(upstream[0].header("x-request-id"), Some("mine-1"));
    assert!(gw.ask("standard").await.header("x-request-id").starts_with("req_"));
}

#[tokio::test]
async fn what_the_client_wrote_reaches_the_provider_byte_for_byte_but_for_the_owned_fields() {
    let gw = TestGateway::start().await;
    let body = r#"{ "temperature":1.50,"model" : "standard","messages":[{"role":"user","content":"\u00e9"}], "max_tokens": 7,"x_unknown":{"b":1,"a":[1e2]} }"#;
    let reply = gw
        .client
        .post(gw.url("/v1/chat/completions"))
        .bearer_auth(crate::support::KEY)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(gw.mock.requests("first")[0].body, body.replace("\"standard\"", "\"first\""));
}

#[tokio::test]
async fn the_output_cap_of_the_tier_binds_and_is_told() {
    let gw = TestGateway::start().await;
    let mut body = question("standard");
    body["max_tokens"] = json!(5_000);
    let reply = gw.chat(&body).await;
    assert_eq!(reply.header("x-headgate-max-tokens"), "1000");
    assert!(gw.mock.requests("first")[0].body.contains("\"max_tokens\":1000"));
}
