use serde_json::{Value, json};

use super::super::{Finish, FixedUsage, Framing, KeepAlive, Step, ToolCall, UsageReport};
use super::client::{Api, Ending, Received, call, chat, exchange, post};
use super::{scripted, simulator};

fn openai_text(answer: &Received) -> String {
    answer
        .events()
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect()
}

fn names(answer: &Received) -> Vec<String> {
    answer.text().lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_plain_openai_answer_has_the_published_shape_and_honest_usage() {
    let simulator = scripted("m", Step::text("one two three")).await;
    let answer = call(simulator.addr(), Api::OpenAi, &chat("m", false)).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert!(answer.header("x-request-id").is_some());
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "m");
    assert_eq!(body["choices"][0]["message"]["content"], "one two three");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    // The words "user" and "hi".
    assert_eq!(body["usage"]["prompt_tokens"], 2);
    assert_eq!(body["usage"]["completion_tokens"], 3);
    assert_eq!(body["usage"]["total_tokens"], 5);
}

#[tokio::test]
async fn an_openai_stream_has_one_id_the_role_first_and_usage_only_when_asked() {
    let simulator = scripted("m", Step::text("one  two three\n")).await;
    let without = call(simulator.addr(), Api::OpenAi, &chat("m", true)).await;
    let mut asking = chat("m", true);
    asking["stream_options"] = json!({ "include_usage": true });
    let with = call(simulator.addr(), Api::OpenAi, &asking).await;

    assert_eq!(without.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(openai_text(&without), "one  two three\n");
    assert_eq!(without.payloads().last().map(String::as_str), Some("[DONE]"));
    let events = without.events();
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(events.iter().all(|event| event["id"] == events[0]["id"] && event.get("usage").is_none()));
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "stop");

    let events = with.events();
    let (last, before) = events.split_last().unwrap();
    assert!(before.iter().all(|event| event["usage"] == Value::Null));
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(3)));
}

#[tokio::test]
async fn an_anthropic_answer_has_the_published_shape() {
    let simulator = scripted("m", Step::text("one two")).await;
    let answer = call(simulator.addr(), Api::Anthropic, &chat("m", false)).await;
    assert!(answer.header("request-id").is_some());
    let body = answer.json();
    assert_eq!(
        (&body["type"], &body["role"], &body["stop_reason"]),
        (&json!("message"), &json!("assistant"), &json!("end_turn"))
    );
    assert_eq!(body["content"], json!([{ "type": "text", "text": "one two" }]));
    assert_eq!((&body["usage"]["input_tokens"], &body["usage"]["output_tokens"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn an_anthropic_stream_names_its_events_in_the_published_order() {
    let simulator = scripted("m", Step::text("one two")).await;
    let answer = call(simulator.addr(), Api::Anthropic, &chat("m", true)).await;
    let expected = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names(&answer), expected);
    let events = answer.events();
    assert!(events.iter().zip(expected).all(|(event, name)| event["type"] == name));
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 2);
    assert_eq!(events[6]["usage"]["output_tokens"], 2);
}

#[tokio::test]
async fn max_tokens_cuts_the_text_and_says_so_in_each_format() {
    let simulator = scripted("m", Step::text("one two three four")).await;
    let mut capped = chat("m", false);
    capped["max_tokens"] = json!(2);
    let openai = call(simulator.addr(), Api::OpenAi, &capped).await.json();
    let anthropic = call(simulator.addr(), Api::Anthropic, &capped).await.json();
    assert_eq!(openai["choices"][0]["message"]["content"], "one two");
    assert_eq!(openai["choices"][0]["finish_reason"], "length");
    assert_eq!(openai["usage"]["completion_tokens"], 2);
    assert_eq!(
        (&anthropic["content"][0]["text"], &anthropic["stop_reason"]),
        (&json!("one two"), &json!("max_tokens"))
    );
    assert_eq!(simulator.counts().output_tokens, 4);
}

#[tokio::test]
async fn a_provider_may_overrun_max_tokens_or_say_exactly_that_many_words() {
    let simulator = scripted("overrun", Step { ignore_max_tokens: true, ..Step::text("one two three") }).await;
    simulator.script("exact", vec![Step { words: Some(1_000_000), ..Step::default() }]);
    let mut capped = chat("overrun", false);
    capped["max_tokens"] = json!(1);
    let overrun = call(simulator.addr(), Api::OpenAi, &capped).await.json();
    assert_eq!(overrun["usage"]["completion_tokens"], 3);
    let exact = call(simulator.addr(), Api::OpenAi, &chat("exact", false)).await.json();
    assert_eq!(
        (&exact["usage"]["completion_tokens"], &exact["choices"][0]["finish_reason"]),
        (&json!(100), &json!("length"))
    );
}

#[tokio::test]
async fn tool_calls_come_whole_or_as_argument_fragments_that_add_up() {
    let tool = ToolCall { name: "weather".into(), arguments: json!({ "city": "Saint-Étienne" }), id: None };
    let simulator =
        scripted("m", Step { text: Some("Wait.".into()), tool_calls: vec![tool.clone(), tool], ..Step::default() })
            .await;
    let arguments = r#"{"city":"Saint-Étienne"}"#;

    let plain = call(simulator.addr(), Api::OpenAi, &chat("m", false)).await.json();
    assert_eq!(plain["choices"][0]["message"]["tool_calls"][1]["function"]["arguments"], arguments);
    assert_eq!(plain["choices"][0]["finish_reason"], "tool_calls");

    let streamed = call(simulator.addr(), Api::OpenAi, &chat("m", true)).await.events();
    let deltas = streamed.iter().filter_map(|event| event["choices"][0]["delta"]["tool_calls"][0].as_object());
    let second: Vec<_> = deltas.filter(|delta| delta["index"] == 1).collect();
    assert!(
        second.len() > 2 && second[0].contains_key("id") && second[1..].iter().all(|delta| !delta.contains_key("id"))
    );
    let joined: String = second.iter().filter_map(|delta| delta["function"]["arguments"].as_str()).collect();
    assert_eq!(joined, arguments);

    let plain = call(simulator.addr(), Api::Anthropic, &chat("m", false)).await.json();
    assert_eq!(plain["content"][2]["input"], json!({ "city": "Saint-Étienne" }));
    assert_eq!(plain["stop_reason"], "tool_use");

    let streamed = call(simulator.addr(), Api::Anthropic, &chat("m", true)).await.events();
    let of_block = |index: u64| streamed.iter().filter(move |event| event["index"] == index).collect::<Vec<_>>();
    let second = of_block(2);
    assert_eq!(second.first().unwrap()["content_block"]["name"], "weather");
    let joined: String = second.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(joined, arguments);
    for index in 0..3 {
        assert_eq!(of_block(index).last().unwrap()["type"], "content_block_stop", "block {index} is closed");
    }
}

#[tokio::test]
async fn a_refusal_and_a_filtered_answer_are_told_in_each_format() {
    let simulator = scripted("refusal", Step { finish: Some(Finish::Refusal), ..Step::text("No.") }).await;
    simulator.script("filtered", vec![Step { finish: Some(Finish::ContentFilter), ..Step::text("No.") }]);
    let refused = call(simulator.addr(), Api::OpenAi, &chat("refusal", false)).await.json();
    assert_eq!(
        (&refused["choices"][0]["message"]["refusal"], &refused["choices"][0]["message"]["content"]),
        (&json!("No."), &Value::Null)
    );
    let refused = call(simulator.addr(), Api::Anthropic, &chat("refusal", false)).await.json();
    assert_eq!(refused["stop_reason"], "refusal");
    let filtered = call(simulator.addr(), Api::OpenAi, &chat("filtered", true)).await.events();
    assert_eq!(filtered.last().unwrap()["choices"][0]["finish_reason"], "content_filter");
}

#[tokio::test]
async fn usage_may_be_missing_fixed_or_absurd() {
    let fixed = FixedUsage {
        input: Some(json!(1_000)),
        output: Some(json!(-1)),
        cache_read: Some(json!(600)),
        ..FixedUsage::default()
    };
    let simulator = scripted("fixed", Step { usage: UsageReport::Fixed(fixed), ..Step::default() }).await;
    simulator.script("missing", vec![Step { usage: UsageReport::Missing, ..Step::default() }]);
    let openai = call(simulator.addr(), Api::OpenAi, &chat("fixed", false)).await.json();
    assert_eq!(openai["usage"]["prompt_tokens"], 1_000);
    assert_eq!(openai["usage"]["prompt_tokens_details"]["cached_tokens"], 600);
    assert_eq!(openai["usage"]["completion_tokens"], -1);
    let anthropic = call(simulator.addr(), Api::Anthropic, &chat("fixed", true)).await.events();
    assert_eq!(anthropic[0]["message"]["usage"]["cache_read_input_tokens"], 600);
    for api in Api::BOTH {
        for stream in [false, true] {
            let answer = call(simulator.addr(), api, &chat("missing", stream)).await;
            assert!(!answer.text().contains("usage"), "{api:?}, stream {stream}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn odd_but_legal_framing_carries_the_same_events() {
    let simulator = scripted("usual", Step::text("one two")).await;
    let usual = call(simulator.addr(), Api::OpenAi, &chat("usual", true)).await;
    assert_eq!(openai_text(&usual), "one two");
    for framing in [
        Framing { crlf: true, ..Framing::default() },
        Framing { no_space: true, ..Framing::default() },
        Framing { split_data: true, ..Framing::default() },
    ] {
        simulator.script("odd", vec![Step { framing: framing.clone(), ..Step::text("one two") }]);
        let odd = call(simulator.addr(), Api::OpenAi, &chat("odd", true)).await.text();
        assert_eq!(odd.contains("\r\n"), framing.crlf);
        assert_eq!(odd.contains("data:{"), framing.no_space);
        assert_eq!(odd.contains("{\ndata: "), framing.split_data);
        // Joined again, the frames are what they were.
        let frames = odd
            .replace("\r\n", "\n")
            .split("\n\n")
            .map(|frame| {
                let lines: Vec<&str> = frame.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                lines.join("\n")
            })
            .filter_map(|data| serde_json::from_str::<Value>(&data).ok())
            .collect::<Vec<_>>();
        let text: String = frames.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!((frames.len(), text.as_str()), (usual.events().len(), "one two"), "{framing:?}");
    }
}

#[tokio::test]
async fn frames_may_lack_their_opening_their_event_lines_or_have_usage_on_the_finish() {
    let framing = Framing { no_opening: true, no_event_lines: true, usage_on_finish: true, ..Framing::default() };
    let simulator = scripted("m", Step { framing, ..Step::text("one") }).await;
    let openai = call(simulator.addr(), Api::OpenAi, &chat("m", true)).await.events();
    assert_eq!(openai[0]["choices"][0]["delta"], json!({ "content": "one" }));
    assert_eq!(
        (&openai[1]["choices"][0]["finish_reason"], &openai[1]["usage"]["total_tokens"]),
        (&json!("stop"), &json!(3))
    );
    let anthropic = call(simulator.addr(), Api::Anthropic, &chat("m", true)).await;
    assert_eq!((names(&anthropic).len(), &anthropic.events()[0]["type"]), (0, &json!("content_block_delta")));
}

#[tokio::test]
async fn keep_alives_come_before_everything_else() {
    let keep_alive = Some(KeepAlive { every_ms: 1, count: Some(3) });
    let simulator = scripted("m", Step { keep_alive, ..Step::text("one") }).await;
    let openai = call(simulator.addr(), Api::OpenAi, &chat("m", true)).await.text();
    assert!(openai.starts_with(": keep-alive\n\n: keep-alive\n\n: keep-alive\n\ndata: {"), "{openai}");
    let anthropic = call(simulator.addr(), Api::Anthropic, &chat("m", true)).await;
    assert_eq!(names(&anthropic)[..4], ["ping", "ping", "ping", "message_start"]);
}

#[tokio::test]
async fn a_stream_may_come_byte_by_byte_and_several_words_at_a_time() {
    let step =
        Step { bytes_per_write: 1.try_into().ok(), words_per_frame: 2.try_into().ok(), ..Step::text("one two three") };
    let simulator = scripted("m", step).await;
    let answer = call(simulator.addr(), Api::OpenAi, &chat("m", true)).await;
    assert_eq!(answer.ending, Ending::Whole);
    let contents: Vec<Value> =
        answer.events()[1..3].iter().map(|event| event["choices"][0]["delta"]["content"].clone()).collect();
    assert_eq!(contents, ["one two", " three"]);
    assert_eq!(simulator.counts().output_tokens, 3);
}

#[tokio::test]
async fn several_choices_are_answered_and_billed() {
    let simulator = scripted("m", Step::text("one two")).await;
    for stream in [false, true] {
        let mut asking = chat("m", stream);
        asking["n"] = json!(3);
        let answer = call(simulator.addr(), Api::OpenAi, &asking).await;
        assert!(answer.text().contains(r#""index":2"#));
    }
    assert_eq!(simulator.counts().output_tokens, 12);
}

#[tokio::test]
async fn a_body_that_is_no_call_is_refused_in_the_shape_of_the_format() {
    let simulator = simulator().await;
    for body in [
        "{",
        r#"{"model":"m"}"#,
        r#"{"model":"m","messages":[],"max_tokens":-1}"#,
        r#"{"model":"m","messages":[],"max_tokens":0}"#,
    ] {
        let request = super::client::request("POST", Api::OpenAi.path(), body);
        let refused = exchange(simulator.addr(), &request).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{body}"
        );
    }
    let without_cap = json!({ "model": "m", "messages": [] });
    let refused = exchange(simulator.addr(), &post(Api::Anthropic.path(), &without_cap)).await;
    assert_eq!((refused.status, &refused.json()["type"]), (400, &json!("error")));
    assert_eq!((simulator.counts().calls, simulator.counts().input_tokens), (5, 0));
}

#[tokio::test]
async fn an_unscripted_model_greets_and_the_echo_repeats() {
    let simulator = simulator().await;
    let greeting = call(simulator.addr(), Api::OpenAi, &chat("gpt-x", false)).await.text();
    assert!(greeting.contains("Hello from the Headgate mock: gpt-x is listening."));
    let parts = json!([{ "type": "text", "text": "say" }, { "type": "text", "text": "this" }]);
    let asking = json!({ "model": "mock-echo", "max_tokens": 9, "messages": [{ "role": "user", "content": parts }] });
    let echo = call(simulator.addr(), Api::Anthropic, &asking).await.json();
    assert_eq!(echo["content"][0]["text"], "say this");
}
