//! `moderation:` of a tier: what users say is judged before a model hears it.

use std::time::Duration;

use headgate::simulator::{ErrorWords, Fault, StatusFault, Step};
use serde_json::{Value, json};

use crate::support::rest::counted;
use crate::support::wire::Wire;
use crate::support::{KEY, Reply, TestGateway, question, streamed, until};

const JUDGE: &str = "omni-moderation-latest";

/// Tier `standard`, which has a fallback, is judged by the OpenAI account.
async fn judged(edit: impl FnOnce(&mut Value)) -> TestGateway {
    TestGateway::with(|config| {
        counted(config);
        config["tiers"]["standard"]["moderation"] = json!({ "provider": "openai", "model": JUDGE });
        edit(config);
    })
    .await
}

fn saying(text: &str) -> Value {
    let mut body = question("standard");
    body["messages"][0]["content"] = json!(text);
    body
}

fn calls(gw: &TestGateway) -> [u64; 3] {
    [JUDGE, "first", "second"].map(|model| gw.mock.model_counts(model).calls)
}

async fn receipt(gw: &TestGateway, reply: &Reply) -> Value {
    let url = gw.url(&format!("/v1/requests/{}", reply.header("x-headgate-run")));
    let reply = gw.client.get(url).bearer_auth(KEY).send().await.expect("an answer");
    serde_json::from_slice(&reply.bytes().await.expect("a body")).expect("JSON")
}

#[tokio::test]
async fn what_nobody_minds_goes_on_to_the_model_and_the_judgement_is_recorded() {
    let gw = judged(|_| {}).await;
    for body in [question("standard"), streamed("standard")] {
        assert_eq!(gw.chat(&body).await.status, 200);
    }
    assert_eq!(calls(&gw), [2, 2, 0]);
    let sent: Value = serde_json::from_str(&gw.mock.requests(JUDGE)[0].body).unwrap();
    assert_eq!(sent, json!({ "model": JUDGE, "input": ["say hello"] }));
    let line = gw.finished(1).await;
    assert_eq!(line["moderation"]["target"], format!("openai/{JUDGE}"), "{line}");
    assert!(line["moderation"]["judgement"] == "passed" && line["moderation"]["ms"].is_u64(), "{line}");
    assert_eq!(line["attempts"].as_array().map(Vec::len), Some(1), "a judgement is no attempt");
    let name = format!("headgate_moderations_total{{target=\"openai/{JUDGE}\",judgement=\"passed\"}} 2");
    assert!(gw.metrics().await.contains(&name));
    assert_eq!(gw.ask("single").await.status, 200);
    assert_eq!(calls(&gw)[0], 2, "a tier without moderation is not judged");
}

#[tokio::test]
async fn what_is_flagged_reaches_no_model_costs_nothing_and_says_why() {
    let gw = judged(|_| {}).await;
    for stream in [false, true] {
        let mut body = saying("please mock-flagged this");
        body["stream"] = json!(stream);
        let reply = gw.chat(&body).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "content_policy_violation"));
        assert!(reply.message().contains("violence"), "{}", reply.message());
        assert_eq!((reply.header("x-should-retry"), reply.header("x-headgate-attempts")), ("false", "0"));
        let receipt = receipt(&gw, &reply).await;
        assert_eq!((&receipt["moderation"]["judgement"], &receipt["price_nano"]), (&json!("flagged"), &json!(0)));
        assert_eq!(receipt["moderation"]["categories"], json!(["violence"]));
    }
    assert_eq!(calls(&gw), [2, 0, 0], "neither the model nor its fallback heard it");
    assert_eq!(gw.at_rest().await, 0);
    assert_eq!(gw.finished(1).await["outcome"], "refused");
}

#[tokio::test]
async fn a_client_of_anthropics_format_hears_it_in_its_own_words() {
    let gw = judged(|_| {}).await;
    let body =
        json!({ "model": "standard", "max_tokens": 10, "messages": [{ "role": "user", "content": "mock-flagged" }] });
    let request = gw.client.post(gw.url("/v1/messages")).header("x-api-key", KEY).body(body.to_string());
    let reply = Reply::of(request.send().await.unwrap()).await;
    assert_eq!((reply.status, reply.json()["error"]["type"].as_str()), (400, Some("invalid_request_error")));
    assert!(String::from_utf8_lossy(&reply.body).contains("content_policy_violation"));
    assert_eq!(calls(&gw), [1, 0, 0]);
}

#[tokio::test]
async fn every_turn_and_every_image_of_the_user_is_judged_and_nothing_of_the_models() {
    let gw = judged(|_| {}).await;
    let image = |url: &str| json!({ "type": "image_url", "image_url": { "url": url } });
    let mut body = question("standard");
    body["messages"] = json!([
        { "role": "system", "content": "mock-flagged words of the operator" },
        { "role": "user", "content": "first" },
        { "role": "assistant", "content": "mock-flagged words of the model" },
        { "role": "user", "content": [{ "type": "text", "text": "second" }, image("https://a/1"), image("data:image/png;base64,QUJD")] },
    ]);
    assert_eq!(gw.chat(&body).await.status, 200);
    let inputs: Vec<Value> = (gw.mock.requests(JUDGE).iter())
        .map(|seen| serde_json::from_str::<Value>(&seen.body).unwrap()["input"].take())
        .collect();
    let images = [json!([image("https://a/1")]), json!([image("data:image/png;base64,QUJD")])];
    assert_eq!(inputs, [json!(["first", "second"]), images[0].clone(), images[1].clone()]);
    body["messages"][3]["content"][1] = image("https://a/mock-flagged");
    assert_eq!(gw.chat(&body).await.code(), "content_policy_violation");
    body["messages"][3]["content"] = json!("second");
    body["messages"][1]["content"] = json!("mock-flagged");
    assert_eq!(gw.chat(&body).await.code(), "content_policy_violation", "an earlier turn counts too");
}

#[tokio::test]
async fn mistrals_judge_has_no_verdict_of_its_own_and_is_understood_all_the_same() {
    let gw = judged(|config| {
        let url = config["providers"]["openai"]["base_url"].clone();
        config["providers"]["mistral"] = json!({ "kind": "mistral", "base_url": url });
        let judge = json!({ "provider": "mistral", "model": "mistral-moderation-latest" });
        config["tiers"]["standard"]["moderation"] = judge;
    })
    .await;
    assert_eq!(gw.chat(&saying("hello")).await.status, 200);
    let reply = gw.chat(&saying("mock-flagged")).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "content_policy_violation"));
    assert!(reply.message().contains("violence_and_threats"), "{}", reply.message());
}

fn failures() -> Vec<(&'static str, Step)> {
    let broken = [Fault::Html, Fault::ErrorObject, Fault::EmptyBody, Fault::TruncatedJson, Fault::ResetBeforeHead];
    let mut steps: Vec<(&str, Step)> = broken.into_iter().map(|fault| ("no judgement", Step::fault(fault))).collect();
    steps.extend([("a 500", Step::status(500)), ("a 401", Step::status(401)), ("a 404", Step::status(404))]);
    steps.push(("silence", Step::fault(Fault::HangBeforeHead)));
    steps
}

#[tokio::test]
async fn without_a_judgement_a_tier_denies_unless_it_says_otherwise() {
    for (name, step) in failures() {
        for (on_error, status, code) in [("deny", 503, "moderation_unavailable"), ("allow", 200, "")] {
            let gw = judged(|config| {
                config["tiers"]["standard"]["moderation"]["on_error"] = json!(on_error);
                config["tiers"]["standard"]["moderation"]["timeout"] = json!("300ms");
            })
            .await;
            gw.mock.script(JUDGE, vec![step.clone()]);
            let reply = gw.chat(&saying("hello")).await;
            let seen = if status == 200 { String::new() } else { reply.code() };
            assert_eq!((reply.status, seen.as_str()), (status, code), "{name}, {on_error}");
            assert_eq!(gw.mock.model_counts("first").calls, u64::from(status == 200), "{name}, {on_error}");
            let line = gw.finished(1).await;
            assert_eq!(line["moderation"]["judgement"], "failed", "{name}: {line}");
            assert!(line["moderation"]["error"].is_string(), "{name}: {line}");
            gw.at_rest().await;
        }
    }
}

#[tokio::test]
async fn a_judge_that_fails_again_and_again_is_not_waited_for() {
    let gw = judged(|config| config["breaker"] = json!({ "errors": 2, "open": "1m" })).await;
    gw.mock.script(JUDGE, vec![Step::status(500)]);
    for _ in 0..4 {
        assert_eq!(gw.chat(&saying("hello")).await.code(), "moderation_unavailable");
    }
    assert_eq!(calls(&gw), [2, 0, 0]);
}

#[tokio::test]
async fn a_judges_key_that_is_out_of_credit_hands_over_to_the_next() {
    let mock = crate::support::mock().await;
    let mut config = crate::support::config(&mock);
    config["providers"]["openai"]["api_keys"] = json!(["file:one.key", "file:two.key"]);
    config["tiers"]["standard"]["moderation"] = json!({ "provider": "openai", "model": JUDGE });
    let folder = tempfile::TempDir::new().unwrap();
    let files = [("one.key", "key-number-one"), ("two.key", "key-number-two")];
    let gw = TestGateway::start_in(mock, folder, &config, &files).await.unwrap();
    let error = ErrorWords { code: Some("insufficient_quota".into()), ..ErrorWords::default() };
    let spent = Step::fault(Fault::Status(StatusFault { status: 429, error, ..StatusFault::default() }));
    gw.mock.script(JUDGE, vec![spent, Step::default()]);
    assert_eq!(gw.chat(&saying("hello")).await.status, 200);
    let used: Vec<_> =
        gw.mock.requests(JUDGE).iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    let bearer = |key: &str| Some(format!("Bearer {key}"));
    assert_eq!(used, [bearer("key-number-one"), bearer("key-number-two")]);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_judgement() {
    let gw = judged(|config| config["tiers"]["standard"]["moderation"]["timeout"] = json!("1m")).await;
    gw.mock.script(JUDGE, vec![Step::fault(Fault::HangBeforeHead)]);
    let wire = Wire::chat(&gw, &saying("hello"), &[]).await;
    until("the judge was asked", || gw.mock.model_counts(JUDGE).calls == 1).await;
    let left = tokio::time::Instant::now();
    drop(wire);
    let line = gw.finished(1).await;
    assert_eq!((&line["outcome"], &line["moderation"]["judgement"]), (&json!("client_gone"), &json!("client_gone")));
    assert!(left.elapsed() < Duration::from_secs(10), "the judge's clock was waited for");
    assert_eq!(gw.at_rest().await, 0);
    assert_eq!(calls(&gw), [1, 0, 0]);
}

#[tokio::test]
async fn flagged_calls_count_as_requests_so_that_a_flood_has_no_judge_for_free() {
    let limit = |config: &mut Value| config["limits"] = json!([{ "scope": "user", "requests": 2, "per": "1h" }]);
    let gw = judged(limit).await;
    for _ in 0..2 {
        assert_eq!(gw.chat(&saying("mock-flagged")).await.status, 400);
    }
    assert_eq!(gw.chat(&saying("mock-flagged")).await.code(), "rate_limit_exceeded");
    assert_eq!(calls(&gw), [2, 0, 0]);
}

#[tokio::test]
async fn a_budget_that_is_spent_is_told_before_any_judge_is_asked() {
    let gw = judged(|config| config["limits"] = json!([{ "scope": "global", "usd": 0.000001, "per": "day" }])).await;
    assert_eq!(gw.chat(&saying("hello")).await.code(), "budget_exceeded");
    assert_eq!(calls(&gw), [0, 0, 0]);
}
