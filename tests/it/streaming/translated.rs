//! A provider that speaks another format than the client.

use serde_json::{Value, json};

use headgate::simulator::{Framing, Step, ToolCall};

use crate::support::wire::{Wire, data, said};
use crate::support::{TestGateway, streamed};

/// Tier `claude` goes to a model in Anthropic's format.
async fn gateway() -> TestGateway {
    TestGateway::with(|config| config["tiers"]["claude"] = json!({ "primary": "anthropic/first", "max_tokens": 1000 }))
        .await
}

async fn chunks(gw: &TestGateway, body: &Value) -> (Vec<String>, Vec<Value>) {
    let mut wire = Wire::chat(gw, body, &[]).await;
    assert_eq!(wire.head().await.status, 200);
    let body = wire.rest().await;
    assert!(body.whole);
    let frames = body.frames();
    let chunks = data(&frames);
    (frames, chunks)
}

#[tokio::test]
async fn an_anthropic_answer_becomes_chat_completion_chunks() {
    for framing in [Framing::default(), Framing { no_event_lines: true, crlf: true, ..Framing::default() }] {
        let gw = gateway().await;
        gw.mock.script("first", vec![Step { framing, ..Step::text("Grüße from Claude") }]);
        let mut ask = streamed("claude");
        ask["stream_options"] = json!({ "include_usage": true });
        let (frames, chunks) = chunks(&gw, &ask).await;
        assert_eq!(frames.last().expect("frames"), "data: [DONE]");
        let comments: Vec<_> = frames.iter().filter(|frame| frame.starts_with(':')).collect();
        assert!(comments.len() == 1 && comments[0].starts_with(": headgate cost_usd=0.0"), "{frames:?}");
        assert!(frames.iter().all(|frame| frame.starts_with("data: ") || frame.starts_with(':')), "{frames:?}");
        for chunk in &chunks {
            assert_eq!(chunk["object"], "chat.completion.chunk");
            assert_eq!((&chunk["id"], &chunk["model"]), (&chunks[0]["id"], &json!("first")));
        }
        assert_eq!(chunks[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
        assert_eq!(said(&chunks), "Grüße from Claude");
        let [.., finish, usage] = chunks.as_slice() else { panic!("too few chunks: {chunks:?}") };
        assert_eq!(finish["choices"][0]["finish_reason"], "stop");
        assert_eq!(usage["choices"], json!([]));
        let counts = gw.mock.model_counts("first");
        assert_eq!(usage["usage"]["prompt_tokens"], counts.input_tokens);
        assert_eq!(usage["usage"]["completion_tokens"], counts.output_tokens);
    }
}

#[tokio::test]
async fn a_tool_call_arrives_in_fragments_that_add_up() {
    let gw = gateway().await;
    let arguments = json!({ "city": "Zürich", "days": [1, 2, 3] });
    let tool = ToolCall { id: Some("toolu_1".into()), name: "weather".into(), arguments: arguments.clone() };
    gw.mock.script("first", vec![Step { tool_calls: vec![tool], ..Step::default() }]);
    let mut ask = streamed("claude");
    ask["tools"] =
        json!([{ "type": "function", "function": { "name": "weather", "parameters": { "type": "object" } } }]);
    let (_, chunks) = chunks(&gw, &ask).await;
    let calls: Vec<&Value> =
        chunks.iter().map(|c| &c["choices"][0]["delta"]["tool_calls"][0]).filter(|c| !c.is_null()).collect();
    assert_eq!((&calls[0]["id"], &calls[0]["function"]["name"]), (&json!("toolu_1"), &json!("weather")));
    assert!(calls.len() > 2 && calls.iter().all(|call| call["index"] == 0), "{calls:?}");
    let text: String = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), arguments);
    assert_eq!(chunks.last().expect("chunks")["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn each_translated_frame_travels_in_a_chunk_that_holds_nothing_but_whole_frames() {
    let gw = gateway().await;
    let bytes_per_write = std::num::NonZeroUsize::new(3);
    gw.mock.script("first", vec![Step { bytes_per_write, words: Some(30), ..Step::text("één twee") }]);
    let mut wire = Wire::chat(&gw, &streamed("claude"), &[]).await;
    wire.head().await;
    let body = wire.rest().await;
    assert!(body.whole && body.chunks.len() > 10, "{} chunks", body.chunks.len());
    for chunk in body.chunks {
        let text = String::from_utf8(chunk).expect("a chunk holds whole characters");
        assert!(text.ends_with("\n\n") && (text.starts_with("data: ") || text.starts_with(": ")), "{text:?}");
    }
}
