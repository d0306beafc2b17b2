//! A provider that speaks the client's format: its bytes are the client's bytes.

use serde_json::json;

use headgate::simulator::{FixedUsage, Framing, KeepAlive, Step, ToolCall, UsageReport};

use crate::support::wire::{Wire, data, frames, said};
use crate::support::{TestGateway, mock, streamed};

/// A client that asks for the usage: nothing has to be left out.
fn asking_for_usage() -> serde_json::Value {
    let mut body = streamed("single");
    body["stream_options"] = json!({ "include_usage": true });
    body
}

/// What `step` writes when it is asked exactly what the gateway asked it: by another mock, whose numbers start anew.
async fn sent_by_the_provider(gw: &TestGateway, step: Step) -> String {
    let asked = gw.mock.requests("first").pop().expect("a call").body;
    let other = mock().await;
    other.script("first", vec![step]);
    let mut wire = Wire::connect(other.addr()).await;
    wire.ask("/v1/chat/completions", &asked, &[]).await;
    assert_eq!(wire.head().await.status, 200);
    wire.rest().await.text()
}

/// The second in which an answer was made may differ between two answers.
fn without_created(text: &str) -> String {
    let mut parts = text.split("\"created\":");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("\"created\":");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' '));
    }
    out
}

/// The text without the one comment that is the gateway's own.
fn without_the_cost(text: &str) -> String {
    let start = text.find(": headgate cost_usd=").expect("a cost");
    let end = start + text[start..].find("\n\n").expect("an end") + 2;
    [&text[..start], &text[end..]].concat()
}

#[tokio::test]
async fn every_byte_of_the_providers_frames_reaches_the_client_whatever_their_framing() {
    let tool = ToolCall { name: "weather".into(), arguments: json!({ "city": "Zürich", "days": 3 }), id: None };
    let framings = [
        ("plain", Framing::default()),
        ("crlf", Framing { crlf: true, ..Framing::default() }),
        ("no space", Framing { no_space: true, ..Framing::default() }),
        ("several data lines", Framing { split_data: true, ..Framing::default() }),
        ("no role frame", Framing { no_opening: true, ..Framing::default() }),
        ("usage on the finish", Framing { usage_on_finish: true, ..Framing::default() }),
    ];
    for (name, framing) in framings {
        for bytes_per_write in [None, std::num::NonZeroUsize::new(7)] {
            let step = Step {
                text: Some("Grüße 😀 from \"the\" mock, \\n and so on".into()),
                tool_calls: vec![tool.clone()],
                framing: framing.clone(),
                bytes_per_write,
                ..Step::default()
            };
            let gw = TestGateway::start().await;
            gw.mock.script("first", vec![step.clone()]);
            let mut wire = Wire::chat(&gw, &asking_for_usage(), &[]).await;
            let head = wire.head().await;
            assert_eq!((head.status, head.header("x-headgate-attempts")), (200, "1"), "{name}");
            assert_eq!(head.header("content-type"), "text/event-stream; charset=utf-8", "{name}");
            assert_eq!(head.header("x-accel-buffering"), "no", "{name}");
            let body = wire.rest().await;
            assert!(body.whole, "{name}");
            let expected = sent_by_the_provider(&gw, step).await;
            assert!(expected.contains("[DONE]") && expected.contains("Grüße"), "{name}: {expected}");
            assert_eq!(without_created(&without_the_cost(&body.text())), without_created(&expected), "{name}");
        }
    }
}

#[tokio::test]
async fn the_usage_is_asked_for_upstream_and_hidden_from_a_client_that_did_not_ask() {
    let gw = TestGateway::start().await;
    let mut wire = Wire::chat(&gw, &streamed("single"), &[]).await;
    wire.head().await;
    let body = wire.rest().await;
    let asked: serde_json::Value = serde_json::from_str(&gw.mock.requests("first")[0].body).unwrap();
    assert_eq!(asked["stream_options"]["include_usage"], true);
    let expected = sent_by_the_provider(&gw, Step::default()).await;
    let (usage, rest): (Vec<_>, Vec<_>) =
        frames(&expected).into_iter().partition(|frame| frame.contains("\"choices\":[]"));
    assert_eq!(usage.len(), 1, "the mock sends one usage chunk: {expected}");
    let shown = without_created(&without_the_cost(&body.text()));
    assert_eq!(shown, without_created(&(rest.join("\n\n") + "\n\n")));
    // Hidden, not lost: the bill is the provider's count.
    let counts = gw.mock.model_counts("first");
    assert_eq!(gw.finished(1).await["cost_nano"], counts.input_tokens * 1_000 + counts.output_tokens * 10_000);
}

#[tokio::test]
async fn the_usage_is_shown_to_a_client_that_asked() {
    let gw = TestGateway::start().await;
    let mut wire = Wire::chat(&gw, &asking_for_usage(), &[]).await;
    wire.head().await;
    let chunks = data(&wire.rest().await.frames());
    let last = chunks.last().expect("chunks");
    let counts = gw.mock.model_counts("first");
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["prompt_tokens"], counts.input_tokens);
    assert_eq!(last["usage"]["completion_tokens"], counts.output_tokens);
}

#[tokio::test]
async fn a_frame_is_never_split_however_the_provider_wrote_it() {
    for (crlf, end) in [(false, "\n\n"), (true, "\r\n\r\n")] {
        let gw = TestGateway::start().await;
        let framing = Framing { crlf, ..Framing::default() };
        let bytes_per_write = std::num::NonZeroUsize::new(1);
        let words = Some(40);
        gw.mock.script("first", vec![Step { framing, bytes_per_write, words, ..Step::text("één twee") }]);
        let mut wire = Wire::chat(&gw, &streamed("single"), &[]).await;
        wire.head().await;
        let body = wire.rest().await;
        assert!(body.whole && body.chunks.len() > 10, "{} chunks", body.chunks.len());
        for chunk in body.chunks {
            let text = String::from_utf8(chunk).expect("a chunk holds whole characters");
            let whole = text.ends_with(end) || (text.ends_with("\n\n") && text.starts_with(": headgate"));
            assert!(whole, "{text:?} is no whole frame");
            assert!(text.starts_with("data:") || text.starts_with(':'), "{text:?} does not begin with a frame");
        }
    }
}

#[tokio::test]
async fn the_cost_is_told_in_the_last_comment_before_the_end_marker() {
    let gw = TestGateway::start().await;
    let usage =
        UsageReport::Fixed(FixedUsage { input: Some(json!(7)), output: Some(json!(3)), ..FixedUsage::default() });
    gw.mock.script("first", vec![Step { usage, ..Step::text("three words here") }]);
    let mut wire = Wire::chat(&gw, &streamed("single"), &[]).await;
    wire.head().await;
    let frames = wire.rest().await.frames();
    // 7 tokens at $1 and 3 at $10 per million.
    assert_eq!(frames[frames.len() - 2..], [": headgate cost_usd=0.000037", "data: [DONE]"]);
    assert_eq!(gw.finished(1).await["cost_nano"], 37_000);
}

#[tokio::test]
async fn the_providers_comments_stay_behind() {
    let gw = TestGateway::start().await;
    gw.mock.script(
        "first",
        vec![Step { keep_alive: Some(KeepAlive { every_ms: 1, count: Some(3) }), ..Step::text("hi") }],
    );
    let mut wire = Wire::chat(&gw, &streamed("single"), &[]).await;
    wire.head().await;
    let frames = wire.rest().await.frames();
    assert_eq!(said(&data(&frames)), "hi");
    assert_eq!(frames.iter().filter(|frame| frame.starts_with(':')).count(), 1, "only the cost: {frames:?}");
}
