use super::*;

fn encoder() -> Encoder {
    Encoder::new(&About {
        id: "resp_1".into(),
        created_s: 5,
        model: "m".into(),
        include_usage: true,
        request: Bytes::new(),
        now_s: || 9,
    })
}

/// The data of every frame; each is named as its type, and their numbers have no gap.
fn frames(out: &BytesMut, first: u64) -> Vec<Value> {
    let text = std::str::from_utf8(out).expect("UTF-8");
    let frames: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|frame| {
            let (event, data) =
                frame.strip_prefix("event: ").and_then(|frame| frame.split_once("\ndata: ")).expect("a named frame");
            let data: Value = serde_json::from_str(data).expect("JSON");
            assert_eq!(data["type"], event);
            data
        })
        .collect();
    let numbers: Vec<u64> = frames.iter().filter_map(|data| data["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (first..first + frames.len() as u64).collect::<Vec<_>>());
    frames
}

fn outline(frames: &[Value]) -> Vec<String> {
    let short = |data: &Value| data["type"].as_str().expect("a type").replace("response.", "");
    frames
        .iter()
        .map(|data| {
            format!("{}{}", short(data), data["output_index"].as_u64().map_or(String::new(), |n| format!(" {n}")))
        })
        .collect()
}

#[test]
fn every_item_and_every_part_is_added_written_and_done() {
    let (mut encoder, mut out) = (encoder(), BytesMut::new());
    for event in [
        ChatEvent::Reasoning { text: "hm".into() },
        ChatEvent::ReasoningSignature("sig".into()),
        ChatEvent::Text("a".into()),
        ChatEvent::Text("b".into()),
        ChatEvent::ToolStart { index: 0, id: "c0".into(), name: "f".into() },
        ChatEvent::ToolArguments { index: 0, fragment: "{}".into() },
        ChatEvent::ToolStart { index: 1, id: "c1".into(), name: "g".into() },
        ChatEvent::Finish(Finish::ToolCalls),
    ] {
        encoder.push(&event, &mut out);
    }
    encoder.finish(Some(&Usage { input: 3, output: 2, ..Usage::default() }), &mut out);
    let frames = frames(&out, 0);
    let expected = [
        "created",
        "in_progress",
        "output_item.added 0",
        "reasoning_summary_part.added 0",
        "reasoning_summary_text.delta 0",
        "reasoning_summary_text.done 0",
        "reasoning_summary_part.done 0",
        "output_item.done 0",
        "output_item.added 1",
        "content_part.added 1",
        "output_text.delta 1",
        "output_text.delta 1",
        "output_text.done 1",
        "content_part.done 1",
        "output_item.done 1",
        "output_item.added 2",
        "function_call_arguments.delta 2",
        "function_call_arguments.done 2",
        "output_item.done 2",
        "output_item.added 3",
        "function_call_arguments.delta 3",
        "function_call_arguments.done 3",
        "output_item.done 3",
        "completed",
    ];
    assert_eq!(outline(&frames), expected);
    let response = &frames[23]["response"];
    assert_eq!(response["output"][0]["encrypted_content"], "signed::sig");
    assert_eq!(response["output"][1]["content"][0]["text"], "ab");
    assert_eq!(response["output"][3]["arguments"], "{}");
    assert_eq!(response["usage"]["total_tokens"], 5);
    let done: Vec<&Value> = frames.iter().filter(|data| data["type"] == "response.output_item.done").collect();
    for (at, done) in done.iter().enumerate() {
        assert_eq!(done["item"], response["output"][at]);
    }
}

#[test]
fn a_stream_that_breaks_off_tells_it_twice_with_what_was_written() {
    let (mut encoder, mut out) = (encoder(), BytesMut::new());
    encoder.push(&ChatEvent::Text("half".into()), &mut out);
    assert!(encoder.broken_off(&GatewayError::StoreUnavailable, &mut out));
    let frames = frames(&out, 0);
    let [.., error, failed] = frames.as_slice() else { panic!("too few") };
    assert_eq!(error["error"]["code"], "store_unavailable");
    assert_eq!(failed["response"]["error"]["code"], "store_unavailable");
    assert_eq!(failed["response"]["output"][0]["content"][0]["text"], "half");
    assert_eq!(failed["response"]["output"][0]["status"], "incomplete");
}

#[test]
fn a_stream_that_was_passed_on_is_ended_where_it_stands() {
    let (mut encoder, mut out) = (encoder(), BytesMut::new());
    for data in [
        r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_theirs","model":"gpt","store":false,"x":1}}"#,
        r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"web_search_call","id":"ws_1"}}"#,
        r#"{"type":"response.output_item.done","sequence_number":2,"output_index":0,"item":{"type":"web_search_call","id":"ws_1","status":"completed"}}"#,
        r#"{"type":"response.output_item.added","sequence_number":3,"output_index":1,"item":{"type":"message","id":"msg_theirs","content":[]}}"#,
        r#"{"type":"response.content_part.added","sequence_number":4,"output_index":1,"content_index":0,"part":{"type":"output_text","text":""}}"#,
        r#"{"type":"response.output_text.delta","sequence_number":5,"output_index":1,"content_index":0,"delta":"a\n"}"#,
    ] {
        encoder.passed(&SseFrame { raw: format!("data: {data}\n\n").into() });
    }
    encoder.push(&ChatEvent::Finish(Finish::Length), &mut out);
    encoder.finish(None, &mut out);
    let frames = frames(&out, 6);
    let expected = ["output_text.done 1", "content_part.done 1", "output_item.done 1", "incomplete"];
    assert_eq!(outline(&frames), expected);
    assert_eq!((&frames[0]["item_id"], &frames[0]["text"]), (&json!("msg_theirs"), &json!("a\n")));
    let response = &frames[3]["response"];
    assert_eq!(
        (&response["id"], &response["store"], &response["x"]),
        (&json!("resp_theirs"), &json!(false), &json!(1))
    );
    assert_eq!(response["output"][0]["type"], "web_search_call");
    assert_eq!(response["incomplete_details"]["reason"], "max_output_tokens");
}
