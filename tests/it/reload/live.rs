//! Good edits.

use headgate::simulator::{Fault, Step};
use serde_json::{Value, json};

use super::{LIVE, editable, in_force, pretty, reloads, under_load, write};
use crate::support::wire::Wire;
use crate::support::{TestGateway, streamed};

#[tokio::test]
async fn edits_of_a_model_a_budget_and_a_policy_are_live_at_once_and_no_call_fails() {
    let (gw, mut config) = editable().await;
    under_load(&gw, async {
        assert_eq!(gw.ask("standard").await.header("x-headgate-model"), "openai/first");
        config["tiers"]["standard"]["primary"] = json!("openai/second");
        write(&gw, "config.yaml", &pretty(&config));
        in_force(&gw, 2).await;
        assert_eq!(gw.ask("standard").await.header("x-headgate-model"), "openai/second");

        config["limits"][0]["usd"] = json!(40);
        write(&gw, "config.yaml", &pretty(&config));
        in_force(&gw, 3).await;
        let usage = gw.usage().await;
        let global = usage["limits"].as_array().unwrap().iter().find(|row| row["scope"] == "global").unwrap();
        assert_eq!(global["limit_nano"], 40_000_000_000_u64, "{usage}");

        write(&gw, "admission.lua", "return function(request) return allow { max_tokens = 7 } end");
        in_force(&gw, 4).await;
        let calls = gw.mock.requests("second").len();
        gw.ask("standard").await;
        let bodies: Vec<Value> =
            gw.mock.requests("second")[calls..].iter().map(|seen| serde_json::from_str(&seen.body).unwrap()).collect();
        assert!(bodies.iter().any(|body| body["max_tokens"] == 7 || body["max_completion_tokens"] == 7), "{bodies:?}");
    })
    .await;
    assert_eq!((reloads(&gw, "ok").await, reloads(&gw, "refused").await), (3, 0));
    assert!(gw.metrics().await.lines().any(|line| line == "headgate_config_generation 4"));
    gw.at_rest().await;
}

#[tokio::test]
async fn writing_the_same_text_again_is_no_edit() {
    let (gw, mut config) = editable().await;
    for _ in 0..3 {
        write(&gw, "config.yaml", &pretty(&config));
        write(&gw, "admission.lua", super::POLICY);
    }
    // What is noticed after it proves that it was looked at.
    config["default_tier"] = json!("single");
    write(&gw, "config.yaml", &pretty(&config));
    in_force(&gw, 2).await;
    assert_eq!(reloads(&gw, "ok").await, 1);
}

#[tokio::test]
async fn what_was_used_up_stays_used_up() {
    let gw = TestGateway::with(|config| {
        config["limits"] = json!([
            { "scope": "user", "requests": 2, "per": "1h" },
            { "scope": "global", "usd": 50, "per": "day" },
        ]);
    })
    .await;
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(gw.config_path()).unwrap()).unwrap();
    let statuses = async |calls: usize| {
        let mut statuses = Vec::new();
        for _ in 0..calls {
            statuses.push(gw.ask("standard").await.status);
        }
        statuses
    };
    assert_eq!(statuses(3).await, [200, 200, 429]);
    gw.finished(3).await;
    let spent = gw.spent("global").await;
    assert!(spent.0 > 0 && spent.1 == 0);

    config["tiers"]["standard"]["max_tokens"] = json!(500);
    write(&gw, "config.yaml", &pretty(&config));
    in_force(&gw, 2).await;
    assert_eq!(statuses(1).await, [429], "an edit of something else gave the limit back");
    assert_eq!(gw.spent("global").await, spent);

    config["limits"][0]["requests"] = json!(3);
    write(&gw, "config.yaml", &pretty(&config));
    in_force(&gw, 3).await;
    assert_eq!(statuses(2).await, [200, 429], "two of three were used before");

    // Below what is spent already: refused from now on, and what was spent is not forgotten.
    config["limits"] = json!([{ "scope": "global", "usd": "0.000000001", "per": "day" }]);
    write(&gw, "config.yaml", &pretty(&config));
    in_force(&gw, 4).await;
    assert_eq!(statuses(1).await, [402]);
    assert!(gw.spent("global").await.0 > spent.0);
}

#[tokio::test]
async fn a_run_ends_under_the_config_it_began_with() {
    let (gw, mut config) = editable().await;
    let stalls = Step { fault: Some(Fault::Stall { after: 1 }), ..Step::text("one two") };
    gw.mock.script("first", vec![stalls, Step::text("another call")]);
    let mut wire = Wire::chat(&gw, &streamed("standard"), &[]).await;
    wire.head().await;
    wire.until(|text| text.contains("one")).await;
    config["tiers"]["standard"]["primary"] = json!("openai/second");
    write(&gw, "config.yaml", &pretty(&config));
    in_force(&gw, 2).await;
    assert_eq!(gw.ask("standard").await.header("x-headgate-model"), "openai/second");
    drop(wire);
    crate::support::until("both runs are in the log", || gw.log().len() == 2).await;
    let mut generations: Vec<(u64, String)> = gw
        .log()
        .iter()
        .map(|line| (line["generation"].as_u64().unwrap(), line["target"].as_str().unwrap().to_owned()))
        .collect();
    generations.sort();
    assert_eq!(generations, [(1, "openai/first".to_owned()), (2, "openai/second".to_owned())]);
}

#[tokio::test]
async fn a_caller_that_is_struck_out_is_unknown_at_once_and_a_new_one_is_known() {
    let (gw, mut config) = editable().await;
    assert_eq!(gw.ask("standard").await.status, 200);
    config["keys"][0]["sha256"] = json!(crate::support::sha256_hex("another-key"));
    write(&gw, "config.yaml", &pretty(&config));
    let by = std::time::Instant::now() + LIVE;
    while gw.ask("standard").await.status != 401 {
        assert!(std::time::Instant::now() < by, "the old key still opens");
    }
    let request = gw.client.post(gw.url("/v1/chat/completions")).bearer_auth("another-key");
    assert_eq!(request.body(crate::support::question("standard").to_string()).send().await.unwrap().status(), 200);
}
