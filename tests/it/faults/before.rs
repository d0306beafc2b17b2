//! Faults before the first content.

use serde_json::{Value, json};

use headgate::simulator::{Fault, KeepAlive, StatusFault, Step};

use super::{Case, assert_settled_once, at_both, gateway, in_band};
use crate::support::TestGateway;
use crate::support::cases::each;
use crate::support::wire::{Wire, WireHead, data, said};

/// Faults of every answer, plain or streamed.
fn of_all_answers() -> Vec<(&'static str, Step)> {
    let page = StatusFault { status: 502, body: Some("<html>Bad gateway</html>".into()), ..StatusFault::default() };
    let silent = StatusFault { status: 500, body: Some(String::new()), ..StatusFault::default() };
    let elsewhere = Fault::Redirect { location: "http://127.0.0.1:9/v1/chat/completions".into() };
    [
        ("hangs", Fault::HangBeforeHead),
        ("resets", Fault::ResetBeforeHead),
        ("closes", Fault::CloseBeforeHead),
        ("error page", Fault::Status(page)),
        ("error without a body", Fault::Status(silent)),
        ("redirects", elsewhere),
        ("half a JSON", Fault::TruncatedJson),
        ("less than promised", Fault::ShortBody),
        ("html with a 200", Fault::Html),
        ("empty body", Fault::EmptyBody),
        ("error object with a 200", Fault::ErrorObject),
        ("says gzip", Fault::GzipHeader),
        ("no UTF-8", Fault::BadUtf8),
        ("8 MiB without a line end", Fault::HugeLine { bytes: 8 << 20 }),
        ("no end of lines", Fault::EndlessData),
        ("a million empty lines", Fault::EmptyDataLines { lines: 1_000_000 }),
    ]
    .map(|(name, fault)| (name, Step::fault(fault)))
    .into()
}

fn of_plain_answers() -> Vec<(&'static str, Step)> {
    [
        ("reset in the body", Fault::Reset { after: 1 }),
        ("cut in the body", Fault::Cut { after: 1 }),
        ("stall in the body", Fault::Stall { after: 1 }),
    ]
    .map(|(name, fault)| (name, Step::fault(fault)))
    .into()
}

fn of_streams() -> Vec<(&'static str, Step)> {
    let alive = Step { keep_alive: Some(KeepAlive { every_ms: 50, count: None }), ..Step::default() };
    let mut steps: Vec<_> = [
        ("reset after the role", Fault::Reset { after: 0 }),
        ("cut after the role", Fault::Cut { after: 0 }),
        ("stall after the role", Fault::Stall { after: 0 }),
        ("clean end after the role", Fault::CleanEnd { after: 0 }),
        ("end marker after the role", Fault::DoneWithoutFinish { after: 0 }),
        ("error event", in_band(0, true)),
        ("error data", in_band(0, false)),
        ("broken first frame", Fault::MalformedFrame { after: 0 }),
        ("empty stream", Fault::EmptyStream),
        ("end marker alone", Fault::OnlyDone),
        ("JSON instead of a stream", Fault::JsonToStream),
    ]
    .map(|(name, fault)| (name, Step::fault(fault)))
    .into();
    steps.push(("signs of life and nothing else", alive));
    steps
}

fn cases() -> Vec<Case> {
    let plain = [of_all_answers(), of_plain_answers()].concat();
    let streams = [of_all_answers(), of_streams()].concat();
    [at_both(false, plain), at_both(true, streams)].concat()
}

async fn call(
    gw: &TestGateway,
    case: &Case,
    tier: &str,
    request_id: &str,
    headers: &[(&str, &str)],
) -> (Wire, WireHead) {
    gw.mock.script(&case.name, vec![case.step.clone()]);
    let headers = [headers, &[("x-request-id", request_id)]].concat();
    let mut wire = Wire::chat(gw, &case.body(tier), &headers).await;
    let head = wire.head().await;
    (wire, head)
}

#[tokio::test]
async fn with_a_fallback_its_whole_answer_is_all_the_client_sees() {
    let cases = cases();
    assert!(cases.len() >= 30, "{}", cases.len());
    let (gw, hold) = gateway(&cases).await;
    each(&cases, |case| answered_by_the_fallback(&gw, case, hold)).await;
    assert_settled_once(&gw).await;
}

async fn answered_by_the_fallback(gw: &TestGateway, case: &Case, hold: u64) {
    let (name, backup) = (&case.name, format!("{}-fallback", case.name));
    gw.mock.script(&backup, vec![Step::text("from the fallback")]);
    let (mut wire, head) = call(gw, case, name, name, &[]).await;
    assert_eq!(head.status, 200, "{name}: {}", String::from_utf8_lossy(&wire.sized(&head).await));
    assert_eq!(head.header("x-headgate-attempts"), "2", "{name}");
    let (model, text) = if case.stream {
        let body = wire.rest().await;
        let (frames, chunks) = (body.frames(), data(&body.frames()));
        assert!(body.whole && frames.last().is_some_and(|last| last == "data: [DONE]"), "{name}: {frames:?}");
        assert!(
            chunks.iter().all(|chunk| chunk["model"] == chunks[0]["model"]),
            "{name}: two answers in one: {frames:?}"
        );
        (chunks[0]["model"].clone(), said(&chunks))
    } else {
        let body: Value = serde_json::from_slice(&wire.sized(&head).await).expect("JSON");
        (body["model"].clone(), body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!((model, text.as_str()), (json!(backup), "from the fallback"), "{name}");
    let line = gw.finished_as(name).await;
    let cost = line["cost_nano"].as_u64().expect("a price");
    assert!(line["outcome"] == "ok" && 0 < cost && cost <= 2 * hold, "{name}: {line}");
    assert_eq!((gw.mock.model_counts(name).calls, gw.mock.model_counts(&backup).calls), (1, 1), "{name}");
}

#[tokio::test]
async fn without_a_fallback_the_client_gets_an_honest_error() {
    let cases = cases();
    let (gw, hold) = gateway(&cases).await;
    each(&cases, |case| refused(&gw, case, hold)).await;
    assert_settled_once(&gw).await;
}

async fn refused(gw: &TestGateway, case: &Case, hold: u64) {
    let name = &case.name;
    let once = [("x-stainless-retry-count", "1")];
    let (mut wire, head) = call(gw, case, &format!("{name}-alone"), name, &once).await;
    let body = wire.sized(&head).await;
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert!(matches!(head.status, 502..=504), "{name}: {} {body}", head.status);
    let code = body["error"]["code"].as_str().expect("a code");
    let known = ["upstream_failed", "upstream_empty", "upstream_timeout", "overloaded"];
    assert!(known.contains(&code), "{name}: {body}");
    assert_eq!(head.header("x-should-retry"), "false", "{name}");
    assert_eq!(head.header("content-type"), "application/json", "{name}");
    let line = gw.finished_as(name).await;
    assert_eq!((&line["outcome"], &line["status"]), (&json!("error"), &json!(head.status)), "{name}: {line}");
    let (cost, counts) = (line["cost_nano"].as_u64().expect("a price"), gw.mock.model_counts(name));
    assert_eq!(counts.calls, 1, "{name}");
    assert!(cost <= hold, "{name}: {line}");
    // The prompt was sent, and nothing says that it was not read.
    let unbilled = matches!(&case.step.fault, Some(Fault::Status(_) | Fault::Redirect { .. }));
    let refused = matches!(&case.step.fault, Some(Fault::InBandError(_) | Fault::ErrorObject));
    assert!(unbilled == (cost == 0) || refused, "{name}: {line}");
}
