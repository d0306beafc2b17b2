//! Wiring for tests: a gateway on threads of its own, a mock provider, a client. Facts under test stay in the tests.

pub mod cases;
pub mod redis;
pub mod rest;
pub mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headgate::app::{Gateway, Start};
use headgate::simulator::Simulator;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The key of the one caller that test configs know, and who it belongs to.
pub const KEY: &str = "test-key";

/// A running gateway in front of one mock provider.
pub struct TestGateway {
    pub gateway: Gateway,
    pub mock: Arc<Simulator>,
    pub client: reqwest::Client,
    pub folder: TempDir,
    log: Arc<Mutex<Vec<Value>>>,
}

/// A mock provider on a free port.
pub async fn mock() -> Arc<Simulator> {
    Arc::new(Simulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a free port"))
}

/// Two providers that are both `mock`; tier `standard` goes from `first` (OpenAI format) to `second` (Anthropic
/// format), tier `single` has `first` alone. Round prices: $1 per million input tokens, $10 per million output tokens.
pub fn config(mock: &Simulator) -> Value {
    let price = json!({ "input": 1, "output": 10 });
    json!({
        "server": { "listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "threads": 2, "drain": "2s" },
        "store": "sqlite:headgate.db",
        "keys": [{ "name": "web", "sha256": sha256_hex(KEY), "team": "product", "user_from": "header", "models": ["openai/*", "anthropic/*"] }],
        "providers": {
            "openai": { "kind": "openai", "base_url": mock.openai_base_url() },
            "anthropic": { "kind": "anthropic", "base_url": mock.anthropic_base_url() },
        },
        "default_tier": "standard",
        "tiers": {
            "standard": { "primary": "openai/first", "fallback": "anthropic/second", "max_tokens": 1000 },
            "single": { "primary": "openai/first", "max_tokens": 1000 },
        },
        "prices": { "openai/first": price, "openai/second": price, "anthropic/first": price, "anthropic/second": price },
    })
}

impl TestGateway {
    /// A gateway with the usual config.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A gateway with the usual config, edited.
    pub async fn with(edit: impl FnOnce(&mut Value)) -> Self {
        Self::on(mock().await, edit).await
    }

    /// A gateway in front of `mock`, which may have other gateways in front of it.
    pub async fn on(mock: Arc<Simulator>, edit: impl FnOnce(&mut Value)) -> Self {
        let mut config = config(&mock);
        edit(&mut config);
        let folder = TempDir::new().expect("a temporary folder");
        Self::start_in(mock, folder, &config, &[]).await.expect("the gateway starts")
    }

    /// A gateway whose folder also holds `files` (name, text).
    pub async fn start_in(
        mock: Arc<Simulator>,
        folder: TempDir,
        config: &Value,
        files: &[(&str, &str)],
    ) -> Result<Self, headgate::app::StartError> {
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a writable folder");
        }
        let path = folder.path().join("config.yaml");
        // JSON is YAML.
        std::fs::write(&path, serde_json::to_string_pretty(config).expect("JSON")).expect("a writable folder");
        let log: Arc<Mutex<Vec<Value>>> = Arc::default();
        let lines = Arc::clone(&log);
        let start = Start {
            config: path,
            env: BTreeMap::new(),
            log: Box::new(move |line| {
                lines.lock().expect("no panic under the lock").push(serde_json::from_str(&line).expect("a JSON line"));
            }),
        };
        let gateway = tokio::task::spawn_blocking(|| Gateway::start(start)).await.expect("no panic")?;
        Ok(TestGateway { gateway, mock, client: reqwest::Client::new(), folder, log })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.client)
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    /// A chat call of the test key, as JSON.
    pub fn request(&self, body: &Value) -> reqwest::RequestBuilder {
        let request = self.client.post(self.url("/v1/chat/completions")).bearer_auth(KEY);
        request.header("content-type", "application/json").body(body.to_string())
    }

    pub async fn chat(&self, body: &Value) -> Reply {
        Reply::of(self.request(body).send().await.expect("an answer")).await
    }

    /// A plain call of `user` to `model` with a short question.
    pub async fn ask(&self, model: &str) -> Reply {
        self.chat(&question(model)).await
    }

    /// JSON lines of finished runs so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.lock().expect("no panic under the lock").clone()
    }

    /// Waits for the `n`th finished run and returns its line.
    pub async fn finished(&self, n: usize) -> Value {
        until("a run has finished", || self.log().len() >= n).await;
        self.log().get(n - 1).cloned().expect("just counted")
    }

    /// What `headgate usage --json` and the admin listener tell.
    pub async fn usage(&self) -> Value {
        let url = format!("http://{}/api/usage", self.gateway.admin);
        let reply = self.client.get(url).bearer_auth(&self.gateway.admin_token).send().await.expect("an answer");
        serde_json::from_slice(&reply.bytes().await.expect("a whole body")).expect("JSON")
    }

    /// Nano-dollars (settled, held) of the limit with this scope and unit usd.
    pub async fn spent(&self, scope: &str) -> (u64, u64) {
        let usage = self.usage().await;
        let limits = usage["limits"].as_array().expect("a list").clone();
        let row = limits.iter().find(|row| row["scope"] == scope && row["unit"] == "usd").expect("a usd limit").clone();
        (row["settled_nano"].as_u64().expect("a number"), row["held_nano"].as_u64().expect("a number"))
    }

    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.gateway.admin);
        let reply = self.client.get(url).bearer_auth(&self.gateway.admin_token).send().await.expect("an answer");
        reply.text().await.expect("text")
    }
}

/// One whole answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, body: response.bytes().await.expect("a whole body").to_vec() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("no JSON ({e}): {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// A chat body with one short user message.
pub fn question(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "say hello" }] })
}

/// The same, streamed.
pub fn streamed(model: &str) -> Value {
    let mut body = question(model);
    body["stream"] = json!(true);
    body
}

/// Waits until `held`, at most 20 s: a condition, not a time.
pub async fn until(what: &str, held: impl Fn() -> bool) {
    let by = tokio::time::Instant::now() + Duration::from_secs(20);
    while !held() {
        assert!(tokio::time::Instant::now() < by, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How long something may take that is only waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again, ever more seldom, until the answer is `right`, and gives it; for `patience` at most. For what is
/// known to somebody else and has to be asked for; see [`until`] for what this process knows.
pub async fn told_when<T: std::fmt::Debug>(
    what: &str,
    patience: Duration,
    ask: impl AsyncFn() -> T,
    right: impl Fn(&T) -> bool,
) -> T {
    let by = tokio::time::Instant::now() + patience;
    let mut pause = Duration::from_millis(5);
    loop {
        let told = ask().await;
        if right(&told) {
            return told;
        }
        let left = by.saturating_duration_since(tokio::time::Instant::now());
        assert!(!left.is_zero(), "not within {patience:?}: {what}; it is {told:?}");
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

pub fn sha256_hex(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
