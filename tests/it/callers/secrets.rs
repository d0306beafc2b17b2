//! Canaries: keys and prompts that must never be seen again, whatever happens to a call.

use headgate::simulator::{ErrorWords, Fault, StatusFault, Step};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Serving, text};
use crate::support::{Reply, config, mock, sha256_hex};

const CALLERS_KEY: &str = "canary-callers-key-5a1f";
const WRONG_KEY: &str = "canary-wrong-key-77d0";
const PROVIDERS_KEY: &str = "canary-providers-key-c3b9";
const ADMIN_TOKEN: &str = "canary-admin-token-0e42";
const PROMPT: &str = "canary-prompt-9d6e";
const ANSWER: &str = "canary-answer-b815";

/// Reads the prompt, as policies may, and fails over it.
const POLICY: &str = r#"
return function(request)
  if request.metadata.fail then return #request:text() .. request.nothing end
  return allow {}
end
"#;

fn says(status: u16, message: &str) -> Step {
    let error = ErrorWords { message: Some(message.to_owned()), ..ErrorWords::default() };
    Step::fault(Fault::Status(StatusFault { status, error, ..StatusFault::default() }))
}

#[tokio::test]
async fn no_key_and_no_prompt_is_ever_in_a_log_a_metric_an_error_or_the_shown_config() {
    let folder = TempDir::new().unwrap();
    let mock = mock().await;
    let mut config = config(&mock);
    config["server"]["admin_token"] = json!("${TOKEN}");
    config["providers"]["openai"]["api_key"] = json!("${PROVIDER}");
    config["providers"]["anthropic"]["api_key"] = json!("file:anthropic.key");
    config["keys"][0]["sha256"] = json!(sha256_hex(CALLERS_KEY));
    config["policies"] = json!({ "admission": "admission.lua" });
    std::fs::write(folder.path().join("config.yaml"), config.to_string()).unwrap();
    std::fs::write(folder.path().join("anthropic.key"), PROVIDERS_KEY).unwrap();
    std::fs::write(folder.path().join("admission.lua"), POLICY).unwrap();
    let secrets = [("TOKEN", ADMIN_TOKEN), ("PROVIDER", PROVIDERS_KEY)];
    let serving = Serving::start(folder.path(), &secrets).await;

    let client = reqwest::Client::new();
    let url = format!("http://{}/v1/chat/completions", serving.client);
    let ask = async |key: &str, body: String| {
        let request = client.post(&url).bearer_auth(key).header("x-user-id", "alice").body(body);
        Reply::of(request.send().await.expect("an answer")).await
    };
    let body = |more: Value| {
        let mut body = json!({ "model": "standard", "messages": [{ "role": "user", "content": PROMPT }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let mut errors = Vec::new();
    let mut failed = async |key: &str, body: String, status: u16| {
        let reply = ask(key, body).await;
        assert_eq!(reply.status, status, "{}", text(&reply.body));
        errors.push(format!("{:?} {}", reply.headers, text(&reply.body)));
    };

    // Served, plain and streamed, and nothing of what was said is kept.
    mock.script("first", vec![Step::text(ANSWER)]);
    assert_eq!(ask(CALLERS_KEY, body(json!({}))).await.text(), ANSWER);
    assert_eq!(ask(CALLERS_KEY, body(json!({ "stream": true }))).await.status, 200);
    // Refused at the door.
    failed(WRONG_KEY, body(json!({})), 401).await;
    failed(CALLERS_KEY, format!("{{\"{PROMPT}\" {PROMPT}"), 400).await;
    failed(CALLERS_KEY, body(json!({ "messages": PROMPT })), 400).await;
    failed(CALLERS_KEY, body(json!({ "messages": [{ "role": PROMPT, "content": "x" }] })), 400).await;
    failed(CALLERS_KEY, body(json!({ "max_tokens": PROMPT })), 400).await;
    failed(CALLERS_KEY, body(json!({ "api_key": WRONG_KEY, "model": "nowhere" })), 404).await;
    failed(CALLERS_KEY, body(json!({ "metadata": { "fail": PROMPT } })), 503).await;
    // Refused by providers that quote what they were sent.
    for (status, seen) in [(401, 502), (403, 502), (400, 400), (500, 500), (503, 503), (429, 429)] {
        let step = says(status, &format!("Incorrect API key provided: {PROVIDERS_KEY}."));
        mock.script("first", vec![step.clone()]);
        mock.script("second", vec![step]);
        let reply = ask(CALLERS_KEY, body(json!({ "model": "single" }))).await;
        assert!(reply.status == seen || (500..600).contains(&reply.status), "{status}: {}", reply.status);
        errors.push(format!("{:?} {}", reply.headers, text(&reply.body)));
    }
    let admin = async |path: &str, token: &str| {
        let request = client.get(format!("http://{}{path}", serving.admin)).bearer_auth(token);
        Reply::of(request.send().await.expect("an answer")).await
    };
    let refused = admin("/metrics", WRONG_KEY).await;
    assert_eq!(refused.status, 401);
    errors.push(text(&refused.body));
    let shown = [
        admin("/metrics", ADMIN_TOKEN).await,
        admin("/api/config", ADMIN_TOKEN).await,
        admin("/api/usage", ADMIN_TOKEN).await,
    ];
    for reply in &shown {
        assert_eq!(reply.status, 200);
    }

    let (stdout, stderr, code) = serving.stop();
    assert_eq!(code, Some(0));
    assert!(stdout.lines().count() >= 10, "the runs are in the log:\n{stdout}");
    assert!(stderr.contains("polic"), "the failed policy is in the log:\n{stderr}");
    let places = [("stdout", stdout), ("stderr", stderr), ("errors", errors.join("\n"))];
    let places = places.into_iter().chain(shown.iter().map(|reply| ("admin listener", text(&reply.body))));
    for (place, said) in places {
        for canary in [CALLERS_KEY, WRONG_KEY, PROVIDERS_KEY, ADMIN_TOKEN, PROMPT, ANSWER] {
            assert!(!said.contains(canary), "{canary} is in {place}:\n{said}");
        }
    }
    // Nothing of it is in the store either: this was no journaled run.
    for file in std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.to_string_lossy().contains("headgate.db") {
            let bytes = std::fs::read(&file).unwrap();
            for canary in [CALLERS_KEY, PROVIDERS_KEY, PROMPT, ANSWER] {
                assert!(!bytes.windows(canary.len()).any(|part| part == canary.as_bytes()), "{canary} is in {file:?}");
            }
        }
    }
}
