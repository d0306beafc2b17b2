//! Runaway guards as the looping client meets them.

use headgate::simulator::Step;
use serde_json::{Value, json};

use super::{ask, billed, call, rows};
use crate::support::TestGateway;

async fn guarded(guards: Value) -> TestGateway {
    TestGateway::with(|config| config["guards"] = guards).await
}

#[tokio::test]
async fn a_client_that_retries_one_request_forever_is_stopped_and_told_why() {
    let gw = guarded(json!({ "loop": { "same": 4, "in": "60s" } })).await;
    // A verbose model whose answer the client never likes.
    gw.mock.script("first", vec![billed(50, 1_000)]);
    let mut seen = Vec::new();
    for _ in 0..60 {
        seen.push(call(&gw).await.status);
    }
    assert_eq!(seen.iter().filter(|status| **status == 200).count(), 4);
    assert_eq!(gw.mock.counts().calls, 4);
    let reply = call(&gw).await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "loop_detected"));
    assert!(reply.message().contains("loop guard"), "{}", reply.message());
    let limit = &reply.json()["error"]["limit"];
    let named = [&limit["guard"], &limit["scope"], &limit["id"], &limit["limit"], &limit["per"]];
    assert_eq!(named, [&json!("loop"), &json!("user"), &json!("web"), &json!(4), &json!("1m")]);
    // An SDK that retries by itself is part of the loop.
    assert_eq!(reply.header("x-should-retry"), "false");
    // Another question is nobody's loop.
    let mut other = ask();
    other["messages"][0]["content"] = json!("say something else");
    assert_eq!(gw.chat(&other).await.status, 200);
}

#[tokio::test]
async fn a_key_can_be_spared_the_loop_guard() {
    let gw = TestGateway::with(|config| {
        config["guards"] = json!({ "loop": { "same": 1, "in": "60s" } });
        config["keys"][0]["guards"] = json!({ "loop": "off" });
    })
    .await;
    for _ in 0..3 {
        assert_eq!(call(&gw).await.status, 200);
    }
}

#[tokio::test]
async fn spending_too_fast_is_refused_by_the_guards_name() {
    let hold = super::hold_nano(&ask());
    let gw = guarded(json!({ "usd_per_hour": super::usd(hold + 1_000) })).await;
    gw.mock.script("first", vec![billed(5, 700), Step::text("more")]);
    assert_eq!(call(&gw).await.status, 200);
    let reply = call(&gw).await;
    assert_eq!((reply.status, reply.code().as_str()), (402, "budget_exceeded"));
    assert!(reply.message().starts_with("User spend guard (usd_per_hour) $"), "{}", reply.message());
    let limit = &reply.json()["error"]["limit"];
    assert_eq!([&limit["guard"], &limit["unit"], &limit["per"]], [&json!("usd_per_hour"), &json!("usd"), &json!("1h")]);
    let rows = rows(&gw, "user", "usd").await;
    let guard = rows.iter().find(|row| row["guard"] == "usd_per_hour").expect("the guard is shown");
    assert_eq!(guard["limit_nano"], hold + 1_000);
}
