//! The fallback answers, in either format, plain and streamed, and the caller pays once.

use serde_json::{Value, json};

use headgate::simulator::{Fault, RetryAfter, Step};

use super::refusal;
use crate::support::cases::{each, tiers_of_its_own};
use crate::support::rest::counted;
use crate::support::wire::{Wire, data, said};
use crate::support::{TestGateway, question, streamed};

/// What the primary does, and whether the provider can have billed it.
fn failures() -> Vec<(&'static str, Step, bool)> {
    vec![
        ("429 in seconds", refusal(429, RetryAfter::Seconds(30)), false),
        ("429 with a date", refusal(429, RetryAfter::HttpDate(30)), false),
        ("429 in milliseconds", refusal(429, RetryAfter::Ms(30_000)), false),
        ("429 without a hint", Step::status(429), false),
        ("500", Step::status(500), false),
        ("502", Step::status(502), false),
        ("503", Step::status(503), false),
        ("529", Step::status(529), false),
        ("hang", Step::fault(Fault::HangBeforeHead), true),
        ("reset", Step::fault(Fault::ResetBeforeHead), true),
        ("close", Step::fault(Fault::CloseBeforeHead), true),
    ]
}

/// Text of the answer and the head's (status, attempts, model).
async fn answer(gw: &TestGateway, body: &Value, request_id: &str) -> (String, (u16, String, String)) {
    let mut wire = Wire::chat(gw, body, &[("x-request-id", request_id)]).await;
    let head = wire.head().await;
    let about =
        (head.status, head.header("x-headgate-attempts").to_owned(), head.header("x-headgate-model").to_owned());
    if head.header("content-type").starts_with("text/event-stream") {
        let body = wire.rest().await;
        assert!(body.whole, "{}", body.text());
        return (said(&data(&body.frames())), about);
    }
    let body: Value = serde_json::from_slice(&wire.sized(&head).await).expect("JSON");
    (body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(), about)
}

struct Case {
    name: String,
    failure: Step,
    billed: bool,
    provider: &'static str,
    stream: bool,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, failure, billed) in failures() {
        for provider in ["openai", "anthropic"] {
            for stream in [false, true] {
                let shape = if stream { "stream" } else { "plain" };
                let name = format!("{what} {provider} {shape}").replace(' ', "-");
                cases.push(Case { name, failure: failure.clone(), billed, provider, stream });
            }
        }
    }
    cases
}

#[tokio::test]
async fn a_failing_primary_is_replaced_by_its_fallback_and_the_caller_pays_once() {
    let gw = TestGateway::with(|config| {
        counted(config);
        config["timeouts"] = json!({ "headers": "2s", "total": "8s" });
        // All of them fail at once, which the usual budget is there to refuse.
        config["retry"] = json!({ "budget": { "percent": 100 } });
        cases().iter().for_each(|case| tiers_of_its_own(config, &case.name, case.provider));
    })
    .await;
    each(cases(), |case| check(&gw, case)).await;
    let total: u64 = gw.log().iter().map(|line| line["cost_nano"].as_u64().expect("a price")).sum();
    assert_eq!((gw.at_rest().await, gw.log().len()), (total, cases().len()), "one settlement for each run");
}

async fn check(gw: &TestGateway, case: Case) {
    let Case { name, failure, billed, provider, stream } = case;
    let backup = format!("{name}-fallback");
    gw.mock.script(&name, vec![failure]);
    gw.mock.script(&backup, vec![Step::text("from the second")]);
    let body = if stream { streamed(&name) } else { question(&name) };
    let (text, about) = answer(gw, &body, &name).await;
    assert_eq!(about.0, 200, "{name}: {text}");
    assert_eq!(text, "from the second", "{name}");
    let other = if provider == "openai" { "anthropic" } else { "openai" };
    assert_eq!((about.1.as_str(), about.2.as_str()), ("2", format!("{other}/{backup}").as_str()), "{name}");
    let (first, second) = (gw.mock.model_counts(&name), gw.mock.model_counts(&backup));
    assert_eq!((first.calls, second.calls), (1, 1), "{name}");

    let line = gw.finished_as(&name).await;
    assert_eq!((&line["outcome"], &line["status"]), (&json!("ok"), &json!(200)), "{name}: {line}");
    let [failed, answered] = line["attempts"].as_array().expect("a list").as_slice() else { panic!("{name}: {line}") };
    assert_eq!((&failed["class"], &answered["status"]), (&json!("retryable"), &json!(200)), "{name}");
    let (settled, price) =
        (line["cost_nano"].as_u64().unwrap(), second.input_tokens * 1_000 + second.output_tokens * 10_000);
    if billed {
        // The first provider may have read the prompt: that is paid, and little more than that.
        assert!(settled >= price + first.input_tokens * 1_000, "{name}: {settled}");
        assert!(settled <= price + 100_000, "{name}: {settled}");
    } else {
        assert_eq!(settled, price, "{name}: an HTTP error costs nothing");
    }
}
