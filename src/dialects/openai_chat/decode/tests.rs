use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

fn read_text(body: &str) -> Result<Decoded, GatewayError> {
    decode(Bytes::copy_from_slice(body.as_bytes()))
}

fn call_with(extra: Value) -> Result<Decoded, GatewayError> {
    let mut body = json!({"model": "standard", "messages": [{"role": "user", "content": "hi"}]});
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
    let body = r#"{ "model":"auto","stream":true,"stream_options":{"include_usage":true},"max_tokens":99,
        "max_completion_tokens":7,"n":2,"user":"u1","metadata":{"k":"v","x":1},"x_unknown":{"a":1},
        "tools":[{"type":"function"}],"messages":[{"role":"developer","content":"be brief"},
        {"role":"user","content":[{"type":"text","text":"?"},{"type":"image_url","image_url":{"url":"https://a/b"}}]}]}"#;

    let call = read_text(body).expect("valid");

    assert_eq!(call.body, body.as_bytes());
    assert_eq!((call.model.as_deref(), call.user.as_deref()), (Some("auto"), Some("u1")));
    assert_eq!((call.stream, call.include_usage, call.max_tokens, call.n), (true, true, Some(7), 2));
    assert_eq!((call.message_count, call.has_images, call.media_count, call.has_tools), (2, true, 1, true));
    assert_eq!(call.metadata, BTreeMap::from([("k".to_owned(), "v".to_owned())]));
    let cap = call.owned.max_completion_tokens.clone().expect("span");
    assert_eq!(&call.body[cap], b"7");
    let billed: Vec<&[u8]> = call.billed.iter().map(|span| &call.body[span.clone()]).collect();
    assert_eq!((billed.len(), billed[0]), (3, &br#"{"a":1}"#[..]), "messages, tools and the unknown field");
}

#[test]
fn nulls_are_absent_fields() {
    let call = call_with(json!({"max_tokens": null, "stream": null, "n": null, "tools": null, "user": null}));
    let call = call.expect("valid");
    assert_eq!((call.max_tokens, call.stream, call.n, call.has_tools), (None, false, 1, false));
    assert!(call.owned.max_tokens.is_some());
}

#[test]
fn what_every_target_would_refuse_is_refused_with_its_field() {
    let user = r#""messages":[{"role":"user","content":"x"}]"#;
    let cases = [
        (r#"{"model":"m"}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":[]}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":"hi"}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":["hi"]}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":[["user","hi"]]}"#.to_owned(), "messages"),
        (r#"{"model":"m","messages":[{"content":"x"}]}"#.to_owned(), "messages[0].role"),
        (r#"{"model":"m","messages":[{"role":"wizard","content":"x"}]}"#.to_owned(), "messages[0].role"),
        (format!("{{{user}}}"), "model"),
        (format!(r#"{{"model":" ",{user}}}"#), "model"),
        (format!(r#"{{"model":5,{user}}}"#), "model"),
        (format!(r#"{{"model":"m","temperature":"hot",{user}}}"#), "temperature"),
        (format!(r#"{{"model":"m","stream":"yes",{user}}}"#), "stream"),
        (format!(r#"{{"model":"m","stream_options":{{"include_usage":"yes"}},{user}}}"#), "stream_options"),
        (format!(r#"{{"model":"m","n":129,{user}}}"#), "n"),
        (format!(r#"{{"model":"m","best_of":0,{user}}}"#), "best_of"),
    ];
    for (body, field) in cases {
        assert_eq!(param(read_text(&body)).as_deref(), Some(field), "{body}");
    }
}

#[test]
fn an_output_cap_is_a_positive_whole_number_of_tokens() {
    for field in ["max_tokens", "max_completion_tokens"] {
        for wrong in ["0", "-1", "1.5", "1e3", "\"64\"", "99999999999", "true", "[1]"] {
            let body = format!(r#"{{"model":"m","{field}":{wrong},"messages":[{{"role":"user","content":"x"}}]}}"#);
            assert_eq!(param(read_text(&body)).as_deref(), Some(field), "{body}");
        }
    }
}

#[test]
fn a_deciding_field_given_twice_or_in_another_spelling_is_refused() {
    let body = r#"{"model":"a","messages":[{"role":"user","content":"x"}],"max_tokens":1,"max_tokens":9000}"#;
    assert_eq!(read_text(body).err(), Some(GatewayError::DuplicateField { field: "max_tokens".into() }));

    for name in ["Max_Tokens", "max_to\u{212a}ens", "MAX_TOKENS"] {
        assert_eq!(param(call_with(json!({name: 9000}))).as_deref(), Some("max_tokens"), "{name}");
    }
    let part = r#"{"model":"a","messages":[{"role":"user","content":[{"type":"text","type":"image_url"}]}]}"#;
    assert_eq!(param(read_text(part)).as_deref(), Some("messages[0].content"));
}

#[test]
fn routing_fields_are_removed_and_named() {
    let body = r#"{"api_base":"http://evil","model":"m","messages":[{"role":"user","content":"\u00e9"}],"seed":1.50,"Base_URL":"x"}"#;

    let call = read_text(body).expect("valid");

    assert_eq!(call.dropped, ["api_base", "Base_URL"]);
    assert_eq!(call.body, r#"{"model":"m","messages":[{"role":"user","content":"\u00e9"}],"seed":1.50}"#.as_bytes());
    assert_eq!(&call.body[call.owned.model.clone().expect("span")], b"\"m\"");
}

#[test]
fn a_role_with_escapes_is_still_a_role() {
    assert!(read_text(r#"{"model":"m","messages":[{"role":"\u0075ser","content":null}]}"#).is_ok());
}
