//! Limits on tokens, on concurrent calls, on targets and on what a request says of itself, as a caller meets them.

use headgate::simulator::Step;
use serde_json::{Value, json};

use super::{CAP_TOKENS, INPUT_NANO, OUTPUT_NANO, ask, billed, call, hold_nano, input_bound, limited, rows};
use crate::support::{TestGateway, question, until};

fn limit_of(reply: &crate::support::Reply) -> Value {
    reply.json()["error"]["limit"].clone()
}

#[tokio::test]
async fn tokens_are_set_aside_at_their_worst_case_and_what_was_not_used_comes_back() {
    let worst = input_bound(&ask()) + CAP_TOKENS;
    let gw = limited(json!([{ "scope": "user", "tokens": worst + 20, "per": "1h" }])).await;
    gw.mock.script("first", vec![billed(5, 7)]);
    let reply = call(&gw).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-ratelimit-limit-tokens"), (worst + 20).to_string());
    // As the limit stood when the call was admitted.
    assert_eq!(reply.header("x-ratelimit-remaining-tokens"), "20");
    assert_eq!(reply.header("ratelimit-policy"), format!(r#""user-tokens";q={};qu="tokens";w=3600"#, worst + 20));
    assert_eq!(rows(&gw, "user", "tokens").await[0]["used"], 12);
    // 8 more fit beside the worst case of the next, so a second call does and a third does not.
    assert_eq!(call(&gw).await.status, 200);
    let reply = call(&gw).await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "rate_limit_exceeded"));
    let limit = limit_of(&reply);
    let seen = [&limit["scope"], &limit["unit"], &limit["per"], &limit["used"], &limit["asked"]];
    assert_eq!(seen, [&json!("user"), &json!("tokens"), &json!("1h"), &json!(24), &json!(worst)]);
    assert!(reply.message().contains("max_tokens"), "{}", reply.message());
    let mut smaller = ask();
    smaller["max_tokens"] = json!(10);
    assert_eq!(gw.chat(&smaller).await.status, 200);
}

#[tokio::test]
async fn a_call_that_can_never_fit_is_told_to_ask_for_less_and_not_to_wait() {
    let gw = limited(json!([{ "scope": "user", "tokens": 100, "per": "1s" }])).await;
    let reply = call(&gw).await;
    assert_eq!(reply.status, 429);
    assert!(reply.message().starts_with("This call may take"), "{}", reply.message());
    assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), ("", "false"));
}

#[tokio::test]
async fn calls_beyond_the_concurrent_ones_are_refused_until_one_has_ended() {
    let gw = limited(json!([{ "scope": "key", "concurrent": 2 }])).await;
    gw.mock.script("first", vec![Step { latency_ms: 700, ..Step::text("slow") }]);
    let slow = async || gw.chat(&ask()).await.status;
    let beyond = async || {
        until("two calls are open", || gw.mock.counts().calls == 2).await;
        let reply = call(&gw).await;
        assert_eq!((reply.status, reply.code().as_str()), (429, "rate_limit_exceeded"));
        let limit = limit_of(&reply);
        assert_eq!(limit, json!({ "scope": "key", "id": "web", "unit": "concurrent", "limit": 2, "used": 2 }));
        assert_eq!(reply.header("retry-after"), "1");
        assert_eq!(reply.header("ratelimit-policy"), r#""key-concurrent";q=2;qu="concurrent-requests""#);
        assert_eq!(rows(&gw, "key", "concurrent").await[0]["used"], 2);
    };
    let (one, other, ()) = tokio::join!(slow(), slow(), beyond());
    assert_eq!((one, other), (200, 200));
    gw.finished(3).await;
    assert!(rows(&gw, "key", "concurrent").await.is_empty());
    assert_eq!(call(&gw).await.status, 200);
}

#[tokio::test]
async fn each_target_is_charged_what_its_own_attempts_cost() {
    let gw = limited(json!([
        { "scope": "model", "usd": 5, "per": "day" },
        { "scope": "provider", "usd": 5, "per": "day" },
        { "scope": "provider", "requests": 9, "per": "1h" },
        { "scope": "tier", "usd": 5, "per": "hour" },
    ]))
    .await;
    gw.mock.script("first", vec![Step::status(500)]);
    gw.mock.script("second", vec![billed(5, 7)]);
    assert_eq!(gw.chat(&question("standard")).await.status, 200);
    gw.finished(1).await;
    let cost = 5 * INPUT_NANO + 7 * OUTPUT_NANO;
    let spent = async |scope: &str, unit: &str, field: &str| -> Vec<(String, u64)> {
        let rows = rows(&gw, scope, unit).await;
        rows.iter().map(|row| (row["id"].as_str().unwrap().to_owned(), row[field].as_u64().unwrap())).collect()
    };
    assert_eq!(spent("model", "usd", "settled_nano").await, [("anthropic/second".to_owned(), cost)]);
    assert_eq!(spent("provider", "usd", "settled_nano").await, [("anthropic".to_owned(), cost)]);
    // Both were asked.
    let asked = [("anthropic".to_owned(), 1), ("openai".to_owned(), 1)];
    assert_eq!(spent("provider", "requests", "used").await, asked);
    assert_eq!(spent("tier", "usd", "settled_nano").await, [("standard".to_owned(), cost)]);
}

#[tokio::test]
async fn a_budget_of_a_model_binds_every_tier_that_may_call_it() {
    let budget = super::usd(hold_nano(&ask()));
    let gw = limited(json!([{ "scope": "model", "usd": budget, "per": "month", "tz": "Europe/Berlin" }])).await;
    gw.mock.script("first", vec![billed(5, 7)]);
    assert_eq!(call(&gw).await.status, 200);
    let reply = gw.chat(&question("standard")).await;
    assert_eq!((reply.status, reply.code().as_str()), (402, "budget_exceeded"));
    let limit = limit_of(&reply);
    let seen = [&limit["scope"], &limit["id"], &limit["per"], &limit["tz"]];
    assert_eq!(seen, [&json!("model"), &json!("openai/first"), &json!("month"), &json!("Europe/Berlin")]);
    assert!(reply.message().contains("per month (Europe/Berlin)"), "{}", reply.message());
    assert!(reply.header("ratelimit-policy").starts_with(r#""model-usd";q="#), "{}", reply.header("ratelimit-policy"));
}

#[tokio::test]
async fn a_budget_of_a_metadata_key_binds_the_requests_that_carry_it() {
    let gw = limited(json!([{ "scope": "metadata.feature", "requests": 1, "per": "1h" }])).await;
    let tagged = |feature: &str| {
        let mut body = ask();
        body["metadata"] = json!({ "feature": feature });
        body
    };
    let status = async |gw: &TestGateway, body: &Value| gw.chat(body).await.status;
    assert_eq!(status(&gw, &tagged("search")).await, 200);
    assert_eq!(status(&gw, &tagged("search")).await, 429);
    assert_eq!(status(&gw, &tagged("chat")).await, 200);
    for _ in 0..3 {
        assert_eq!(status(&gw, &ask()).await, 200);
    }
    let reply = gw.chat(&tagged("search")).await;
    assert!(reply.message().starts_with("Metadata.feature limit of 1 requests"), "{}", reply.message());
    assert_eq!(limit_of(&reply)["id"], "search");
}
