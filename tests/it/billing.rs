//! What answers cost, in every provider format: cached tokens by their own rates, whatever usage is told.

mod aborts;
mod anomalies;
mod cache;
mod cuts;
mod searches;

use headgate::simulator::{Framing, Step};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::rest::counted;
use crate::support::{KEY, Reply, TestGateway, mock};

/// Provider kinds, each under its own name; all of them are the mock.
const KINDS: [&str; 5] = ["openai", "openai-responses", "anthropic", "gemini", "mistral"];

/// Rates of `paid` in nano-dollars per token: input, cache read, cache write, one-hour cache write, output.
const RATES_NANO: [u64; 5] = [1_000, 100, 1_250, 2_000, 10_000];

/// A gateway with a provider of each kind whose model `paid` has [`RATES_NANO`].
async fn gateway(edit: impl FnOnce(&mut Value)) -> TestGateway {
    let mock = mock().await;
    let (openai, anthropic, gemini) = (mock.openai_base_url(), mock.anthropic_base_url(), mock.gemini_base_url());
    TestGateway::on(mock, |config| {
        counted(config);
        for kind in KINDS {
            let url = match kind {
                "anthropic" => &anthropic,
                "gemini" => &gemini,
                _ => &openai,
            };
            config["providers"][kind] = json!({ "kind": kind, "base_url": url });
            config["prices"][format!("{kind}/paid")] =
                json!({ "input": 1, "cache_read": 0.1, "cache_write": 1.25, "cache_write_1h": 2, "output": 10 });
        }
        config["keys"][0]["models"] = json!(KINDS.map(|kind| format!("{kind}/*")));
        edit(config);
    })
    .await
}

/// A client's format over a provider's.
#[derive(Clone, Copy, Debug)]
struct Pair {
    kind: &'static str,
    path: &'static str,
}

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";

/// Every provider format for a client of another one, and those that clients speak, too, also passed through.
const PAIRS: [Pair; 8] = [
    Pair { kind: "openai", path: CHAT },
    Pair { kind: "openai", path: MESSAGES },
    Pair { kind: "openai-responses", path: CHAT },
    Pair { kind: "openai-responses", path: RESPONSES },
    Pair { kind: "anthropic", path: CHAT },
    Pair { kind: "anthropic", path: MESSAGES },
    Pair { kind: "gemini", path: CHAT },
    Pair { kind: "mistral", path: RESPONSES },
];

impl Pair {
    fn name(&self) -> String {
        format!("{}-over-{}", self.path.trim_start_matches('/').replace('/', "-"), self.kind)
    }

    /// A short question to `model` that allows 500 tokens of output.
    fn question(&self, model: &str, stream: bool) -> Value {
        let model = format!("{}/{model}", self.kind);
        let messages = json!([{ "role": "user", "content": "say hello" }]);
        if self.path == RESPONSES {
            return json!({ "model": model, "max_output_tokens": 500, "stream": stream, "store": false, "input": messages });
        }
        json!({ "model": model, "max_tokens": 500, "stream": stream, "messages": messages })
    }
}

/// The step as a provider of this kind answers: Mistral tells the usage of a stream without being asked for it.
fn answered_by(kind: &str, step: Step) -> Step {
    Step { framing: Framing { usage_on_finish: kind == "mistral", ..Framing::default() }, ..step }
}

/// Adds a provider `vendor` of Anthropic's format whose models have the bundled list's prices.
fn with_listed_models(config: &mut Value) {
    config["providers"]["vendor"] = config["providers"]["anthropic"].clone();
    config["keys"][0]["models"].as_array_mut().expect("a list").push(json!("vendor/*"));
}

/// Gives a model of this kind, of a name of its own, the rates of `paid`.
fn priced(config: &mut Value, kind: &str, model: &str) {
    let rates = config["prices"][format!("{kind}/paid")].clone();
    config["prices"][format!("{kind}/{model}")] = rates;
}

/// A short question in Anthropic's format.
fn message(model: &str) -> Value {
    json!({ "model": model, "max_tokens": 500, "messages": [{ "role": "user", "content": "say hello" }] })
}

fn post(gw: &TestGateway, path: &str, body: &Value) -> RequestBuilder {
    let request = gw.client.post(gw.url(path)).bearer_auth(KEY).header("content-type", "application/json");
    request.body(body.to_string())
}

async fn ask(gw: &TestGateway, path: &str, body: &Value) -> Reply {
    Reply::of(post(gw, path, body).send().await.expect("an answer")).await
}

/// The receipt of the run that answered `reply`.
async fn receipt(gw: &TestGateway, reply: &Reply) -> Value {
    receipt_of(gw, reply.header("x-headgate-run")).await
}

async fn receipt_of(gw: &TestGateway, run: &str) -> Value {
    gw.finished_run(run).await;
    let url = gw.url(&format!("/v1/requests/{run}"));
    Reply::of(gw.client.get(url).bearer_auth(KEY).send().await.expect("an answer")).await.json()
}

impl TestGateway {
    /// The line of this run.
    async fn finished_run(&self, run: &str) -> Value {
        let line = || self.log().into_iter().find(|line| line["run"] == run);
        crate::support::until("its run has finished", || line().is_some()).await;
        line().expect("just seen")
    }
}
