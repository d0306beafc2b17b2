//! Budgets as one caller meets them.

use headgate::simulator::Step;
use serde_json::json;

use super::{INPUT_NANO, OUTPUT_NANO, ask, billed, call, hold_nano, limited, rows, usd};
use crate::support::{Reply, TestGateway};

/// The next UTC midnight as the gateway writes it.
fn midnight() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let next = i64::try_from((seconds / 86_400 + 1) * 86_400).unwrap();
    jiff::Timestamp::from_second(next).unwrap().to_string()
}

#[tokio::test]
async fn a_refusal_names_the_limit_its_window_its_reset_and_what_was_asked() {
    let (hold, cost) = (hold_nano(&ask()), 5 * INPUT_NANO + 7 * OUTPUT_NANO);
    let limit = hold + cost - 1;
    let gw = limited(json!([
        { "scope": "user", "usd": 5, "per": "day" },
        { "scope": "team", "usd": usd(limit), "per": "day" },
        { "scope": "global", "usd": 50, "per": "day" },
    ]))
    .await;
    gw.mock.script("first", vec![billed(5, 7)]);
    assert_eq!(call(&gw).await.status, 200);

    let reply = call(&gw).await;
    assert_eq!((reply.status, reply.code().as_str()), (402, "budget_exceeded"));
    let expected = json!({
        "scope": "team", "id": "product", "unit": "usd", "per": "day", "limit_nano": limit, "used_nano": cost,
        "asked_nano": hold, "resets_at": midnight(),
    });
    assert_eq!(reply.json()["error"]["limit"], expected);
    for part in ["Team", "per day", &midnight()] {
        assert!(reply.message().contains(part), "{part} is not in: {}", reply.message());
    }
    // Longer than a minute: SDKs that sleep as long as they are told must not be told.
    assert_eq!((reply.header("retry-after"), reply.header("x-should-retry")), ("", "false"));
    assert_eq!(reply.header("x-headgate-attempts"), "0");
    assert_eq!(gw.mock.counts().calls, 1);
    let line = gw.finished(2).await;
    assert_eq!((&line["outcome"], &line["status"], &line["cost_nano"]), (&json!("refused"), &json!(402), &json!(0)));
}

#[tokio::test]
async fn what_one_limit_refuses_is_on_no_account_at_all() {
    let gw = limited(json!([
        { "scope": "user", "usd": 5, "per": "day" },
        { "scope": "user", "requests": 10, "per": "1h" },
        { "scope": "global", "usd": usd(hold_nano(&ask()) - 1), "per": "day" },
    ]))
    .await;
    for _ in 0..20 {
        let reply = call(&gw).await;
        assert_eq!((reply.status, reply.json()["error"]["limit"]["scope"].as_str()), (402, Some("global")));
    }
    for (scope, unit, used) in
        [("user", "usd", "settled_nano"), ("user", "usd", "held_nano"), ("user", "requests", "used")]
    {
        let sum: u64 = rows(&gw, scope, unit).await.iter().map(|row| row[used].as_u64().unwrap()).sum();
        assert_eq!(sum, 0, "{used}");
    }
    assert_eq!(gw.mock.counts().calls, 0);
}

#[tokio::test]
async fn a_caller_that_waits_for_its_answers_is_served_while_the_next_worst_case_fits() {
    let (hold, cost) = (hold_nano(&ask()), 5 * INPUT_NANO + 100 * OUTPUT_NANO);
    let limit = hold + 12 * cost + cost / 2;
    // After 12 settled calls the 13th still fits, after 13 the 14th does not.
    let gw = limited(json!([{ "scope": "user", "usd": usd(limit), "per": "day" }])).await;
    gw.mock.script("first", vec![billed(5, 100)]);
    for nth in 1..=13 {
        let reply = call(&gw).await;
        assert_eq!(reply.status, 200, "call {nth}: {}", String::from_utf8_lossy(&reply.body));
    }
    let reply = call(&gw).await;
    assert_eq!(reply.status, 402);
    assert_eq!(reply.json()["error"]["limit"]["used_nano"], 13 * cost);
    // Asking for less is what the message advises, and it helps.
    assert!(reply.message().contains("max_tokens"));
    let mut smaller = ask();
    smaller["max_tokens"] = json!(10);
    assert_eq!(gw.chat(&smaller).await.status, 200);
}

#[tokio::test]
async fn a_call_that_never_reached_a_provider_gives_its_hold_back() {
    let gw = TestGateway::with(|config| {
        config["limits"] = json!([{ "scope": "global", "usd": 5, "per": "day" }]);
        // Nothing listens there.
        config["providers"]["openai"]["base_url"] = json!("http://127.0.0.1:9/v1");
    })
    .await;
    let reply = call(&gw).await;
    assert!((500..600).contains(&reply.status), "{}", reply.status);
    gw.finished(1).await;
    assert_eq!(gw.spent("global").await, (0, 0));
}

#[tokio::test]
async fn an_http_error_costs_nothing_and_an_answer_costs_what_it_says() {
    let gw = limited(json!([{ "scope": "global", "usd": 5, "per": "day" }])).await;
    gw.mock.script("first", vec![Step::status(400), billed(11, 3)]);
    assert_eq!(call(&gw).await.status, 400);
    assert_eq!(gw.spent("global").await, (0, 0));
    let reply: Reply = call(&gw).await;
    assert_eq!(reply.header("x-headgate-cost-usd"), "0.000041");
    assert_eq!(gw.spent("global").await, (41_000, 0));
}
