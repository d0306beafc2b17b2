//! `headgate mock --decode`: recorded answers, as the built binary reads them.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{run, text};

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read_to_string(path).expect("the recording is there")
}

fn decode(recording: &str, more: &[&str]) -> Output {
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("recorded"), recording).expect("a writable folder");
    run(folder.path(), &[&["mock", "--decode", "recorded"], more].concat())
}

fn read(recording: &str) -> Value {
    let shown = decode(recording, &["--json"]);
    assert_eq!((shown.status.code(), text(&shown.stderr).as_str()), (Some(0), ""));
    serde_json::from_slice(&shown.stdout).expect("JSON and nothing else")
}

/// `.chunks.txt`: the data of each event in a line of its own.
fn payloads(stream: &str) -> String {
    stream.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| format!("{data}\n")).collect()
}

#[test]
fn a_recorded_stream_says_what_it_holds_and_what_each_kind_of_client_gets() {
    let stream = golden("streams/anthropic/text_then_two_tools.in.sse");
    for recording in [stream.clone(), payloads(&stream)] {
        let read = read(&recording);
        assert_eq!((&read["kind"], &read["text"]), (&json!("anthropic"), &json!("Looking.")));
        assert_eq!(
            read["tool_calls"],
            json!([
                {"id": "toolu_1", "name": "get_weather", "arguments": "{\"city\": \"Paris\"}"},
                {"id": "toolu_2", "name": "ping", "arguments": "{}"},
            ])
        );
        assert_eq!((&read["finish"], &read["error"]), (&json!("tool_calls"), &Value::Null));
        assert_eq!(read["usage"], json!({"input": 12, "output": 48, "cache_read": 4, "cache_write": 0}));
        let openai = &read["clients"]["openai_chat"];
        assert_eq!(openai["whole"]["choices"][0]["message"]["tool_calls"][1]["id"], "toolu_2");
        assert!(openai["stream"].as_str().expect("a stream").ends_with("data: [DONE]\n\n"));
        let messages = &read["clients"]["anthropic_messages"];
        assert_eq!(messages["whole"]["content"][1]["input"], json!({"city": "Paris"}));
        assert!(messages["stream"].as_str().expect("a stream").contains("event: message_stop"));
    }
}

#[test]
fn the_format_of_a_recording_is_told_by_its_contents() {
    for (name, kind) in [
        ("streams/openai/text.in.sse", "openai"),
        ("answers/anthropic/thinking.in.json", "anthropic"),
        ("answers/gemini/parallel_tool_calls.in.json", "gemini"),
        ("streams/gemini/blocked_prompt.in.sse", "gemini"),
        ("streams/openai/llama_cpp_timings.in.sse", "openai"),
    ] {
        assert_eq!(read(&golden(name))["kind"], kind, "{name}");
    }
}

#[test]
fn a_recorded_error_says_what_it_means_and_what_each_kind_of_client_gets() {
    let quota = r#"{"error":{"message":"m","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
    let read_quota = read(quota);
    assert_eq!((&read_quota["error"]["status"], &read_quota["error"]["category"]), (&json!(429), &json!("permanent")));
    assert_eq!(read_quota["clients"]["anthropic_messages"]["whole"]["error"]["type"], "billing_error");

    let in_band = read(&golden("streams/anthropic/error_in_the_middle.in.sse"));
    assert_eq!(
        (&in_band["error"]["phase"], &in_band["error"]["category"]),
        (&json!("mid_stream"), &json!("retryable"))
    );
    assert_eq!(in_band["finish"], Value::Null);
    let told = in_band["clients"]["openai_chat"]["stream"].as_str().expect("a stream");
    assert!(told.contains("event: error") && !told.contains("[DONE]"), "{told}");
}

#[test]
fn people_read_one_line_per_fact() {
    let shown = decode(&golden("streams/anthropic/thinking.in.sse"), &[]);
    let shown = text(&shown.stdout);
    for fact in ["kind        anthropic, a stream of ", "reasoning   \"", "finish      stop\n", "usage       input "] {
        assert!(shown.contains(fact), "{shown}");
    }
}

#[test]
fn what_can_not_be_read_says_why_and_which_kinds_there_are() {
    for (recording, more, why) in [
        ("<html>", &[][..], "neither JSON nor a recorded stream"),
        (r#"{"hello":1}"#, &[], "name it with --kind: openai, openai-responses, "),
        (r#"{"choices":[]}"#, &["--kind", "nobody"], "kind nobody can't be read"),
        ("data: {\"choices\":[{\"del\n\n", &["--kind", "openai"], "is not a chat completion chunk"),
        (r#"{"choices":[]}"#, &[], "the provider answered with nothing. It was read as kind openai"),
    ] {
        let shown = decode(recording, more);
        let told = text(&shown.stderr);
        assert_eq!((shown.status.code(), shown.stdout.len()), (Some(1), 0), "{recording}");
        assert!(told.contains(why), "{recording}: {told}");
    }
}
