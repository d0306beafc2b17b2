use super::*;
use crate::domain::usage::Usage;

fn decode(payloads: &[&str]) -> Vec<ChatEvent> {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for payload in payloads {
        let frame = SseFrame { raw: format!("data: {payload}\r\n\r\n").into() };
        assert_eq!(decoder.push(&frame, &mut events), Ok(FrameKind::Data), "{payload}");
    }
    events
}

fn parts(parts: &str) -> String {
    format!(
        r#"{{"candidates":[{{"content":{{"role":"model","parts":[{parts}]}}}}],"responseId":"r-1","modelVersion":"g"}}"#
    )
}

fn finish(reason: &str) -> String {
    format!(r#"{{"candidates":[{{"finishReason":"{reason}"}}]}}"#)
}

fn text(text: &str) -> ChatEvent {
    ChatEvent::Text(text.into())
}

fn start() -> ChatEvent {
    ChatEvent::Start { id: Some("r-1".into()), model: Some("g".into()) }
}

fn call(index: u32, id: &str, name: &str) -> ChatEvent {
    ChatEvent::ToolStart { index, id: id.into(), name: name.into() }
}

fn arguments(index: u32, fragment: &str) -> ChatEvent {
    ChatEvent::ToolArguments { index, fragment: fragment.into() }
}

#[test]
fn usage_repeats_in_every_frame_and_comes_before_the_finish() {
    let usage = |output| ChatEvent::Usage(Usage { input: 9, output, ..Usage::default() });
    let events = decode(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1,"thoughtsTokenCount":4}}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2,"thoughtsTokenCount":4}}"#,
    ]);
    assert_eq!(events, [usage(5), text("a"), usage(6), text("b"), ChatEvent::Finish(Finish::Length)]);
}

#[test]
fn thoughts_are_reasoning_and_signatures_name_their_part() {
    let frame = parts(
        r#"{"text":"hm","thought":true},{"text":"so"},{"text":"","thoughtSignature":"S1"},{"functionCall":{"name":"f","args":{"a":1.0}},"thoughtSignature":"S2"}"#,
    );
    let signature = |marked: &str| ChatEvent::ReasoningSignature(marked.into());
    let expected = [
        start(),
        ChatEvent::Reasoning { text: "hm".into() },
        text("so"),
        signature("gemini:text:S1"),
        signature("gemini:0:S2"),
        call(0, "call_r1_0", "f"),
        arguments(0, r#"{"a":1.0}"#),
        ChatEvent::Finish(Finish::ToolCalls),
    ];
    assert_eq!(decode(&[&frame, &finish("STOP")]), expected);
}

#[test]
fn ids_of_the_provider_are_kept_and_missing_ones_differ() {
    let frame = parts(
        r#"{"functionCall":{"id":"x7","name":"f","args":{}}},{"functionCall":{"name":"f"}},{"functionCall":{"name":"g","args":null}}"#,
    );
    let expected = [
        start(),
        call(0, "x7", "f"),
        arguments(0, "{}"),
        call(1, "call_r1_1", "f"),
        arguments(1, "{}"),
        call(2, "call_r1_2", "g"),
        arguments(2, "{}"),
    ];
    assert_eq!(decode(&[&frame]), expected);
}

#[test]
fn arguments_in_steps_become_one_object() {
    let step = |called: &str| parts(&format!(r#"{{"functionCall":{called}}}"#));
    let events = decode(&[
        &step(r#"{"name":"f","willContinue":true}"#),
        &step(r#"{"partialArgs":[{"jsonPath":"$.id","stringValue":"A","willContinue":true}],"willContinue":true}"#),
        &step(
            r#"{"partialArgs":[{"jsonPath":"$.id","stringValue":"B"},{"jsonPath":"$.n","numberValue":2}],"willContinue":true}"#,
        ),
        &step("{}"),
        &step(r#"{"name":"g","willContinue":true}"#),
        &finish("STOP"),
    ]);
    let expected = [
        start(),
        call(0, "call_r1_0", "f"),
        arguments(0, r#"{"id":"AB","n":2}"#),
        call(1, "call_r1_1", "g"),
        arguments(1, "{}"),
        ChatEvent::Finish(Finish::ToolCalls),
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_blocked_prompt_and_a_broken_answer_are_errors_with_the_providers_word() {
    for (frame, code) in [
        (r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}}"#.to_owned(), "PROHIBITED_CONTENT"),
        (finish("MALFORMED_FUNCTION_CALL"), "MALFORMED_FUNCTION_CALL"),
        (finish("OTHER"), "OTHER"),
        (r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#.to_owned(), "UNAVAILABLE"),
        (r#"[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]"#.to_owned(), "UNAVAILABLE"),
    ] {
        let events = decode(&[&frame]);
        assert!(matches!(&events[..], [ChatEvent::Error(error)] if error.code.as_deref() == Some(code)), "{events:?}");
    }
}

#[test]
fn an_answer_that_stops_before_it_began_has_no_finish() {
    assert_eq!(decode(&[&parts(r#"{"text":""}"#), &finish("STOP")]), [start()]);
    assert_eq!(decode(&[&finish("SAFETY")]), [ChatEvent::Finish(Finish::ContentFilter)]);
}

#[test]
fn what_is_no_answer_is_malformed() {
    for broken in ["{\"candidates\":[", "[]", "\"x\"", "[DONE]"] {
        let frame = SseFrame { raw: format!("data: {broken}\n\n").into() };
        let read = Decoder::default().push(&frame, &mut Vec::new());
        assert!(matches!(read, Err(DecodeError::Malformed(_))), "{broken}: {read:?}");
    }
}
