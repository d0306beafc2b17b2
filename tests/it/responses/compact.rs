//! A dialogue is compacted by the model of any provider, and goes on at any other.

use headgate::simulator::Step;
use serde_json::{Value, json};

use super::{RESPONSES, TIERS, ask, gateway, request};
use crate::support::{Reply, TestGateway};

async fn compact(gw: &TestGateway, body: &Value) -> Reply {
    Reply::of(request(gw, &format!("{RESPONSES}/compact"), body).send().await.expect("an answer")).await
}

fn dialogue(tier: &str) -> Value {
    json!({ "model": tier, "instructions": "Be brief.", "input": [
        { "role": "user", "content": "My name is Alice." },
        { "role": "assistant", "content": "Hello, Alice. You are in Zürich, and it rains." },
    ] })
}

#[tokio::test]
async fn a_dialogue_becomes_what_its_user_said_and_a_summary_that_any_provider_can_go_on_from() {
    let gw = gateway().await;
    for tier in TIERS {
        gw.mock.script("first", vec![Step::text("Alice is in rainy Zürich."), Step::text("Zürich.")]);
        let reply = compact(&gw, &dialogue(tier)).await;
        assert_eq!(reply.status, 200, "{tier}: {}", String::from_utf8_lossy(&reply.body));
        let compaction = reply.json();
        assert_eq!(compaction["object"], "response.compaction", "{tier}");
        assert!(compaction["usage"]["output_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{tier}");
        let output = compaction["output"].as_array().expect("a list").clone();
        let kinds: Vec<&str> = output.iter().filter_map(|item| item["type"].as_str()).collect();
        assert_eq!(kinds, ["message", "compaction"], "{tier}");
        let asked = gw.mock.requests("first").pop().expect("a request").body;
        assert!(asked.contains("it rains") && asked.contains("Summarize the conversation"), "{tier}: {asked}");
        for next in TIERS {
            let mut input = output.clone();
            input.push(json!({ "role": "user", "content": "Where am I?" }));
            assert_eq!(ask(&gw, &json!({ "model": next, "input": input })).await.status, 200, "{tier} {next}");
            let seen = gw.mock.requests("first").pop().expect("a request").body;
            assert!(seen.contains("Alice is in rainy Zürich."), "{tier} {next}: {seen}");
            assert!(!seen.contains("it rains") && !seen.contains("encrypted_content"), "{tier} {next}: {seen}");
        }
    }
}

#[tokio::test]
async fn a_stored_response_is_compacted_with_all_that_came_before_it() {
    let gw = gateway().await;
    gw.mock.script("first", vec![Step::text("Hello, Alice.")]);
    let told = ask(&gw, &json!({ "model": "openai", "input": "My name is Alice." })).await.json();
    let body = json!({ "model": "anthropic", "previous_response_id": told["id"] });
    assert_eq!(compact(&gw, &body).await.status, 200);
    let seen = gw.mock.requests("first").pop().expect("a request").body;
    assert!(seen.contains("My name is Alice.") && seen.contains("Hello, Alice."), "{seen}");
}

#[tokio::test]
async fn what_can_not_be_compacted_is_refused_before_any_provider_is_asked() {
    let gw = gateway().await;
    for (field, value, param) in [
        ("model", Value::Null, "model"),
        ("input", json!([]), "input"),
        ("stream", json!(true), "stream"),
        ("input", json!([{ "type": "compaction", "encrypted_content": "theirs" }]), "input[0]"),
    ] {
        let mut body = dialogue("openai");
        body[field] = value;
        let reply = compact(&gw, &body).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(param)), "{body}");
    }
    assert_eq!(gw.mock.counts().calls, 0);
}
