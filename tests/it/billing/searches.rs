//! Searches that the provider does on the way have a price of their own, where it is known.

use headgate::simulator::{FixedUsage, Step, UsageReport};
use serde_json::json;

use super::{RATES_NANO, ask, gateway, receipt, with_listed_models};

fn searched() -> Step {
    let usage = FixedUsage {
        input: Some(json!(30)),
        output: Some(json!(4)),
        web_searches: Some(json!(2)),
        ..FixedUsage::default()
    };
    Step { usage: UsageReport::Fixed(usage), ..Step::text("found it") }
}

#[tokio::test]
async fn a_search_costs_what_the_list_says_and_one_that_nobody_prices_is_flagged() {
    let gw = gateway(with_listed_models).await;
    let [input, .., output] = RATES_NANO;
    for (target, price, counted) in [
        // $4 and $20 per million tokens, $10 for a thousand searches.
        ("vendor/claude-opus-5-5", 30 * 4_000 + 4 * 20_000 + 2 * 10_000_000, false),
        ("anthropic/paid", 30 * input + 4 * output, true),
    ] {
        let model = target.split_once('/').expect("provider/model").1;
        gw.mock.script(model, vec![searched()]);
        for stream in [false, true] {
            let body = json!({
                "model": target, "max_tokens": 1_000, "stream": stream,
                "messages": [{ "role": "user", "content": "what is new?" }],
            });
            let reply = ask(&gw, "/v1/messages", &body).await;
            let receipt = receipt(&gw, &reply).await;
            assert_eq!((&receipt["price_nano"], &receipt["counted"]), (&json!(price), &json!(counted)), "{receipt}");
            assert_eq!(receipt["usage"]["web_searches"], 2);
        }
    }
}
