use super::*;

fn encoder() -> Encoder {
    Encoder::new(&About {
        id: "msg_1".into(),
        created_s: 5,
        model: "m".into(),
        include_usage: true,
        request: bytes::Bytes::new(),
        now_s: || 9,
    })
}

/// Name and data of every frame.
fn frames(out: &BytesMut) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(out).expect("UTF-8");
    let frame = |frame: &str| {
        let (event, data) = frame.strip_prefix("event: ")?.split_once("\ndata: ")?;
        Some((event.to_owned(), serde_json::from_str(data).ok()?))
    };
    text.split_terminator("\n\n").map(|text| frame(text).expect("a named frame of JSON")).collect()
}

fn encode(events: &[ChatEvent]) -> Vec<(String, Value)> {
    let (mut encoder, mut out) = (encoder(), BytesMut::new());
    for event in events {
        encoder.push(event, &mut out);
    }
    encoder.finish(Some(&Usage { input: 3, output: 2, ..Usage::default() }), &mut out);
    let frames = frames(&out);
    for (name, data) in &frames {
        assert_eq!(data["type"], name.as_str(), "an event is named as its data");
    }
    frames
}

/// The names of the frames, with the index of their block.
fn outline(frames: &[(String, Value)]) -> Vec<String> {
    let short = |name: &str| name.replace("content_block_", "");
    frames
        .iter()
        .map(|(name, data)| {
            format!("{}{}", short(name), data["index"].as_u64().map_or(String::new(), |n| format!(" {n}")))
        })
        .collect()
}

fn text(text: &str) -> ChatEvent {
    ChatEvent::Text(text.into())
}

fn start(index: u32) -> ChatEvent {
    ChatEvent::ToolStart { index, id: format!("call.{index}"), name: "f".into() }
}

fn arguments(index: u32, fragment: &str) -> ChatEvent {
    ChatEvent::ToolArguments { index, fragment: fragment.into() }
}

#[test]
fn blocks_follow_one_another_each_opened_and_closed() {
    let reasoning = ChatEvent::Reasoning { text: "hm".into() };
    let signature = ChatEvent::ReasoningSignature("sig".into());
    let events = [
        reasoning,
        signature,
        text("a"),
        text("b"),
        start(0),
        arguments(0, "{\"x\""),
        arguments(0, ":1}"),
        start(1),
        arguments(1, "{}"),
        ChatEvent::Finish(Finish::ToolCalls),
    ];
    let frames = encode(&events);
    let expected = [
        "message_start",
        "start 0",
        "delta 0",
        "delta 0",
        "stop 0",
        "start 1",
        "delta 1",
        "delta 1",
        "stop 1",
        "start 2",
        "delta 2",
        "delta 2",
        "stop 2",
        "start 3",
        "delta 3",
        "stop 3",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(outline(&frames), expected);
    assert_eq!(frames[9].1["content_block"], json!({"type": "tool_use", "id": "call_0", "name": "f", "input": {}}));
    let (_, delta) = &frames[16];
    assert_eq!(delta["delta"], json!({"stop_reason": "tool_use", "stop_sequence": null}));
    assert_eq!((&delta["usage"]["input_tokens"], &delta["usage"]["output_tokens"]), (&json!(3), &json!(2)));
}

#[test]
fn arguments_that_a_provider_mixes_reach_their_own_calls() {
    let events = [
        start(0),
        start(1),
        arguments(1, "{\"b\":"),
        arguments(0, "{\"a\":1}"),
        arguments(1, "2}"),
        ChatEvent::Finish(Finish::Stop),
    ];
    let frames = encode(&events);
    let of = |block: u64| -> String {
        let mine = frames.iter().filter(|(_, data)| data["index"] == block);
        mine.filter_map(|(_, data)| data["delta"]["partial_json"].as_str()).collect()
    };
    assert_eq!((of(0), of(1)), ("{\"a\":1}".to_owned(), "{\"b\":2}".to_owned()));
    assert_eq!(frames[frames.len() - 2].1["delta"]["stop_reason"], "tool_use");
    let stops = outline(&frames).iter().filter(|line| line.starts_with("stop")).count();
    assert_eq!(stops, 2);
}

#[test]
fn a_refusal_is_told_with_the_stop_reason() {
    let frames =
        encode(&[ChatEvent::Refusal("I ".into()), ChatEvent::Refusal("can't".into()), ChatEvent::Finish(Finish::Stop)]);
    assert_eq!(outline(&frames), ["message_start", "message_delta", "message_stop"]);
    let delta = &frames[1].1["delta"];
    assert_eq!((&delta["stop_reason"], &delta["stop_details"]["explanation"]), (&json!("refusal"), &json!("I can't")));
}

#[test]
fn a_stream_that_was_passed_on_is_closed_where_it_stands() {
    let passed = [
        r#"{"type":"message_start","message":{}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a"}}"#,
        r#"{"type":"ping"}"#,
    ];
    let frame = |data: &str| SseFrame { raw: format!("data: {data}\n\n").into() };
    let (mut cut, mut out) = (encoder(), BytesMut::new());
    passed.iter().for_each(|data| cut.passed(&frame(data)));
    cut.push(&ChatEvent::Finish(Finish::Length), &mut out);
    cut.finish(None, &mut out);
    let frames_of_cut = frames(&out);
    assert_eq!(outline(&frames_of_cut), ["stop 1", "message_delta", "message_stop"]);
    assert_eq!(frames_of_cut[1].1["delta"]["stop_reason"], "max_tokens");

    let (mut without_end, mut out) = (encoder(), BytesMut::new());
    without_end.passed(&frame(r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#));
    without_end.finish(None, &mut out);
    assert_eq!(outline(&frames(&out)), ["message_stop"]);
}
