use super::*;
use crate::domain::chat::Finish;

fn events(frames: &[&str]) -> Vec<ChatEvent> {
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    for data in frames {
        let frame = SseFrame { raw: format!("data: {data}\n\n").into() };
        decoder.push(&frame, &mut out).expect("it can be read");
    }
    out
}

#[test]
fn what_came_in_deltas_is_not_said_again_at_the_end_of_its_item() {
    let said = events(&[
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message","content":[]}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"a"}"#,
        r#"{"type":"response.output_text.done","output_index":0,"text":"a"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"a"}]}}"#,
    ]);
    assert_eq!(said, [ChatEvent::Text("a".into())]);
}

#[test]
fn an_item_that_sent_no_deltas_is_said_at_its_end() {
    let said = events(&[
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"a"}]}}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","id":"fc","call_id":"c1","name":"f","arguments":"{}"}}"#,
        r#"{"type":"response.completed","response":{"id":"r","status":"completed","output":[]}}"#,
    ]);
    let expected = [
        ChatEvent::Text("a".into()),
        ChatEvent::ToolStart { index: 0, id: "c1".into(), name: "f".into() },
        ChatEvent::ToolArguments { index: 0, fragment: "{}".into() },
        ChatEvent::Finish(Finish::ToolCalls),
        ChatEvent::End,
    ];
    assert_eq!(said, expected);
}

#[test]
fn paragraphs_of_a_summary_are_kept_apart_and_the_signature_closes_them() {
    let said = events(&[
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[]}}"#,
        r#"{"type":"response.reasoning_summary_part.added","output_index":0,"summary_index":0}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"a"}"#,
        r#"{"type":"response.reasoning_summary_part.added","output_index":0,"summary_index":1}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":1,"delta":"b"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs_1","encrypted_content":"gAA=","summary":[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}]}}"#,
    ]);
    let reasoning = |text: &str| ChatEvent::Reasoning { text: text.into() };
    let signature = ChatEvent::ReasoningSignature("openai-responses:rs_1:gAA=".into());
    assert_eq!(said, [reasoning("a"), reasoning("\n\n"), reasoning("b"), signature]);
}

#[test]
fn errors_are_read_nested_flat_and_inside_a_failed_response() {
    for data in [
        r#"{"type":"error","sequence_number":2,"error":{"type":"t","code":"c","message":"m","param":null}}"#,
        r#"{"type":"error","sequence_number":2,"code":"c","message":"m","param":null}"#,
        r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"c","message":"m"}}}"#,
        r#"{"error":{"message":"m","code":"c"}}"#,
    ] {
        let said = events(&[data]);
        let [ChatEvent::Error(error)] = said.as_slice() else { panic!("{data}: {said:?}") };
        assert_eq!((error.message.as_str(), error.code.as_deref()), ("m", Some("c")), "{data}");
    }
}
