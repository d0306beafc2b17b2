//! `headgate explain`: what a person who was not there reads about odd runs. Each test gives the sentences that matter.

mod lost;
mod refusals;

use std::path::Path;

use headgate::simulator::{FixedUsage, Step, UsageReport};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{run, text};
use crate::support::redis::RedisServer;
use crate::support::wire::Wire;
use crate::support::{Reply, TestGateway, config, mock, question, streamed};

/// What the built binary prints about `run` of the config in `folder`, without line breaks inside of paragraphs.
fn explained(folder: &Path, run_id: &str) -> String {
    let shown = run(folder, &["explain", run_id]);
    assert_eq!((shown.status.code(), text(&shown.stderr).as_str()), (Some(0), ""), "{run_id}");
    let told = text(&shown.stdout);
    // For whoever reads the outputs themselves: `cargo test explain -- --nocapture`.
    told
}

/// The story of the run that `reply` belongs to.
fn story(gw: &TestGateway, reply: &Reply) -> String {
    explained(gw.folder.path(), reply.header("x-headgate-run"))
}

fn assert_tells(story: &str, sentences: &[&str]) {
    for sentence in sentences {
        assert!(story.contains(sentence), "`{sentence}` is not in:\n{story}");
    }
}

#[tokio::test]
async fn a_fallback_is_told_with_both_attempts_and_the_limits_before_and_after() {
    let gw = TestGateway::with(|config| {
        config["limits"] =
            json!([{ "scope": "user", "usd": 5, "per": "day" }, { "scope": "key", "requests": 10, "per": "1m" }]);
    })
    .await;
    gw.mock.script("first", vec![Step::status(503)]);
    let reply = gw.ask("standard").await;
    assert_tells(
        &story(&gw, &reply),
        &[
            "was answered, after failed attempts",
            "key web of team product asked for model \"standard\" in the openai_chat format, as one answer.",
            "That is the tier standard. Config generation 1 was in force.",
            "1. openai/first failed after ",
            "with HTTP 503 (server_is_overloaded), judged retryable: no tokens, $0",
            "2. anthropic/second answered in",
            "The client got its whole answer in",
            "It was charged $0.000",
            "dollars per day     user web  $5    $0",
            "requests in any 1m  key web   10    0",
        ],
    );
}

#[tokio::test]
async fn a_clamped_answer_is_told_with_both_caps_and_what_was_left_out() {
    let gw = TestGateway::start().await;
    let mut body = question("single");
    body["max_tokens"] = json!(5_000);
    body["api_base"] = json!("http://elsewhere.example");
    let reply = gw.chat(&body).await;
    assert_tells(
        &story(&gw, &reply),
        &[
            "The output was capped at 1000 tokens; the client had asked for 5000.",
            "These fields of the request were left out: api_base.",
        ],
    );
}

#[tokio::test]
async fn a_stream_that_was_cut_at_its_hold_is_told_as_cut_by_the_gateway() {
    let gw = TestGateway::start().await;
    let usage = FixedUsage { input: Some(json!(10)), output: Some(json!(900_000)), ..FixedUsage::default() };
    let endless =
        Step { words: Some(10_000), ignore_max_tokens: true, usage: UsageReport::Fixed(usage), ..Step::default() };
    gw.mock.script("first", vec![endless]);
    let reply = gw.chat(&streamed("single")).await;
    gw.finished(1).await;
    assert_tells(
        &story(&gw, &reply),
        &[
            "was cut short, because it had used up what was set aside for it",
            "as a stream",
            "1. openai/first was cut off after",
            "which is 100.0 % of the",
            "with an answer that ends as if its length were used up",
        ],
    );
}

#[tokio::test]
async fn a_client_that_hung_up_is_told_as_gone_and_charged_for_what_it_got() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![Step { words: Some(10_000), gap_ms: 20, ..Step::default() }]);
    let mut wire = Wire::chat(&gw, &streamed("single"), &[]).await;
    wire.head().await;
    wire.until(|text| text.matches("\n\n").count() > 8).await;
    drop(wire);
    let run = gw.finished(1).await["run"].as_str().expect("an id").to_owned();
    assert_tells(
        &explained(gw.folder.path(), &run),
        &[
            "ended because its client left",
            "1. openai/first was stopped after",
            ", when the client left: ",
            "by the gateway's own count",
            "what it had been sent until then is charged",
        ],
    );
}

#[tokio::test]
async fn a_provider_that_refuses_our_key_is_told_as_our_problem() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![Step::status(401)]);
    let reply = gw.ask("single").await;
    assert_tells(
        &story(&gw, &reply),
        &[
            "with HTTP 401 (invalid_api_key), judged permanent",
            "The client got HTTP 502 (upstream_auth) after",
            "The provider does not accept the gateway's own key",
            "It cost nothing; $0.01",
        ],
    );
}

#[tokio::test]
async fn explain_reads_redis_as_well_beside_the_gateway() {
    let folder = TempDir::new().expect("a temporary folder");
    let redis = RedisServer::start(folder.path());
    let gw = TestGateway::with(|config| {
        config["store"] = json!(redis.url());
        config["limits"] = json!([{ "scope": "user", "requests": 1, "per": "1h" }]);
    })
    .await;
    let (first, second) = (gw.ask("standard").await, gw.ask("standard").await);
    assert_tells(&story(&gw, &first), &["was answered", "It was charged $0.000"]);
    assert_tells(&story(&gw, &second), &["was refused", "user web may make 1 request in any 1h, and 1 had been made."]);
}

#[tokio::test]
async fn a_run_that_nobody_knows_is_an_exit_code_of_its_own() {
    let folder = TempDir::new().expect("a temporary folder");
    let mock = mock().await;
    std::fs::write(folder.path().join("config.yaml"), config(&mock).to_string()).expect("a writable folder");
    let serving = crate::process::Serving::start(folder.path(), &[]).await;
    let unknown = run(folder.path(), &["explain", "run_00000000000000000000000000000000"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("nothing is known of run_0000"), "{}", text(&unknown.stderr));
    let no_id = run(folder.path(), &["explain", "chatcmpl-1"]);
    assert_eq!(no_id.status.code(), Some(2));
    assert!(text(&no_id.stderr).contains("starts with run_"), "{}", text(&no_id.stderr));
    assert_eq!(serving.stop().2, Some(0));
}

#[tokio::test]
async fn the_json_of_explain_is_the_receipt() {
    let gw = TestGateway::start().await;
    let run_id = gw.ask("standard").await.header("x-headgate-run").to_owned();
    let shown = run(gw.folder.path(), &["explain", &run_id, "--json"]);
    let explained: Value = serde_json::from_slice(&shown.stdout).expect("JSON and nothing else");
    let receipt = gw.client.get(gw.url(&format!("/v1/requests/{run_id}"))).bearer_auth(crate::support::KEY);
    assert_eq!(explained, Reply::of(receipt.send().await.expect("an answer")).await.json());
    assert_eq!(explained["asked"], "standard");
}
