//! Faults after the first content: nobody else may go on with somebody's answer, and the client must not take what it
//! has for a whole one.

use serde_json::{Value, json};

use headgate::simulator::{Fault, Step, ToolCall};

use super::{Case, assert_settled_once, at_both, gateway, in_band};
use crate::support::TestGateway;
use crate::support::cases::each;
use crate::support::wire::{Wire, data, said};

const TEXT: &str = "onesaid twosaid threesaid foursaid fivesaid";

fn faults(after: u64) -> [(&'static str, Fault); 8] {
    [
        ("reset", Fault::Reset { after }),
        ("cut", Fault::Cut { after }),
        ("stall", Fault::Stall { after }),
        ("clean end", Fault::CleanEnd { after }),
        ("end marker", Fault::DoneWithoutFinish { after }),
        ("error event", in_band(after, true)),
        ("error data", in_band(after, false)),
        ("broken frame", Fault::MalformedFrame { after }),
    ]
}

/// In the middle of a text, after the whole of it, and in the middle of a tool's arguments.
fn cases() -> Vec<Case> {
    let says = |fault| Step { fault: Some(fault), ..Step::text(TEXT) };
    let arguments = json!({ "city": "Zürich", "days": [1, 2, 3] });
    let calls = |fault| {
        let tool = ToolCall { name: "weather".into(), arguments: arguments.clone(), id: None };
        Step { fault: Some(fault), tool_calls: vec![tool], ..Step::default() }
    };
    let middle = faults(3).map(|(name, fault)| (name, says(fault)));
    let mut cases = at_both(true, middle.into());
    for (place, steps) in
        [("at the end", faults(5).map(|f| (f.0, says(f.1)))), ("in a tool call", faults(2).map(|f| (f.0, calls(f.1))))]
    {
        for mut case in at_both(true, steps.into()) {
            case.name = format!("{place} {}", case.name).replace(' ', "-");
            cases.push(case);
        }
    }
    cases
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_ends_abnormally() {
    let cases = cases();
    assert!(cases.len() >= 30, "{}", cases.len());
    let (gw, hold) = gateway(&cases).await;
    each(&cases, |case| told_and_cut(&gw, case, hold)).await;
    assert_settled_once(&gw).await;
}

async fn told_and_cut(gw: &TestGateway, case: &Case, hold: u64) {
    let name = &case.name;
    gw.mock.script(name, vec![case.step.clone()]);
    let mut wire = Wire::chat(gw, &case.body(name), &[("x-request-id", name)]).await;
    let head = wire.head().await;
    assert_eq!((head.status, head.header("x-headgate-attempts")), (200, "1"), "{name}");
    let body = wire.rest().await;
    let mut frames = body.frames();

    assert!(!body.whole, "{name}: the body must not end as a whole one does: {frames:?}");
    assert!(!frames.iter().any(|frame| frame.contains("[DONE]")), "{name}: {frames:?}");
    let last = frames.pop().expect("frames");
    let error = last.strip_prefix("event: error\ndata: ").unwrap_or_else(|| panic!("{name}: no error frame: {last}"));
    let error: Value = serde_json::from_str(error).expect("JSON");
    for key in ["message", "type", "code", "param"] {
        assert!(error["error"].get(key).is_some(), "{name}: {error}");
    }
    let chunks = data(&frames);
    assert!(chunks.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()), "{name}: {frames:?}");
    // What came before the fault is the client's, to the last frame.
    let expected = match (case.step.tool_calls.is_empty(), name.starts_with("at-the-end")) {
        (true, true) => TEXT,
        (true, false) => "onesaid twosaid threesaid",
        (false, _) => "",
    };
    assert_eq!(said(&chunks).trim(), expected, "{name}");
    let tool = chunks.iter().filter(|chunk| !chunk["choices"][0]["delta"]["tool_calls"].is_null()).count();
    assert_eq!(tool > 0, expected.is_empty(), "{name}: {frames:?}");

    assert_eq!(gw.mock.model_counts(&format!("{name}-fallback")).calls, 0, "{name}: nobody else goes on");
    let line = gw.finished_as(name).await;
    assert!(line["outcome"] == "error" && matches!(line["status"].as_u64(), Some(502..=504)), "{name}: {line}");
    let (cost, billed) = (line["cost_nano"].as_u64().expect("a price"), gw.mock.model_counts(name));
    assert!(0 < cost && cost <= hold, "{name}: {line}");
    if billed.aborted + billed.broken_off > 0 && case.step.tool_calls.is_empty() {
        let price = billed.input_tokens * 1_000 + billed.output_tokens * 10_000;
        assert!(cost >= price, "{name}: settled {cost}, the provider bills {price}");
    }
}
