use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn call_with(extra: Value) -> Result<Decoded, GatewayError> {
    let message = json!({"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "hi"}]});
    let mut body = json!({"id": "chat-1", "messages": [message], "trigger": "submit-message"});
    body.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
    decode(Bytes::from(body.to_string()))
}

fn refused(extra: Value) -> (String, Option<String>) {
    match call_with(extra) {
        Err(GatewayError::InvalidRequest { message, param }) => (message, param),
        other => panic!("unexpected {:?}", other.err()),
    }
}

#[test]
fn a_page_streams_and_needs_neither_model_nor_cap() {
    let call = call_with(json!({})).expect("valid");
    assert_eq!((call.model, call.max_tokens, call.stream, call.message_count), (None, None, true, 1));
    assert_eq!(call.conversation, Some(Conversation { id: Some("chat-1".into()), continues: None }));
}

#[test]
fn settings_are_known_by_the_sdks_spelling_and_by_the_usual_one() {
    for cap in ["maxOutputTokens", "maxTokens", "max_tokens"] {
        assert_eq!(call_with(json!({ cap: 7 })).expect("valid").max_tokens, Some(7), "{cap}");
    }
    for model in ["model", "tier"] {
        assert_eq!(call_with(json!({ model: "simple" })).expect("valid").model.as_deref(), Some("simple"), "{model}");
    }
    let call =
        call_with(json!({"tools": {"f": {"parameters": {}}}, "metadata": {"plan": "free", "n": 1}})).expect("valid");
    assert!(call.has_tools && !call_with(json!({"tools": {}})).expect("valid").has_tools);
    assert_eq!(call.metadata, BTreeMap::from([("plan".to_owned(), "free".to_owned())]));
}

#[test]
fn a_thing_said_twice_is_refused_however_it_is_spelled() {
    let (message, param) = refused(json!({"maxTokens": 5, "max_tokens": 6}));
    assert!(message.contains("`maxTokens` and `max_tokens`"), "{message}");
    assert_eq!(param.as_deref(), Some("max_tokens"));
    assert!(refused(json!({"MaxTokens": 5})).0.contains("spelled `maxTokens`"));
    let twice = Bytes::from_static(br#"{"messages":[],"messages":[]}"#);
    assert!(matches!(decode(twice), Err(GatewayError::DuplicateField { .. })));
}

#[test]
fn a_cap_is_a_positive_whole_number_and_null_is_none() {
    assert_eq!(call_with(json!({"maxOutputTokens": null})).expect("valid").max_tokens, None);
    for cap in [json!(0), json!(-1), json!(1.5), json!("9"), json!(1e30)] {
        assert_eq!(refused(json!({ "maxOutputTokens": cap })).1.as_deref(), Some("maxOutputTokens"), "{cap}");
    }
}

#[test]
fn what_a_page_sends_for_itself_is_neither_billed_nor_refused() {
    let without = call_with(json!({})).expect("valid").billed_bytes();
    let with = call_with(json!({"sessionId": "x".repeat(500), "data": [1, 2], "messageId": "m-0"})).expect("valid");
    assert_eq!(with.billed_bytes(), without);
    assert!(call_with(json!({"system": "Be brief."})).expect("valid").billed_bytes() > without);
}

#[test]
fn routing_fields_are_removed_and_named() {
    let call = call_with(json!({"api_key": "k", "base_url": "u"})).expect("valid");
    assert_eq!(call.dropped, ["api_key", "base_url"]);
    assert!(!call.body.windows(8).any(|bytes| bytes == b"base_url"));
}

#[test]
fn pictures_and_files_are_counted_in_results_too() {
    let picture = json!({"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AAAA"});
    let file = json!({"type": "file", "mediaType": "application/pdf", "url": "https://a/b.pdf"});
    let shown = json!({"type": "content", "value": [{"type": "media", "mediaType": "image/png", "data": "AAAA"}]});
    let messages = json!([
        {"role": "user", "parts": [picture, file]},
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "a", "toolName": "f", "output": shown}]},
    ]);
    let call = call_with(json!({ "messages": messages })).expect("valid");
    assert_eq!((call.has_images, call.media_count), (true, 3));
}

#[test]
fn an_answer_goes_on_with_the_assistants_message_at_the_end_if_that_has_a_usable_id() {
    let continues = |id: Value| {
        let call = json!({"type": "tool-f", "toolCallId": "a", "state": "output-available", "input": {}, "output": 1});
        let messages = json!([{"role": "user", "parts": []}, {"id": id, "role": "assistant", "parts": [call]}]);
        call_with(json!({ "messages": messages })).expect("valid").conversation.and_then(|known| known.continues)
    };
    assert_eq!(continues(json!("m-2")).as_deref(), Some("m-2"));
    for unusable in [Value::Null, json!(5), json!(""), json!("a\nb"), json!("x".repeat(257))] {
        assert_eq!(continues(unusable.clone()), None, "{unusable}");
    }
    let messages = json!([{"id": "m-1", "role": "assistant", "parts": []}, {"id": "m-2", "role": "user", "parts": []}]);
    let asked = call_with(json!({ "messages": messages })).expect("valid").conversation;
    assert_eq!(asked.and_then(|known| known.continues), None);
}

#[test]
fn a_conversations_id_that_could_spoil_a_log_is_refused() {
    for id in [json!(""), json!("a\u{0}b"), json!("x".repeat(257)), json!(5)] {
        assert_eq!(refused(json!({ "id": id })).1.as_deref(), Some("id"), "{id}");
    }
}
