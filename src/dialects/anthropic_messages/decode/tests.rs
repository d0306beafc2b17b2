use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn read_text(body: &str) -> Result<Decoded, GatewayError> {
    decode(Bytes::copy_from_slice(body.as_bytes()))
}

fn call_with(extra: Value) -> Result<Decoded, GatewayError> {
    let mut body = json!({"model": "standard", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
    let fields = body.as_object_mut().expect("object");
    fields.extend(extra.as_object().expect("object").clone());
    read_text(&body.to_string())
}

fn param(result: Result<Decoded, GatewayError>) -> Option<String> {
    match result.err()? {
        GatewayError::InvalidRequest { param, .. } => param,
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn a_call_is_read_without_touching_its_bytes() {
    let body = r#"{ "model":"auto","max_tokens":7,"stream":true,"metadata":{"user_id":"u1","x":1},"x_unknown":{"a":1},
        "system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}],"tools":[{"name":"f"}],
        "messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"u"}},
        {"type":"tool_result","tool_use_id":"t","content":[{"type":"document","source":{}},{"type":"text","text":""}]}]},
        {"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"s"}]}]}"#;

    let call = read_text(body).expect("valid");

    assert_eq!(call.body, body.as_bytes());
    assert_eq!((call.model.as_deref(), call.user.as_deref()), (Some("auto"), Some("u1")));
    assert_eq!((call.stream, call.include_usage, call.max_tokens, call.n), (true, true, Some(7), 1));
    assert_eq!((call.message_count, call.has_images, call.media_count, call.has_tools), (2, true, 2, true));
    assert_eq!(call.metadata, BTreeMap::from([("user_id".to_owned(), "u1".to_owned())]));
    for (span, text) in [(&call.owned.model, "\"auto\""), (&call.owned.max_tokens, "7"), (&call.owned.stream, "true")] {
        assert_eq!(&call.body[span.clone().expect("span")], text.as_bytes());
    }
    let billed: Vec<&[u8]> = call.billed.iter().map(|span| &call.body[span.clone()]).collect();
    assert_eq!((billed.len(), billed[0]), (4, &br#"{"a":1}"#[..]), "the unknown field, system, tools and messages");
}

#[test]
fn what_every_target_would_refuse_is_refused_with_its_field() {
    let user = r#""messages":[{"role":"user","content":"x"}]"#;
    let cases = [
        (r#"{"model":"m","max_tokens":1}"#.to_owned(), "messages"),
        (r#"{"model":"m","max_tokens":1,"messages":[]}"#.to_owned(), "messages"),
        (r#"{"model":"m","max_tokens":1,"messages":"hi"}"#.to_owned(), "messages"),
        (r#"{"model":"m","max_tokens":1,"messages":[{"content":"x"}]}"#.to_owned(), "messages[0].role"),
        (r#"{"model":"m","max_tokens":1,"messages":[{"role":"tool","content":"x"}]}"#.to_owned(), "messages[0].role"),
        (
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[1]}]}"#.to_owned(),
            "messages[0].content",
        ),
        (format!(r#"{{"model":"m",{user}}}"#), "max_tokens"),
        (format!(r#"{{"model":"m","max_tokens":null,{user}}}"#), "max_tokens"),
        (format!(r#"{{"model":"m","max_tokens":0,{user}}}"#), "max_tokens"),
        (format!(r#"{{"model":"m","max_tokens":"64",{user}}}"#), "max_tokens"),
        (format!(r#"{{"max_tokens":1,{user}}}"#), "model"),
        (format!(r#"{{"model":"m","max_tokens":1,"stream":1,{user}}}"#), "stream"),
        (format!(r#"{{"model":"m","max_tokens":1,"system":7,{user}}}"#), "system"),
        (format!(r#"{{"model":"m","max_tokens":1,"system":[{{"type":"image"}}],{user}}}"#), "system"),
        (format!(r#"{{"model":"m","max_tokens":1,"tools":{{}},{user}}}"#), "tools"),
        (format!(r#"{{"model":"m","max_tokens":1,"Max_Tokens":9,{user}}}"#), "max_tokens"),
    ];
    for (body, field) in cases {
        assert_eq!(param(read_text(&body)).as_deref(), Some(field), "{body}");
    }
}

#[test]
fn a_deciding_field_given_twice_is_refused() {
    let body = r#"{"model":"a","max_tokens":1,"max_tokens":9000,"messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(read_text(body).err(), Some(GatewayError::DuplicateField { field: "max_tokens".into() }));
}

#[test]
fn instructions_are_a_text_or_text_blocks_and_may_stand_between_messages() {
    assert!(call_with(json!({"system": "s"})).is_ok());
    assert!(call_with(json!({"system": [{"type": "text", "text": "s"}]})).is_ok());
    assert!(call_with(json!({"system": null})).is_ok());
    let between = json!([{"role": "user", "content": "x"}, {"role": "system", "content": "s"}]);
    assert!(call_with(json!({"messages": between})).is_ok());
}

#[test]
fn routing_fields_are_removed_and_named() {
    let body = r#"{"base_url":"http://evil","model":"m","max_tokens":1,"messages":[{"role":"user","content":"\u00e9"}],"top_p":0.50}"#;
    let call = read_text(body).expect("valid");
    assert_eq!(call.dropped, ["base_url"]);
    assert_eq!(call.body, body.replace(r#""base_url":"http://evil","#, "").as_bytes());
}

#[test]
fn counting_needs_no_cap() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    assert!(decode(Bytes::from_static(body)).is_err());
    assert_eq!(countable(Bytes::from_static(body)).expect("valid").message_count, 1);
}
