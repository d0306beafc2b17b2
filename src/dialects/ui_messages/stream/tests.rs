use serde_json::{Value, json};

use super::*;

/// The chunks of an answer of these events.
fn chunks(events: &[ChatEvent]) -> Vec<Value> {
    let about = About {
        id: "msg_1".into(),
        created_s: 5,
        model: "m".into(),
        include_usage: true,
        request: bytes::Bytes::new(),
        now_s: || 9,
    };
    let (mut encoder, mut out) = (Encoder::new(&about), BytesMut::new());
    for event in events {
        encoder.push(event, &mut out);
    }
    encoder.priced(NanoUsd::new(1_500));
    encoder.finish(Some(&Usage { input: 3, cache_read: 2, output: 4, ..Usage::default() }), &mut out);
    let text = String::from_utf8(out.to_vec()).expect("UTF-8");
    let (frames, rest) = text.split_at(text.find("data: [DONE]").expect("an end marker"));
    assert_eq!(rest, "data: [DONE]\n\n");
    let frame = |frame: &str| serde_json::from_str(frame.strip_prefix("data: ").expect("data")).expect("JSON");
    frames.split_terminator("\n\n").map(frame).collect()
}

fn types(chunks: &[Value]) -> Vec<&str> {
    chunks.iter().map(|chunk| chunk["type"].as_str().expect("a type")).collect()
}

fn call(index: u32, id: &str) -> ChatEvent {
    ChatEvent::ToolStart { index, id: id.into(), name: "f".into() }
}

fn arguments(index: u32, fragment: &str) -> ChatEvent {
    ChatEvent::ToolArguments { index, fragment: fragment.into() }
}

fn signature(text: &str) -> ChatEvent {
    ChatEvent::ReasoningSignature(text.into())
}

fn reasoning(text: &str) -> ChatEvent {
    ChatEvent::Reasoning { text: text.into() }
}

const DONE: ChatEvent = ChatEvent::Finish(Finish::Stop);

#[test]
fn an_answer_that_says_nothing_is_an_empty_message() {
    let chunks = chunks(&[ChatEvent::Text(String::new()), reasoning(""), DONE, DONE]);
    assert_eq!(types(&chunks), ["start", "start-step", "finish-step", "finish"]);
    assert_eq!(chunks[0]["messageId"], "msg_1");
    let usage = json!({ "inputTokens": 5, "outputTokens": 4, "totalTokens": 9, "cachedInputTokens": 2 });
    assert_eq!(chunks[3]["messageMetadata"], json!({ "usage": usage, "costUsd": NanoUsd::new(1_500).to_string() }));
}

#[test]
fn text_and_reasoning_in_turns_are_parts_of_their_own_each_opened_and_closed() {
    let said = |text: &str| ChatEvent::Text(text.into());
    let chunks = chunks(&[reasoning("a"), said("b"), reasoning("c"), DONE]);
    let parts: Vec<(&str, &Value)> =
        chunks[2..11].iter().map(|chunk| (chunk["type"].as_str().expect("a type"), &chunk["id"])).collect();
    let (zero, one, two) = (json!("0"), json!("1"), json!("2"));
    let wanted = [
        ("reasoning-start", &zero),
        ("reasoning-delta", &zero),
        ("reasoning-end", &zero),
        ("text-start", &one),
        ("text-delta", &one),
        ("text-end", &one),
        ("reasoning-start", &two),
        ("reasoning-delta", &two),
        ("reasoning-end", &two),
    ];
    assert_eq!(parts, wanted);
}

#[test]
fn arguments_that_are_no_object_are_an_error_of_the_call_and_never_carried_out() {
    for (written, finish, error) in [
        (r#"{"city":"Par"#, Finish::Length, "The answer reached its length before the call of `f` was whole."),
        (r#"{"city":"Par"#, Finish::ToolCalls, "The model's arguments for `f` are not a JSON object."),
        ("[1]", Finish::ToolCalls, "The model's arguments for `f` are not a JSON object."),
    ] {
        let chunks = chunks(&[call(0, "a"), arguments(0, written), call(1, "b"), ChatEvent::Finish(finish)]);
        let failed = chunks.iter().find(|chunk| chunk["type"] == "tool-input-error").expect("an error");
        assert_eq!(
            (&failed["toolCallId"], &failed["input"], &failed["errorText"]),
            (&json!("a"), &json!(written), &json!(error))
        );
        let carried: Vec<&Value> = chunks.iter().filter(|chunk| chunk["type"] == "tool-input-available").collect();
        assert_eq!((carried.len(), &carried[0]["toolCallId"], &carried[0]["input"]), (1, &json!("b"), &json!({})));
    }
}

#[test]
fn a_call_ends_with_tool_calls_whatever_the_provider_calls_it() {
    let chunks = chunks(&[call(0, "a"), arguments(0, "{}"), arguments(7, "lost"), DONE]);
    assert_eq!(chunks.last().expect("chunks")["finishReason"], "tool-calls");
    assert!(!chunks.iter().any(|chunk| chunk["inputTextDelta"] == "lost"), "{chunks:?}");
}

#[test]
fn a_signature_travels_on_what_it_closes_or_on_what_comes_next_or_alone() {
    let signed = |events: &[ChatEvent]| {
        let carriers = chunks(events).into_iter().filter(|chunk| !chunk["providerMetadata"].is_null());
        carriers
            .map(|chunk| {
                let signature = chunk["providerMetadata"]["headgate"]["signature"].as_str().expect("a text").to_owned();
                (chunk["type"].as_str().expect("a type").to_owned(), signature)
            })
            .collect::<Vec<_>>()
    };
    let carried = |kind: &str, signature: &str| (kind.to_owned(), signature.to_owned());
    let said = || ChatEvent::Text("b".into());
    assert_eq!(signed(&[reasoning("a"), signature("s"), said(), DONE]), [carried("reasoning-end", "s")]);
    assert_eq!(signed(&[said(), signature("s"), DONE]), [carried("text-end", "s")]);
    assert_eq!(signed(&[signature("s"), said(), DONE]), [carried("text-end", "s")]);
    assert_eq!(signed(&[signature("s"), call(0, "a"), DONE]), [carried("tool-input-available", "s")]);
    assert_eq!(signed(&[call(0, "a"), signature("s"), DONE]), [carried("reasoning-end", "s")]);
    assert_eq!(
        signed(&[signature("s"), signature("t"), said(), signature("u"), DONE]),
        [carried("reasoning-end", "s"), carried("text-end", "t"), carried("reasoning-end", "u")]
    );
}
