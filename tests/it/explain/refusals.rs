//! Refused runs: which limit, guard, policy or judge said no, and when the same fits again.

use headgate::simulator::{Fault, Step};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{assert_tells, story};
use crate::support::wire::Wire;
use crate::support::{Reply, TestGateway, config, mock, question, until};

/// The second of two equal calls, which this limit refuses.
async fn refused_by(limit: Value) -> (TestGateway, Reply) {
    let gw = TestGateway::with(|config| config["limits"] = json!([limit])).await;
    assert_eq!(gw.ask("single").await.status, 200);
    let reply = gw.ask("single").await;
    assert!(matches!(reply.status, 402 | 429), "{}", reply.status);
    (gw, reply)
}

#[tokio::test]
async fn a_spent_budget_is_told_with_what_was_used_what_was_asked_and_when_it_heals() {
    let (gw, reply) = refused_by(json!({ "scope": "user", "usd": "0.0101", "per": "day" })).await;
    assert_tells(
        &story(&gw, &reply),
        &[
            "was refused",
            "A limit refused it: user web may spend $0.0101 per day; $0.000",
            "were used or held, and this call could take $0.01",
            "It would fit from 20",
            "00:00:00 UTC on",
            "It took nothing from any limit.",
            "The client got HTTP 402 (budget_exceeded)",
            "It cost nothing, and nothing was set aside; it could have cost $0.01",
        ],
    );
}

#[tokio::test]
async fn limits_on_requests_and_tokens_are_told_in_their_own_units() {
    let (gw, reply) = refused_by(json!({ "scope": "team", "requests": 1, "per": "1m" })).await;
    let sentence = "team product may make 1 request in any 1m, and 1 had been made. It would fit from";
    assert_tells(&story(&gw, &reply), &[sentence, "(rate_limit_exceeded)"]);
    let (gw, reply) = refused_by(json!({ "scope": "tier", "tokens": 1_060, "per": "hour" })).await;
    assert_tells(&story(&gw, &reply), &["tier single may use 1060 tokens per hour; ", "and this call could take 1"]);
}

#[tokio::test]
async fn a_limit_on_concurrent_calls_is_told_to_heal_when_one_ends() {
    let gw = TestGateway::with(|config| config["limits"] = json!([{ "scope": "model", "concurrent": 1 }])).await;
    gw.mock.script("first", vec![Step::fault(Fault::HangBeforeHead)]);
    let _first = Wire::chat(&gw, &question("single"), &[]).await;
    until("the first call is under way", || gw.mock.counts().open_calls == 1).await;
    let reply = gw.ask("single").await;
    let sentence = "model openai/first may have 1 call open at the same time, and 1 were open.";
    assert_tells(&story(&gw, &reply), &[sentence, "It fits as soon as another call ends."]);
}

#[tokio::test]
async fn a_guard_is_told_apart_from_a_limit() {
    let gw = TestGateway::with(|config| config["guards"] = json!({ "loop": { "same": 1, "in": "60s" } })).await;
    gw.ask("single").await;
    let reply = gw.ask("single").await;
    let sentence =
        "The loop guard refused it: user web may send one request 1 time in any 1m and had sent this very one 1 time";
    assert_tells(&story(&gw, &reply), &[sentence, "(loop_detected)"]);

    let gw = TestGateway::with(|config| config["guards"] = json!({ "usd_per_hour": { "user": "0.0101" } })).await;
    gw.ask("single").await;
    let reply = gw.ask("single").await;
    assert_tells(
        &story(&gw, &reply),
        &["The spend guard refused it: user web may spend $0.0101 in any 1h", "(budget_exceeded)"],
    );
}

#[tokio::test]
async fn a_policys_denial_is_told_in_the_policys_words() {
    let mock = mock().await;
    let mut config = config(&mock);
    config["policies"] = json!({ "admission": "admission.lua" });
    let script = r#"return function() return deny { code = "no_luck", message = "Ask on Monday." } end"#;
    let folder = TempDir::new().expect("a temporary folder");
    let gw = TestGateway::start_in(mock, folder, &config, &[("admission.lua", script)]).await.expect("it starts");
    let reply = gw.ask("single").await;
    let sentences =
        ["The admission policy denied it.", "The client got HTTP 403 (no_luck)", "was told: Ask on Monday."];
    assert_tells(&story(&gw, &reply), &sentences);
}

#[tokio::test]
async fn a_flagged_call_is_told_with_the_judge_and_what_it_found() {
    let gw = TestGateway::with(|config| {
        let judge = json!({ "provider": "openai", "model": "omni-moderation-latest" });
        config["tiers"]["standard"]["moderation"] = judge;
    })
    .await;
    let mut body = question("standard");
    body["messages"][0]["content"] = json!("mock-flagged");
    let reply = gw.chat(&body).await;
    assert_tells(
        &story(&gw, &reply),
        &[
            "The moderation of the tier refused it.",
            "Moderation by openai/omni-moderation-latest flagged it",
            "(content_policy_violation)",
            "It cost nothing; $0.01",
        ],
    );
}

#[tokio::test]
async fn a_cost_cap_and_an_unknown_model_are_told_as_what_they_are() {
    let gw = TestGateway::with(|config| config["request"] = json!({ "cost_cap_usd": "0.001" })).await;
    let reply = gw.ask("single").await;
    assert_tells(&story(&gw, &reply), &["The cost cap per request refused it", "(cost_cap_exceeded)"]);
    let reply = gw.ask("no-such-model").await;
    assert_tells(&story(&gw, &reply), &["It was refused before its tier was settled.", "(model_not_found)"]);
}
