//! `POST /v1/embeddings`: the same story as a chat's, over every provider that has them.

use headgate::simulator::{Fault, Step, UsageReport};
use serde_json::{Value, json};

use crate::support::rest::counted;
use crate::support::{KEY, Reply, TestGateway, until};

/// An OpenAI, a Mistral, a Gemini and an Anthropic account, all of them the mock; $1 per million tokens.
async fn gateway(edit: impl FnOnce(&mut Value)) -> TestGateway {
    let mock = crate::support::mock().await;
    let (openai, gemini) = (mock.openai_base_url(), mock.gemini_base_url());
    TestGateway::on(mock, |config| {
        counted(config);
        config["providers"]["mistral"] = json!({ "kind": "mistral", "base_url": openai });
        config["providers"]["google"] = json!({ "kind": "gemini", "base_url": gemini });
        config["keys"][0]["models"] = json!(["openai/*", "mistral/*", "google/*", "anthropic/*"]);
        config["aliases"] = json!({ "text-embedding-3-small": "openai/embed", "chat": "standard" });
        for target in ["openai/embed", "mistral/embed", "google/embed"] {
            config["prices"][target] = json!({ "input": 1, "output": 0 });
        }
        edit(config);
    })
    .await
}

impl TestGateway {
    async fn embed(&self, body: &Value) -> Reply {
        let request = self.client.post(self.url("/v1/embeddings")).bearer_auth(KEY);
        Reply::of(request.body(body.to_string()).send().await.expect("an answer")).await
    }
}

/// The numbers of the first vector, as the mock makes them.
fn numbers(reply: &Reply) -> Vec<f32> {
    serde_json::from_value(reply.json()["data"][0]["embedding"].clone()).expect("a list of numbers")
}

fn unpacked(packed: &Value) -> Vec<f32> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(packed.as_str().expect("a text")).expect("base64");
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes"))).collect()
}

#[tokio::test]
async fn every_provider_that_has_them_answers_in_openais_format_and_bills_its_input() {
    let gw = gateway(|_| {}).await;
    for (model, upstream) in [
        ("openai/embed", "/v1/embeddings"),
        ("mistral/embed", "/v1/embeddings"),
        ("google/embed", "/v1beta/models/embed:batchEmbedContents"),
        ("text-embedding-3-small", "/v1/embeddings"),
    ] {
        let before = gw.spent("global").await.0;
        let reply = gw.embed(&json!({ "model": model, "input": ["one two three", "four"] })).await;
        assert_eq!(reply.status, 200, "{model}: {}", String::from_utf8_lossy(&reply.body));
        let body = reply.json();
        assert_eq!((&body["object"], &body["model"]), (&json!("list"), &json!("embed")), "{model}");
        for index in 0..2 {
            let item = &body["data"][index];
            assert_eq!((&item["object"], &item["index"]), (&json!("embedding"), &json!(index)), "{model}");
            assert_eq!(item["embedding"].as_array().map(Vec::len), Some(8), "{model}");
        }
        let tokens = body["usage"]["prompt_tokens"].as_u64().expect("a number");
        assert_eq!(body["usage"]["total_tokens"], tokens);
        // The mock's words; Gemini reports nothing, and then the count is ours.
        assert!(tokens == 4 || (model == "google/embed" && tokens > 0), "{model}: {tokens}");
        assert_eq!(gw.spent("global").await, (before + tokens * 1_000, 0), "{model}");
        assert_eq!(gw.mock.requests("embed").last().map(|seen| seen.path.clone()).as_deref(), Some(upstream));
        for header in ["x-request-id", "x-headgate-run", "x-headgate-cost-usd"] {
            assert!(!reply.header(header).is_empty(), "{model}: {header}");
        }
        assert_eq!(reply.header("x-headgate-attempts"), "1");
    }
    assert_eq!(gw.finished(4).await["output_tokens"], 0);
}

#[tokio::test]
async fn base64_is_packed_here_where_the_provider_sends_numbers() {
    let gw = gateway(|_| {}).await;
    for model in ["openai/embed", "mistral/embed", "google/embed"] {
        let ask = |format: &str| json!({ "model": model, "input": "the same text", "encoding_format": format });
        let (plain, packed) = (gw.embed(&ask("float")).await, gw.embed(&ask("base64")).await);
        let unpacked = unpacked(&packed.json()["data"][0]["embedding"]);
        assert_eq!((unpacked.len(), unpacked), (8, numbers(&plain)), "{model}");
    }
}

#[tokio::test]
async fn each_provider_is_asked_in_its_own_words() {
    let gw = gateway(|_| {}).await;
    let ask = |model: &str| json!({ "model": model, "input": "a text", "dimensions": 3, "user": "u-1" });
    let sent = |n: usize| serde_json::from_str::<Value>(&gw.mock.requests("embed")[n].body).expect("JSON");

    let reply = gw.embed(&ask("openai/embed")).await;
    assert_eq!((numbers(&reply).len(), reply.header("x-headgate-dropped")), (3, ""));
    assert_eq!(gw.mock.requests("embed")[0].body, ask("embed").to_string(), "passed on but for the model");

    let reply = gw.embed(&ask("mistral/embed")).await;
    assert_eq!((numbers(&reply).len(), reply.header("x-headgate-dropped")), (3, "user"));
    assert_eq!(sent(1), json!({ "model": "embed", "input": "a text", "output_dimension": 3 }));

    let reply = gw.embed(&ask("google/embed")).await;
    assert_eq!((numbers(&reply).len(), reply.header("x-headgate-dropped")), (3, "user"));
    let content = json!({ "parts": [{ "text": "a text" }] });
    let request = json!({ "model": "models/embed", "content": content, "outputDimensionality": 3 });
    assert_eq!(sent(2), json!({ "requests": [request] }));
}

#[tokio::test]
async fn tokens_are_embedded_where_the_provider_takes_them() {
    let gw = gateway(|_| {}).await;
    for (input, vectors) in [(json!([1, 2, 3]), 1), (json!([[1, 2], [3]]), 2)] {
        let reply = gw.embed(&json!({ "model": "openai/embed", "input": input })).await;
        assert_eq!(reply.json()["data"].as_array().map(Vec::len), Some(vectors));
        let refused = gw.embed(&json!({ "model": "google/embed", "input": input })).await;
        assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some("input")));
    }
}

#[tokio::test]
async fn what_can_not_be_embedded_is_refused_and_says_why() {
    let gw = gateway(|_| {}).await;
    for (model, status, code, word) in [
        ("standard", 400, "invalid_request", "provider/model"),
        ("chat", 400, "invalid_request", "provider/model"),
        ("auto", 400, "invalid_request", "provider/model"),
        ("anthropic/first", 400, "invalid_request", "no embeddings"),
        ("openai/unheard-of", 400, "unpriced_model", "price"),
        ("elsewhere/embed", 404, "model_not_found", "elsewhere/embed"),
    ] {
        let reply = gw.embed(&json!({ "model": model, "input": "a" })).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{model}: {}", reply.message());
        assert!(reply.message().contains(word), "{model}: {}", reply.message());
    }
    assert_eq!(gw.embed(&json!({ "model": "openai/embed" })).await.json()["error"]["param"], "input");
    assert_eq!(gw.mock.counts().calls, 0);
}

#[tokio::test]
async fn budgets_bind_them_with_the_worst_case_of_their_input_and_no_output() {
    let budget = |config: &mut Value| {
        config["prices"]["openai/embed"] = json!({ "input": 1_000, "output": 1_000 });
        config["limits"] = json!([{ "scope": "global", "usd": 0.5, "per": "day" }]);
    };
    let gw = gateway(budget).await;
    // Its 400 bytes and the frame at $0.001 each stay below 50 cents: output is not counted.
    assert_eq!(gw.embed(&json!({ "model": "openai/embed", "input": "x".repeat(400) })).await.status, 200);
    let refused = gw.embed(&json!({ "model": "openai/embed", "input": "x".repeat(600) })).await;
    assert_eq!((refused.status, refused.code().as_str()), (402, "budget_exceeded"));
    assert_eq!(gw.mock.counts().calls, 1);
}

#[tokio::test]
async fn the_cost_cap_of_a_request_binds_them() {
    let capped = |config: &mut Value| {
        config["prices"]["openai/embed"] = json!({ "input": 1_000, "output": 0 });
        config["request"] = json!({ "cost_cap_usd": 0.05, "over_cap": "clamp" });
    };
    let gw = gateway(capped).await;
    assert_eq!(gw.embed(&json!({ "model": "openai/embed", "input": "short" })).await.status, 200);
    let refused = gw.embed(&json!({ "model": "openai/embed", "input": "x".repeat(600) })).await;
    assert_eq!((refused.status, refused.code().as_str()), (402, "cost_cap_exceeded"));
}

#[tokio::test]
async fn a_failing_provider_is_asked_again_and_judged_like_a_chats() {
    let gw = gateway(|_| {}).await;
    let ask = json!({ "model": "openai/embed", "input": "a text" });
    gw.mock.script("embed", vec![Step::status(503), Step::default()]);
    let reply = gw.embed(&ask).await;
    assert_eq!((reply.status, reply.header("x-headgate-attempts")), (200, "2"));
    for (step, status, code) in [
        (Step::status(400), 400, "invalid_request"),
        (Step::status(401), 502, "upstream_auth"),
        (Step::fault(Fault::ErrorObject), 502, "upstream_failed"),
        (Step::fault(Fault::Html), 502, "upstream_failed"),
        (Step::fault(Fault::TruncatedJson), 502, "upstream_failed"),
    ] {
        let gw = gateway(|config| config["retry"] = json!({ "attempts": 1 })).await;
        gw.mock.script("embed", vec![step]);
        for model in ["openai/embed", "google/embed"] {
            let reply = gw.embed(&json!({ "model": model, "input": "a text" })).await;
            assert_eq!((reply.status, reply.code().as_str()), (status, code), "{model}: {}", reply.message());
        }
        gw.at_rest().await;
    }
}

#[tokio::test]
async fn a_provider_that_reports_no_usage_is_billed_by_our_own_count() {
    let gw = gateway(|_| {}).await;
    gw.mock.script("embed", vec![Step { usage: UsageReport::Missing, ..Step::default() }]);
    assert_eq!(gw.embed(&json!({ "model": "openai/embed", "input": "x".repeat(400) })).await.status, 200);
    let line = gw.finished(1).await;
    assert_eq!((&line["input_tokens"], &line["cost_nano"]), (&json!(101), &json!(101_000)), "{line}");
}

#[tokio::test]
async fn a_policy_sees_them_as_what_they_are_and_its_word_holds() {
    let policy = r#"
return function(request)
  if request.dialect == "openai_embeddings" and request:text() == "secret" then
    return deny { status = 403, code = "no_secrets", message = "Not that." }
  end
  return allow { tier = "single", max_tokens = math.min(request.max_tokens, 10) }
end
"#;
    let mock = crate::support::mock().await;
    let mut config = crate::support::config(&mock);
    config["prices"]["openai/embed"] = json!({ "input": 1, "output": 0 });
    config["policies"] = json!({ "admission": "admission.lua" });
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let files = [("admission.lua", policy)];
    let gw = TestGateway::start_in(mock, folder, &config, &files).await.expect("the gateway starts");
    let denied = gw.embed(&json!({ "model": "openai/embed", "input": "secret" })).await;
    assert_eq!((denied.status, denied.code().as_str()), (403, "no_secrets"));
    let moved = gw.embed(&json!({ "model": "openai/embed", "input": "anything else" })).await;
    assert_eq!((moved.status, moved.header("x-headgate-model")), (200, "openai/embed"), "a tier has no embeddings");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_call_and_the_receipt_tells_of_it() {
    let gw = gateway(|_| {}).await;
    gw.mock.script("embed", vec![Step::fault(Fault::HangBeforeHead)]);
    let body = json!({ "model": "openai/embed", "input": "a" }).to_string();
    let call = tokio::spawn(gw.client.post(gw.url("/v1/embeddings")).bearer_auth(KEY).body(body).send());
    until("the call has arrived", || gw.mock.model_counts("embed").calls == 1).await;
    call.abort();
    assert_eq!(gw.finished(1).await["outcome"], "client_gone");
    gw.at_rest().await;
}

#[tokio::test]
async fn an_idempotency_key_makes_two_calls_one_run() {
    let gw = gateway(|_| {}).await;
    let ask = async || {
        let request = gw.client.post(gw.url("/v1/embeddings")).bearer_auth(KEY).header("idempotency-key", "k-1");
        let body = json!({ "model": "google/embed", "input": "a text", "encoding_format": "base64" });
        Reply::of(request.body(body.to_string()).send().await.expect("an answer")).await
    };
    let (first, second) = (ask().await, ask().await);
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.body, second.body);
    assert_eq!(gw.mock.model_counts("embed").calls, 1);
}
