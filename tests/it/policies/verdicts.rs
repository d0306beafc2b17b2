//! What scripts decide, through the door.

use headgate::simulator::{ErrorWords, Fault, StatusFault, Step};
use serde_json::{Value, json};

use super::{saying, with_script, with_script_and};
use crate::support::{Reply, TestGateway, question};

/// Which model, cap and tier a call ended with.
fn sent(gw: &TestGateway, model: &str) -> Value {
    let seen = gw.mock.requests(model);
    serde_json::from_str(&seen.last().expect("a call").body).unwrap()
}

fn cap(sent: &Value) -> u64 {
    sent["max_tokens"].as_u64().or(sent["max_completion_tokens"].as_u64()).expect("a cap")
}

#[tokio::test]
async fn deny_answers_with_its_status_code_and_message_and_takes_no_hold() {
    let script = r#"
return function(request)
  return deny { status = tonumber(request.metadata.say), code = "no_luck", message = "Ask on Monday." }
end"#;
    let gw = with_script("admission", script).await;
    for status in [400, 402, 403, 404, 422, 429, 451, 503] {
        let reply = gw.chat(&saying("single", &status.to_string())).await;
        let said = (reply.status, reply.code(), reply.message());
        assert_eq!(said, (status, "no_luck".to_owned(), "Ask on Monday.".to_owned()));
        assert_eq!(reply.header("x-should-retry"), "false", "{status}");
    }
    for other in ["200", "301", "401", "418", "500", "504", "403.5"] {
        assert_eq!(gw.chat(&saying("single", other)).await.code(), "policy_failed", "{other}");
    }
    assert_eq!((gw.mock.counts().calls, gw.usage().await["open_holds"].as_u64()), (0, Some(0)));
}

#[tokio::test]
async fn deny_needs_only_a_message() {
    let gw = with_script("admission", r#"return function() return deny { message = "Not today." } end"#).await;
    let reply = gw.ask("single").await;
    assert_eq!(
        (reply.status, reply.code(), reply.message()),
        (403, "denied_by_policy".to_owned(), "Not today.".to_owned())
    );
}

#[tokio::test]
async fn allow_lowers_the_cap_and_never_raises_it() {
    let script = "return function(request) return allow { max_tokens = tonumber(request.metadata.say) } end";
    let gw = with_script("admission", script).await;
    for (says, asked, sent_cap, told) in [
        ("50", None, 50, ""),
        ("50", Some(500), 50, "50"),
        ("50", Some(20), 20, ""),
        ("5000", Some(4_000), 1_000, "1000"),
    ] {
        let mut body = saying("single", says);
        body["max_tokens"] = json!(asked);
        let reply = gw.chat(&body).await;
        assert_eq!(reply.status, 200, "{says} {asked:?}");
        assert_eq!(cap(&sent(&gw, "first")), sent_cap, "{says} {asked:?}");
        assert_eq!(reply.header("x-headgate-max-tokens"), told, "{says} {asked:?}");
    }
}

#[tokio::test]
async fn allow_moves_a_call_to_another_tier_with_that_tiers_cap_and_targets() {
    let script = r#"
return function(request)
  if request.tier == "standard" then return allow { tier = request.metadata.say } end
  return allow {}
end"#;
    let gw = with_script_and("admission", script, |config| {
        config["tiers"]["small"] = json!({ "primary": "openai/second", "max_tokens": 77 });
    })
    .await;
    let reply = gw.chat(&saying("standard", "small")).await;
    assert_eq!((reply.header("x-headgate-tier"), reply.header("x-headgate-model")), ("small", "openai/second"));
    assert_eq!(cap(&sent(&gw, "second")), 77);
    // To a tier with more room: the cap is that of the tier it was moved to, as far as the client asked for it.
    let reply = gw.chat(&saying("standard", "single")).await;
    assert_eq!((reply.header("x-headgate-tier"), cap(&sent(&gw, "first"))), ("single", 1_000));
    let reply = gw.chat(&saying("standard", "no-such-tier")).await;
    assert_eq!(reply.code(), "policy_failed");
}

#[tokio::test]
async fn admission_knows_who_asks_for_what() {
    let script = r#"
return function(request)
  local facts = {
    request.key, request.team, request.user, request.tier, request.model, tostring(request.stream),
    tostring(request.has_tools), tostring(request.has_images), tostring(request.message_count),
    tostring(request.max_tokens), tostring(request.estimate.usd > 0.01), tostring(request.input_tokens > 30),
    tostring(request.generation), (request:text()),
  }
  return deny { message = table.concat(facts, "|") }
end"#;
    let gw = with_script("admission", script).await;
    let mut body = question("single");
    body["max_tokens"] = json!(5_000);
    body["tools"] = json!([{ "type": "function", "function": { "name": "f", "parameters": {} } }]);
    let reply = Reply::of(gw.request(&body).header("x-user-id", "alice").send().await.unwrap()).await;
    assert_eq!(reply.message(), "web|product|alice|single|single|false|true|false|1|1000|true|true|1|say hello");
}

#[tokio::test]
async fn auto_goes_to_the_tier_that_the_tiers_script_names() {
    let script =
        r#"return function(request) return if request.metadata.say == "hard" then "standard" else "single" end"#;
    let gw = with_script_and("tiers", script, |config| {
        config["tiers"]["single"]["primary"] = json!("openai/second");
    })
    .await;
    for (say, tier, model) in [("hard", "standard", "openai/first"), ("easy", "single", "openai/second")] {
        let reply = gw.chat(&saying("auto", say)).await;
        assert_eq!(
            (reply.status, reply.header("x-headgate-tier"), reply.header("x-headgate-model")),
            (200, tier, model)
        );
    }
    // Who names a tier gets that tier.
    assert_eq!(gw.chat(&saying("standard", "easy")).await.header("x-headgate-tier"), "standard");
}

#[tokio::test]
async fn without_scripts_auto_is_the_default_tier_and_everything_else_is_allowed() {
    let gw = TestGateway::start().await;
    let reply = gw.ask("auto").await;
    assert_eq!((reply.status, reply.header("x-headgate-tier")), (200, "standard"));
}

#[tokio::test]
async fn an_errors_script_says_what_a_failure_means_and_what_the_caller_reads() {
    let script = r#"
return function(failure)
  if failure.code == "stop" then
    return user_actionable { status = 422, code = "rephrase", message = `{failure.provider} did not like it.` }
  elseif failure.code == "elsewhere" then
    return permanent { next_target = true, message = "Nobody can." }
  elseif failure.status == 418 then
    return retryable { after = 0 }
  end
  return permanent { status = 503, code = "closed", message = "Closed." }
end"#;
    let gw = with_script("errors", script).await;
    let fails = |status: u16, code: &str| {
        let error = ErrorWords { code: Some(json!(code)), ..ErrorWords::default() };
        Step::fault(Fault::Status(StatusFault { status, error, ..StatusFault::default() }))
    };
    for (step, status, code, message, asked_next) in [
        (fails(400, "stop"), 422, "rephrase", "openai did not like it.", 0),
        (fails(500, "other"), 503, "closed", "Closed.", 0),
        (fails(400, "elsewhere"), 200, "", "", 1),
        (fails(418, "teapot"), 200, "", "", 1),
    ] {
        let before = gw.mock.model_counts("second").calls;
        gw.mock.script("first", vec![step]);
        let reply = gw.ask("standard").await;
        assert_eq!((reply.status, reply.code().as_str(), reply.message().as_str()), (status, code, message));
        assert_eq!(gw.mock.model_counts("second").calls - before, asked_next, "{status} {code}");
    }
}

#[tokio::test]
async fn the_shipped_scripts_serve_an_ordinary_caller_and_bound_a_free_one() {
    let shipped = |name: &str| format!("{}/policies/{name}", env!("CARGO_MANIFEST_DIR"));
    let gw = TestGateway::with(|config| {
        config["policies"] = json!({
            "admission": shipped("admission.lua"), "errors": shipped("errors.lua"), "tiers": shipped("tiers.lua"),
        });
        config["tiers"]["simple"] = config["tiers"]["single"].clone();
        config["tiers"]["complex"] = config["tiers"]["standard"].clone();
        let free = json!({ "name": "free", "sha256": crate::support::sha256_hex("free-key"), "team": "free" });
        config["keys"].as_array_mut().unwrap().push(free);
    })
    .await;
    let tier = gw.ask("auto").await.header("x-headgate-tier").to_owned();
    assert!(["simple", "standard", "complex"].contains(&tier.as_str()), "{tier}");
    assert_eq!(gw.ask("complex").await.status, 200);
    let request = gw.client.post(gw.url("/v1/chat/completions")).bearer_auth("free-key");
    let reply = Reply::of(request.body(question("complex").to_string()).send().await.unwrap()).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "tier_not_allowed"));
}
