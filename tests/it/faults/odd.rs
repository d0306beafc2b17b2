//! What looks odd and is no fault: the answer is whole. And numbers that can't be true: the caller pays for what was
//! said, at most the hold.

use serde_json::{Value, json};

use headgate::simulator::{Fault, FixedUsage, Framing, Step, UsageReport};

use super::{Case, assert_settled_once, at_both, gateway};
use crate::support::TestGateway;
use crate::support::cases::each;
use crate::support::wire::{Wire, data, said};

const TEXT: &str = "a whole answer";

/// Asks, checks that the answer is whole, and returns the run's line.
async fn whole(gw: &TestGateway, case: &Case) -> Value {
    let name = &case.name;
    gw.mock.script(name, vec![case.step.clone()]);
    let mut wire = Wire::chat(gw, &case.body(name), &[("x-request-id", name)]).await;
    let head = wire.head().await;
    assert_eq!((head.status, head.header("x-headgate-attempts")), (200, "1"), "{name}");
    let text = if case.stream {
        let body = wire.rest().await;
        assert!(body.whole && body.text().ends_with("data: [DONE]\n\n"), "{name}: {}", body.text());
        said(&data(&body.frames()))
    } else {
        let body: Value = serde_json::from_slice(&wire.sized(&head).await).expect("JSON");
        body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(text, TEXT, "{name}");
    let line = gw.finished_as(name).await;
    assert_eq!((&line["outcome"], &line["status"]), (&json!("ok"), &json!(200)), "{name}: {line}");
    line
}

#[tokio::test]
async fn a_finish_reason_is_proof_enough_of_a_whole_stream() {
    let framing = |framing| Step { framing, ..Step::text(TEXT) };
    let steps = vec![
        ("no end marker", Step { fault: Some(Fault::FinishWithoutDone), ..Step::text(TEXT) }),
        ("no role frame", framing(Framing { no_opening: true, ..Framing::default() })),
        ("no event lines", framing(Framing { no_event_lines: true, ..Framing::default() })),
    ];
    let cases = at_both(true, steps);
    let (gw, _) = gateway(&cases).await;
    each(&cases, |case| async { drop(whole(&gw, case).await) }).await;
    assert_settled_once(&gw).await;
}

#[tokio::test]
async fn a_usage_that_cannot_be_true_costs_something_and_at_most_the_hold_and_is_counted() {
    let lie = |input: Value, output: Value| {
        let usage = FixedUsage { input: Some(input), output: Some(output), ..FixedUsage::default() };
        Step { usage: UsageReport::Fixed(usage), ..Step::text(TEXT) }
    };
    let steps = vec![
        ("nothing", lie(json!(0), json!(0))),
        ("negative", lie(json!(-1), json!(-1))),
        ("absurd", lie(json!(1e18), json!(1e18))),
        ("huge", lie(json!(u64::MAX), json!(u64::MAX))),
        ("a fraction", lie(json!(1.5), json!(2.5))),
        ("a text", lie(json!("many"), json!("many"))),
        ("missing", Step { usage: UsageReport::Missing, ..Step::text(TEXT) }),
    ];
    let cases = [at_both(false, steps.clone()), at_both(true, steps)].concat();
    let (gw, hold) = gateway(&cases).await;
    let anomalies = gw.gateway.hall().metrics().usage_anomalies.get();
    each(&cases, |case| {
        let gw = &gw;
        async move {
            let line = whole(gw, case).await;
            let cost = line["cost_nano"].as_u64().expect("a price");
            assert!(0 < cost && cost <= hold, "{}: {line}", case.name);
        }
    })
    .await;
    assert_settled_once(&gw).await;
    let anomalies = gw.gateway.hall().metrics().usage_anomalies.get() - anomalies;
    assert_eq!(anomalies, cases.len() as u64);
}
