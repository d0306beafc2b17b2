//! Everything a provider can do wrong, one table: before content another target answers or the client gets an honest
//! error; after content an error in the stream and an abnormal end. Never 200 with nothing, never a clean end in the
//! middle, and never money that is still held.

mod after;
mod before;
mod odd;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use headgate::simulator::{Fault, InBandError, Step};

use crate::support::cases::tiers_of_its_own;
use crate::support::rest::counted;
use crate::support::{TestGateway, question, streamed};

const PROVIDERS: [&str; 2] = ["openai", "anthropic"];

/// One fault at one provider, in one kind of answer.
#[derive(Clone, Debug)]
struct Case {
    /// Name of its tier, its target and its request.
    name: String,
    provider: &'static str,
    stream: bool,
    step: Step,
}

/// Each step at each provider.
fn at_both(stream: bool, steps: Vec<(&'static str, Step)>) -> Vec<Case> {
    let shape = if stream { "stream" } else { "plain" };
    let case = |provider, (what, step): (&str, Step)| Case {
        name: format!("{what} {provider} {shape}").replace(' ', "-"),
        provider,
        stream,
        step,
    };
    let of = |provider| steps.clone().into_iter().map(move |step| case(provider, step));
    PROVIDERS.into_iter().flat_map(of).collect()
}

fn in_band(after: u64, event_line: bool) -> Fault {
    Fault::InBandError(InBandError { after, event_line, ..InBandError::default() })
}

impl Case {
    fn body(&self, tier: &str) -> Value {
        if self.stream { streamed(tier) } else { question(tier) }
    }
}

/// A gateway with two tiers for every case, and what one of their calls sets aside.
async fn gateway(cases: &[Case]) -> (TestGateway, u64) {
    let gw = TestGateway::with(|config| {
        counted(config);
        config["timeouts"] = json!({ "headers": "2s", "first_content": "2s", "idle": "2s", "total": "8s" });
        // All of them fail at once, which the usual budget is there to refuse.
        config["retry"] = json!({ "budget": { "percent": 100 } });
        cases.iter().for_each(|case| tiers_of_its_own(config, &case.name, case.provider));
        tiers_of_its_own(config, "measure", "openai");
    })
    .await;
    let hold = gw.hold_of(&question("measure"), "measure").await;
    (gw, hold)
}

/// What all runs cost together, by their lines and by the ledger.
async fn assert_settled_once(gw: &TestGateway) {
    let lines: BTreeMap<String, Value> = gw.log().into_iter().map(|line| (line["run"].to_string(), line)).collect();
    let total: u64 = lines.values().map(|line| line["cost_nano"].as_u64().expect("a price")).sum();
    assert_eq!(gw.at_rest().await, total);
    assert_eq!(lines.len(), gw.log().len(), "one line for each run");
    // Nobody keeps a call open that nobody waits for.
    crate::support::until("the provider is left alone", || gw.mock.counts().open_calls == 0).await;
}
