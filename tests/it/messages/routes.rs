//! The other routes of Anthropic's clients, and who is spoken to in their format.

use serde_json::{Value, json};

use super::{MESSAGES, gateway, question, request};
use crate::support::{KEY, Reply, TestGateway};

const COUNT: &str = "/v1/messages/count_tokens";

async fn count(gw: &TestGateway, body: &Value) -> u64 {
    let reply = Reply::of(request(gw, COUNT, body).send().await.unwrap()).await;
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"), "{:?}", reply.json());
    assert_eq!(reply.header("request-id"), reply.header("x-request-id"));
    reply.json()["input_tokens"].as_u64().expect("a number")
}

#[tokio::test]
async fn tokens_are_counted_without_a_cap_and_without_a_call() {
    let gw = gateway().await;
    let mut body = question("claude");
    body.as_object_mut().unwrap().remove("max_tokens");
    let short = count(&gw, &body).await;
    assert!((5..50).contains(&short), "{short}");
    body["system"] = json!("word ".repeat(300));
    let long = count(&gw, &body).await;
    // 300 words; a token is counted for three bytes.
    assert!((short + 300..short + 600).contains(&long), "{long}");
    body["tools"] = super::tools();
    assert!(count(&gw, &body).await > long);
    assert_eq!(gw.mock.counts().calls, 0);
    assert!(gw.log().is_empty(), "counting is no run");
}

#[tokio::test]
async fn counting_refuses_what_a_call_would_refuse() {
    let gw = gateway().await;
    let reply = Reply::of(request(&gw, COUNT, &json!({ "model": "claude" })).send().await.unwrap()).await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    let call = gw.client.post(gw.url(COUNT)).header("x-api-key", "no-such-key").body(question("claude").to_string());
    assert_eq!(call.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn models_are_listed_in_the_shape_of_the_client_that_asks() {
    let gw = gateway().await;
    let list = |version: bool| {
        let call = gw.client.get(gw.url("/v1/models")).header("x-api-key", KEY);
        if version { call.header("anthropic-version", "2023-06-01") } else { call }
    };
    let body: Value = Reply::of(list(true).send().await.unwrap()).await.json();
    let data = body["data"].as_array().unwrap();
    assert_eq!((&body["has_more"], &body["first_id"]), (&json!(false), &data[0]["id"]));
    assert_eq!(body["last_id"], data[data.len() - 1]["id"]);
    let claude = data.iter().find(|model| model["id"] == "claude").expect("a tier");
    assert_eq!((&claude["type"], &claude["display_name"]), (&json!("model"), &json!("claude")));
    let other: Value = Reply::of(list(false).send().await.unwrap()).await.json();
    let ids =
        |body: &Value| body["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect::<Vec<_>>();
    assert_eq!((&other["object"], ids(&other)), (&json!("list"), ids(&body)));
}

#[tokio::test]
async fn a_wrong_method_or_route_is_told_in_the_format_of_the_client() {
    let gw = gateway().await;
    for path in [MESSAGES, COUNT] {
        let reply = Reply::of(gw.client.get(gw.url(path)).send().await.unwrap()).await;
        assert_eq!((reply.status, &reply.json()["type"]), (405, &json!("error")), "{path}");
    }
    let reply = Reply::of(request(&gw, "/v1/complete", &json!({})).send().await.unwrap()).await;
    assert_eq!((reply.status, &reply.json()["error"]["type"]), (404, &json!("not_found_error")));
    let reply = Reply::of(gw.client.post(gw.url("/v1/complete")).send().await.unwrap()).await;
    assert_eq!((reply.status, reply.code()), (404, "route_not_found".to_owned()));
}
