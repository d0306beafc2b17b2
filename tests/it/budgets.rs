//! Money and rates: what is admitted, what is refused, and that refusals cost nothing.

mod caps;
mod guards;
mod kinds;
mod money;
mod on_redis;
mod parallel;
mod rates;

use headgate::pricing::tokens;
use headgate::simulator::{FixedUsage, Step, UsageReport};
use serde_json::{Value, json};

use crate::support::{Reply, TestGateway, question};

/// Nano-dollars of one token: $1 and $10 per million.
const INPUT_NANO: u64 = 1_000;
const OUTPUT_NANO: u64 = 10_000;

/// Output cap of the tier `single`.
const CAP_TOKENS: u64 = 1_000;

/// The upper bound of the input tokens of `body`, all of whose text is in its messages.
fn input_bound(body: &Value) -> u64 {
    tokens::input_upper_bound(&[&body["messages"].to_string()])
}

/// What a call with `body` sets aside, in nano-dollars: the bound of its input and the whole cap of its output.
fn hold_nano(body: &Value) -> u64 {
    input_bound(body) * INPUT_NANO + CAP_TOKENS * OUTPUT_NANO
}

/// An answer whose usage is `input` and `output` tokens, whatever was said.
fn billed(input: u64, output: u64) -> Step {
    let usage = FixedUsage { input: Some(json!(input)), output: Some(json!(output)), ..FixedUsage::default() };
    Step { usage: UsageReport::Fixed(usage), ..Step::text("hello") }
}

/// Nano-dollars as config writes money: exact, in dollars.
fn usd(nano: u64) -> Value {
    json!(format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000))
}

/// A gateway with these limits.
async fn limited(limits: Value) -> TestGateway {
    TestGateway::with(|config| config["limits"] = limits).await
}

/// Rows of the usage report of this scope and unit.
async fn rows(gw: &TestGateway, scope: &str, unit: &str) -> Vec<Value> {
    let usage = gw.usage().await;
    let all = usage["limits"].as_array().expect("a list").iter();
    all.filter(|row| row["scope"] == scope && row["unit"] == unit).cloned().collect()
}

/// The short question every test here asks.
fn ask() -> Value {
    question("single")
}

async fn call(gw: &TestGateway) -> Reply {
    gw.chat(&ask()).await
}
