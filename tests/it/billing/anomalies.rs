//! Numbers that can't be true: what was delivered is paid, at most the hold, and the answer is flagged and counted.

use headgate::simulator::{FixedUsage, Step, UsageReport};
use serde_json::{Value, json};

use super::{PAIRS, Pair, answered_by, ask, gateway, priced, receipt};
use crate::support::cases::each;

struct Case {
    pair: Pair,
    stream: bool,
    lie: &'static str,
    usage: UsageReport,
    model: String,
}

fn lies() -> Vec<(&'static str, UsageReport)> {
    let fixed = |input: Value, output: Value| {
        UsageReport::Fixed(FixedUsage { input: Some(input), output: Some(output), ..FixedUsage::default() })
    };
    vec![
        ("nothing", fixed(json!(0), json!(0))),
        ("no-output", fixed(json!(3), json!(0))),
        ("no-input", fixed(json!(0), json!(5))),
        ("negative", fixed(json!(-1), json!(-1))),
        ("absurd", fixed(json!(1e18), json!(1e18))),
        ("texts", fixed(json!("3"), json!("many"))),
        ("nulls", fixed(Value::Null, Value::Null)),
        ("missing", UsageReport::Missing),
        ("above-the-hold", fixed(json!(3), json!(40_000_000))),
    ]
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for pair in PAIRS {
        for stream in [false, true] {
            for (lie, usage) in lies() {
                let shape = if stream { "stream" } else { "plain" };
                let model = format!("{lie}-{shape}-{}", pair.name());
                cases.push(Case { pair, stream, lie, usage, model });
            }
        }
    }
    cases
}

#[tokio::test]
async fn a_lie_about_tokens_costs_what_was_said_and_at_most_the_hold_and_is_flagged_and_counted() {
    let cases = cases();
    let gw = gateway(|config| {
        for case in &cases {
            priced(config, case.pair.kind, &case.model);
        }
    })
    .await;
    for case in &cases {
        let step = Step { usage: case.usage.clone(), ..Step::text("four words of text") };
        gw.mock.script(&case.model, vec![answered_by(case.pair.kind, step)]);
    }
    each(&cases, |case| {
        let gw = &gw;
        async move {
            let (Pair { kind, path }, lie) = (case.pair, case.lie);
            let reply = ask(gw, path, &case.pair.question(&case.model, case.stream)).await;
            let name = format!("{lie}: {path} over {kind}, stream {}", case.stream);
            assert_eq!(reply.status, 200, "{name}: {}", String::from_utf8_lossy(&reply.body));
            let receipt = receipt(gw, &reply).await;
            let (price, hold) = (receipt["price_nano"].as_u64().unwrap(), receipt["hold_nano"].as_u64().unwrap());
            assert!(0 < price && price <= hold, "{name}: {price} of {hold}");
            assert_eq!(receipt["counted"], true, "{name}: {receipt}");
            if lie == "above-the-hold" {
                assert_eq!(price, hold, "{name}");
            }
        }
    })
    .await;
    let metrics = gw.metrics().await;
    let counted = format!("headgate_usage_anomalies_total {}", cases.len());
    assert!(metrics.lines().any(|line| line == counted), "not {counted}:\n{metrics}");
    let prices: u64 = gw.log().iter().map(|line| line["cost_nano"].as_u64().unwrap()).sum();
    assert_eq!(gw.at_rest().await, prices);
}
