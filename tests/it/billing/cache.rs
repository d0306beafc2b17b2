//! Cached tokens: read, written for minutes, written for an hour.

use headgate::simulator::{FixedUsage, Step, UsageReport};
use serde_json::{Value, json};

use super::{RATES_NANO, ask, gateway, message, receipt};

/// An Anthropic answer that wrote most of its input to the cache.
fn wrote(input: u64, write: u64, of_it_for_an_hour: u64) -> Step {
    let usage = FixedUsage {
        input: Some(json!(input)),
        output: Some(json!(3)),
        cache_read: Some(json!(7)),
        cache_write: Some(json!(write)),
        cache_write_1h: Some(json!(of_it_for_an_hour)),
        ..FixedUsage::default()
    };
    Step { usage: UsageReport::Fixed(usage), ..Step::text("hello") }
}

/// Marks the message for the cache.
fn cached(mut body: Value, ttl: &str) -> Value {
    let mark = json!({ "type": "ephemeral", "ttl": ttl });
    body["messages"][0]["content"] = json!([{ "type": "text", "text": "say hello", "cache_control": mark }]);
    body
}

#[tokio::test]
async fn each_lifetime_of_a_cache_write_costs_its_own_rate() {
    let gw = gateway(|_| {}).await;
    gw.mock.script("paid", vec![wrote(5, 60, 40)]);
    let reply = ask(&gw, "/v1/messages", &cached(message("anthropic/paid"), "1h")).await;
    let receipt = receipt(&gw, &reply).await;
    let [input, read, write, write_1h, output] = RATES_NANO;
    assert_eq!(receipt["price_nano"], 5 * input + 7 * read + 20 * write + 40 * write_1h + 3 * output, "{receipt}");
    assert_eq!(receipt["counted"], false);
}

#[tokio::test]
async fn a_call_that_asks_for_an_hour_sets_the_dearer_write_aside() {
    let gw = gateway(|_| {}).await;
    // As many tokens as the bound allows, all of them written: nothing is left of the hold's share for the input.
    let mut holds = Vec::new();
    for (ttl, rate) in [("5m", RATES_NANO[2]), ("1h", RATES_NANO[3])] {
        let body = cached(message("anthropic/paid"), ttl);
        let reply = ask(&gw, "/v1/messages", &body).await;
        let hold = receipt(&gw, &reply).await["hold_nano"].as_u64().expect("a hold");
        let input = headgate::pricing::tokens::input_upper_bound(&[&body["messages"].to_string()]);
        assert_eq!(hold, input * rate + 500 * RATES_NANO[4], "{ttl}");
        holds.push(hold);
    }
    assert!(holds[1] > holds[0]);
}
