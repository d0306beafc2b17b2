use super::*;
use crate::domain::chat::Finish;
use crate::domain::usage::Usage;

fn decode(payloads: &[&str]) -> (Vec<ChatEvent>, Vec<FrameKind>) {
    let (mut decoder, mut events, mut kinds) = (Decoder::default(), Vec::new(), Vec::new());
    for payload in payloads {
        let frame = SseFrame { raw: format!("data: {payload}\n\n").into() };
        kinds.push(decoder.push(&frame, &mut events).expect("readable"));
    }
    (events, kinds)
}

fn text(text: &str) -> ChatEvent {
    ChatEvent::Text(text.into())
}

fn start(index: u32, id: &str, name: &str) -> ChatEvent {
    ChatEvent::ToolStart { index, id: id.into(), name: name.into() }
}

fn arguments(index: u32, fragment: &str) -> ChatEvent {
    ChatEvent::ToolArguments { index, fragment: fragment.into() }
}

#[test]
fn a_stream_becomes_its_events_and_only_the_last_usage_chunk_may_be_hidden() {
    let (events, kinds) = decode(&[
        r#"{"choices":[],"id":"","prompt_filter_results":[]}"#,
        r#"{"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"hé"},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
        r#"{"id":"c1","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
        "[DONE]",
    ]);

    let usage = Usage { input: 3, output: 2, ..Usage::default() };
    let begin = ChatEvent::Start { id: Some("c1".into()), model: Some("m".into()) };
    assert_eq!(events, [begin, text("hé"), ChatEvent::Finish(Finish::Stop), ChatEvent::Usage(usage), ChatEvent::End]);
    assert_eq!(kinds[4..], [FrameKind::UsageOnly, FrameKind::End]);
    assert!(kinds[..4].iter().all(|kind| *kind == FrameKind::Data));
}

#[test]
fn usage_on_the_finish_chunk_is_read_and_the_chunk_is_kept() {
    let (events, kinds) = decode(&[
        r#"{"choices":[{"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
    ]);
    assert_eq!(kinds, [FrameKind::Data]);
    assert!(matches!(events[..], [ChatEvent::Finish(Finish::Length), ChatEvent::Usage(_)]));
}

#[test]
fn tool_calls_are_counted_from_zero_whatever_the_provider_numbers() {
    let (events, _) = decode(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{\"x\":"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":2,"id":"b","function":{"name":"g","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"other","function":{"arguments":"1}"}}]}}]}"#,
    ]);
    let expected =
        [start(0, "a", "f"), arguments(0, "{\"x\":"), start(1, "b", "g"), arguments(1, "{}"), arguments(0, "1}")];
    assert_eq!(events, expected);
}

#[test]
fn calls_without_numbers_or_ids_are_told_apart() {
    let (events, _) = decode(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"g","arguments":{"k":1}}}]}}]}"#,
    ]);
    let expected = [
        start(0, "a", "f"),
        arguments(0, "{}"),
        start(1, "b", "f"),
        arguments(1, "{}"),
        start(2, "call_2", "g"),
        arguments(2, "{\"k\":1}"),
    ];
    assert_eq!(events, expected);
}

#[test]
fn the_same_number_with_another_id_is_another_call() {
    let (events, _) = decode(&[
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}]}}]}"#,
    ]);
    assert_eq!(events, [start(0, "a", "f"), arguments(0, "{}"), start(1, "b", "g"), arguments(1, "{}")]);
}

#[test]
fn several_choices_are_finished_when_the_last_of_them_is() {
    let (events, _) = decode(&[
        r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}"#,
        r#"{"choices":[{"index":1,"delta":{},"finish_reason":"length"}]}"#,
    ]);
    assert_eq!(events, [text("a"), text("b"), ChatEvent::Finish(Finish::Length)]);
}

#[test]
fn reasoning_is_read_under_both_of_its_names() {
    let (events, _) = decode(&[
        r#"{"choices":[{"delta":{"content":null,"reasoning_content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":"b"}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"c"}]},{"type":"text","text":"d"}]}}]}"#,
    ]);
    let reasoning = |text: &str| ChatEvent::Reasoning { text: text.into() };
    assert_eq!(events, [reasoning("a"), reasoning("b"), reasoning("c"), text("d")]);
}

#[test]
fn an_error_inside_the_stream_is_an_event_whatever_its_shape() {
    for payload in [
        r#"{"error":{"message":"busy","code":500}}"#,
        r#"{"error":"busy"}"#,
        r#"{"object":"error","message":"busy"}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#,
    ] {
        let (events, kinds) = decode(&[payload]);
        assert!(matches!(events[..], [ChatEvent::Error(_)]), "{payload}: {events:?}");
        assert_eq!(kinds, [FrameKind::Data]);
    }
    let frame = SseFrame { raw: "event: error\ndata: it broke\n\n".into() };
    let mut events = Vec::new();
    Decoder::default().push(&frame, &mut events).expect("readable");
    assert!(matches!(&events[..], [ChatEvent::Error(error)] if error.message == "it broke"));
}

#[test]
fn comments_are_comments_and_broken_json_is_an_error() {
    let mut events = Vec::new();
    let comment = SseFrame { raw: ": keep-alive\n\n".into() };
    assert_eq!(Decoder::default().push(&comment, &mut events), Ok(FrameKind::Comment));
    let broken = SseFrame { raw: "data: {\"choices\":[\n\n".into() };
    assert!(matches!(Decoder::default().push(&broken, &mut events), Err(DecodeError::Malformed(_))));
    assert!(events.is_empty());
}
