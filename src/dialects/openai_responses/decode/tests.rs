use super::*;

fn param(body: &str) -> (String, Option<String>) {
    match decode(Bytes::copy_from_slice(body.as_bytes())).err() {
        Some(GatewayError::InvalidRequest { message, param }) => (message, param),
        Some(GatewayError::DuplicateField { field }) => ("twice".into(), Some(field)),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn what_the_gateway_decides_on_is_read_in_one_pass() {
    let body = r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"u"}]},
        {"type":"function_call_output","call_id":"c","output":[{"type":"input_file","file_url":"u"}]}],
        "max_output_tokens":7,"stream":true,"store":false,"tools":[{"type":"web_search"}],"metadata":{"k":"v"},"user":"ada"}"#;
    let call = decode(Bytes::copy_from_slice(body.as_bytes())).expect("valid");
    assert_eq!(
        (call.model.as_deref(), call.stream, call.max_tokens, call.message_count),
        (Some("m"), true, Some(7), 2)
    );
    assert_eq!((call.has_images, call.media_count, call.has_tools, call.user.as_deref()), (true, 2, true, Some("ada")));
    assert_eq!(call.keeping, Some(Keeping { previous_response_id: None, store: false, background: false }));
    assert_eq!(call.owned.max_output_tokens.map(|span| &body[span]), Some("7"));
}

#[test]
fn what_makes_no_sense_names_its_field() {
    for (body, field) in [
        (r#"{"input":"x"}"#, "model"),
        (r#"{"model":"m"}"#, "input"),
        (r#"{"model":"m","input":[]}"#, "input"),
        (r#"{"model":"m","input":7}"#, "input"),
        (r#"{"model":"m","input":[7]}"#, "input"),
        (r#"{"model":"m","input":[{"content":"x"}]}"#, "input[0]"),
        (r#"{"model":"m","input":[{"role":"tool","content":"x"}]}"#, "input[0].role"),
        (r#"{"model":"m","input":[{"role":"user","content":[7]}]}"#, "input[0].content"),
        (r#"{"model":"m","input":[{"type":"item_reference","id":"msg_1"}]}"#, "input[0]"),
        (r#"{"model":"m","input":"x","instructions":["y"]}"#, "instructions"),
        (r#"{"model":"m","input":"x","max_output_tokens":0}"#, "max_output_tokens"),
        (r#"{"model":"m","input":"x","stream":"yes"}"#, "stream"),
        (r#"{"model":"m","input":"x","store":1}"#, "store"),
        (r#"{"model":"m","input":"x","conversation":"conv_1"}"#, "conversation"),
        (r#"{"model":"m","input":"x","prompt":{"id":"pmpt_1"}}"#, "prompt"),
        (r#"{"model":"m","input":"x","input":"y"}"#, "input"),
    ] {
        let (message, param) = param(body);
        assert_eq!(param.as_deref(), Some(field), "{body}: {message}");
    }
}
