//! A client of the demo's gateway.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::Failure;
use crate::domain::sse::SseSplitter;
use crate::egress::{self, Answer, Clocks, Outbound};

use super::stage::Stage;

/// Longest answer of the tour, in bytes.
const LARGEST: usize = 1 << 20;

/// One chat call of the tour.
pub(super) struct Ask<'a> {
    pub key: &'a str,
    pub user: Option<&'a str>,
    pub body: Value,
}

/// What came back.
pub(super) struct Reply {
    pub status: u16,
    pub tier: String,
    pub model: String,
    pub attempts: String,
    pub cost: String,
    pub body: Value,
}

impl Reply {
    pub(super) fn text(&self) -> &str {
        self.body["choices"][0]["message"]["content"].as_str().unwrap_or_default()
    }

    pub(super) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub(super) fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

/// A call with one user message to `model`.
pub(super) fn chat<'a>(key: &'a str, model: &str, text: &str) -> Ask<'a> {
    Ask { key, user: None, body: json!({ "model": model, "messages": [{ "role": "user", "content": text }] }) }
}

impl Stage {
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Reply, Failure> {
        let mut answer = self.send(ask, false).await?;
        let header = |name: &str| answer.header(name).unwrap_or_default();
        let (tier, model) = (header("x-headgate-tier"), header("x-headgate-model"));
        let (attempts, cost) = (header("x-headgate-attempts"), header("x-headgate-cost-usd"));
        let status = answer.status();
        let body = answer.whole(LARGEST, soon()).await.map_err(|e| e.to_string())?;
        Ok(Reply { status, tier, model, attempts, cost, body: serde_json::from_slice(&body)? })
    }

    /// Streams an answer; `each` gets the text of every event. Returns the last comment and whether the end marker
    /// came.
    pub(super) async fn stream(&self, mut ask: Ask<'_>, mut each: impl FnMut(&str)) -> Result<(String, bool), Failure> {
        ask.body["stream"] = json!(true);
        let mut answer = self.send(ask, true).await?;
        if answer.status() != 200 {
            return Err(format!("a stream was refused with {}", answer.status()).into());
        }
        let (mut splitter, mut frames) = (SseSplitter::default(), Vec::new());
        let (mut comment, mut ended) = (String::new(), false);
        while let Some(bytes) = answer.chunk(soon()).await.map_err(|e| e.to_string())? {
            splitter.push(&bytes, &mut frames)?;
            for frame in frames.drain(..) {
                match frame.fields().data.as_deref() {
                    None => comment = String::from_utf8_lossy(&frame.raw).trim().to_owned(),
                    Some(b"[DONE]") => ended = true,
                    Some(data) => {
                        let event: Value = serde_json::from_slice(data)?;
                        each(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
                    }
                }
            }
        }
        Ok((comment, ended))
    }

    async fn send(&self, ask: Ask<'_>, stream: bool) -> Result<Answer, Failure> {
        let mut headers = vec![("authorization", format!("Bearer {}", ask.key))];
        headers.extend(ask.user.map(|user| ("x-user-id", user.to_owned())));
        let out = Outbound {
            url: format!("http://{}/v1/chat/completions", self.gateway.client),
            headers,
            request_id: "demo".to_owned(),
            body: serde_json::to_vec(&ask.body)?.into(),
            stream,
        };
        let clocks = Clocks { connect: Duration::from_secs(3), head_by: soon() };
        egress::send(out, clocks).await.map_err(|e| e.to_string().into())
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}
