use super::*;
use crate::domain::chat::{Finish, InBandError};
use crate::domain::usage::Usage;

fn decode(payloads: &[&str]) -> Vec<ChatEvent> {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for payload in payloads {
        let frame = SseFrame { raw: format!("data: {payload}\n\n").into() };
        decoder.push(&frame, &mut events).expect("readable");
    }
    events
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"m","content":[],"usage":{"input_tokens":9,"output_tokens":1}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn begin() -> ChatEvent {
    ChatEvent::Start { id: Some("msg_1".into()), model: Some("m".into()) }
}

fn usage(output: u64) -> ChatEvent {
    ChatEvent::Usage(Usage { input: 9, output, ..Usage::default() })
}

#[test]
fn text_comes_with_its_running_usage_and_its_end() {
    let events = decode(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hé"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":4}}"#,
        STOP,
    ]);
    let text = ChatEvent::Text("hé".into());
    assert_eq!(events, [begin(), usage(1), text, usage(4), ChatEvent::Finish(Finish::Stop), ChatEvent::End]);
}

#[test]
fn a_second_message_start_opens_nothing_and_takes_nothing_back() {
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}"#;
    let events = decode(&[START, START, delta, START]);
    assert_eq!(events.iter().filter(|event| matches!(event, ChatEvent::Start { .. })).count(), 1);
    assert_eq!(events.last(), Some(&usage(4)));
}

#[test]
fn calls_are_numbered_by_themselves_and_never_without_arguments() {
    let events = decode(&[
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"server_tool_use","id":"s","name":"web","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"q\":1}"}}"#,
        r#"{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"b","name":"g","input":{"k":2}}}"#,
        r#"{"type":"content_block_start","index":5,"content_block":{"type":"tool_use","id":"c","name":"h","input":{}}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{}}"#,
    ]);
    let start = |index, id: &str, name: &str| ChatEvent::ToolStart { index, id: id.into(), name: name.into() };
    let arguments = |index, fragment: &str| ChatEvent::ToolArguments { index, fragment: fragment.into() };
    let expected = [
        start(0, "a", "f"),
        arguments(0, r#"{"x":1}"#),
        start(1, "b", "g"),
        start(2, "c", "h"),
        arguments(1, r#"{"k":2}"#),
        arguments(2, "{}"),
        ChatEvent::Finish(Finish::ToolCalls),
    ];
    assert_eq!(events, expected);
}

#[test]
fn thinking_keeps_its_signature() {
    let events = decode(&[
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig"}}"#,
    ]);
    assert_eq!(events, [ChatEvent::Reasoning { text: "hm".into() }, ChatEvent::ReasoningSignature("sig".into())]);
}

#[test]
fn a_refusal_says_why_before_it_ends() {
    let events = decode(&[
        r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"explanation":"no"}},"usage":null}"#,
    ]);
    assert_eq!(events, [ChatEvent::Refusal("no".into()), ChatEvent::Finish(Finish::ContentFilter)]);
}

#[test]
fn an_error_event_is_an_error_with_or_without_its_name() {
    let data = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let expected = InBandError {
        message: "Overloaded".into(),
        error_type: Some("overloaded_error".into()),
        ..InBandError::default()
    };
    assert_eq!(decode(&[data]), [ChatEvent::Error(expected.clone())]);

    let named = SseFrame { raw: format!("event: error\ndata: {data}\n\n").into() };
    let mut events = Vec::new();
    Decoder::default().push(&named, &mut events).expect("readable");
    assert_eq!(events, [ChatEvent::Error(expected)]);
}

#[test]
fn what_is_no_event_is_malformed() {
    for payload in ["nope", r#"{"index":1}"#, r#"{"type":"content_block_start","content_block":{"type":"tool_use"}}"#] {
        let frame = SseFrame { raw: format!("data: {payload}\n\n").into() };
        let result = Decoder::default().push(&frame, &mut Vec::new());
        assert!(matches!(result, Err(DecodeError::Malformed(_))), "{payload}");
    }
}
