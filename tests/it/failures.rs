//! Every failure of `tests/golden/failures`, as the clients of two formats see it: `case.clients.json` beside it, written
//! with `UPDATE_GOLDEN=1` like the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::{KEY, Reply, TestGateway, question};

/// Clients' formats and where they are spoken.
const ROUTES: [(&str, &str); 2] = [("openai_chat", "/v1/chat/completions"), ("anthropic_messages", "/v1/messages")];

const WAYS: [&str; 2] = ["plain", "streamed"];

/// By provider kind and name.
type Cases = BTreeMap<(String, String), Value>;

#[tokio::test]
async fn every_failure_of_every_provider_reaches_both_kinds_of_client_in_their_own_words() {
    let cases = cases();
    let upstream = failing(cases.clone()).await;
    let gw = TestGateway::with(|config| {
        let root = env!("CARGO_MANIFEST_DIR");
        config["policies"] = json!({ "errors": format!("{root}/policies/errors.lua") });
        config["retry"] = json!({ "attempts": 1 });
        for (kind, name) in cases.keys() {
            config["providers"][kind] = json!({ "kind": kind, "base_url": format!("{}/{kind}", upstream.uri()) });
            // A target that failed rests, so every call has one of its own.
            for (route, _) in ROUTES {
                for way in WAYS {
                    let model = model(name, route, way);
                    let target = format!("{kind}/{model}");
                    config["tiers"][format!("{kind}-{model}")] = json!({ "primary": target, "max_tokens": 100 });
                    config["prices"][target] = json!({ "input": 1, "output": 10 });
                }
            }
        }
    })
    .await;
    let mut wrong = Vec::new();
    for (kind, name) in cases.keys() {
        let mut clients = json!({});
        for (route, path) in ROUTES {
            let [plain, streamed] = WAYS.map(|way| told(&gw, path, kind, model(name, route, way), way == "streamed"));
            let (plain, streamed) = (plain.await, streamed.await);
            assert_eq!(plain, streamed, "{kind} {name}: before its content a stream fails like any other answer");
            clients[route] = plain;
        }
        let text = serde_json::to_string_pretty(&clients).expect("JSON") + "\n";
        let expected = folder().join(kind).join(format!("{name}.clients.json"));
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &text).expect("the result can be written");
        }
        if !fs::read_to_string(&expected).is_ok_and(|known| known == text) {
            wrong.push(format!("{}\n{text}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ; now they are:\n\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Status, hints and body of a refused call.
async fn told(gw: &TestGateway, path: &str, kind: &str, model: String, stream: bool) -> Value {
    let mut body = question(&format!("{kind}-{model}"));
    (body["stream"], body["max_tokens"]) = (stream.into(), 50.into());
    let call = gw.client.post(gw.url(path)).bearer_auth(KEY).header("x-request-id", "req_golden");
    let sent = call.header("content-type", "application/json").body(body.to_string()).send().await;
    let reply = Reply::of(sent.expect("an answer")).await;
    let hint = |name: &str| Some(reply.header(name)).filter(|value| !value.is_empty()).map(str::to_owned);
    let text = String::from_utf8(reply.body.clone()).expect("UTF-8").replace(&model, "target-model");
    json!({
        "status": reply.status,
        "retry-after": hint("retry-after"),
        "x-should-retry": hint("x-should-retry"),
        "body": serde_json::from_str::<Value>(&text).expect("JSON"),
    })
}

fn model(name: &str, route: &str, way: &str) -> String {
    format!("{name}.{route}.{way}")
}

/// A provider of every kind, below the path of its name, that fails as the model in the call says.
async fn failing(cases: Cases) -> MockServer {
    let server = MockServer::start().await;
    let answer = move |call: &Request| {
        let mut path = call.url.path().trim_start_matches('/').split('/');
        let kind = path.next().unwrap_or_default().to_owned();
        let named: Value = serde_json::from_slice(&call.body).expect("a JSON body");
        // Gemini's calls name their model in the path.
        let in_path = path.find_map(|part| part.split_once(':')).map(|(model, _)| model);
        let model = named["model"].as_str().or(in_path).unwrap_or_default();
        let name = model.split('.').next().unwrap_or_default().to_owned();
        let case = &cases[&(kind, name)];
        let status = u16::try_from(case["status"].as_u64().expect("a status")).expect("a status");
        let headers = case["headers"].as_object().into_iter().flatten();
        let answer = headers.fold(ResponseTemplate::new(status), |answer, (name, value)| {
            answer.insert_header(name.as_str(), value.as_str().expect("a text"))
        });
        match &case["body"] {
            Value::String(text) => answer.set_body_string(text),
            body => answer.set_body_json(body),
        }
    };
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

fn cases() -> Cases {
    let mut cases = Cases::new();
    for kind in entries(&folder()) {
        for file in entries(&kind) {
            let name = file_name(&file);
            let Some(name) = name.strip_suffix(".in.json") else { continue };
            let text = fs::read_to_string(&file).expect("the case can be read");
            let case: Value = serde_json::from_str(&text).expect("JSON");
            if !names_an_instant(&case) {
                cases.insert((file_name(&kind), name.to_owned()), case);
            }
        }
    }
    assert!(!cases.is_empty());
    cases
}

/// How long to wait until then depends on today; `tests/golden` has a clock of its own for these.
fn names_an_instant(case: &Value) -> bool {
    let headers = case["headers"].as_object();
    headers.is_some_and(|all| {
        all.values().filter_map(Value::as_str).any(|value| value.ends_with('Z') || value.ends_with("GMT"))
    })
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/failures")
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(directory).expect("the directory can be read");
    listed.map(|entry| entry.expect("an entry").path()).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}
