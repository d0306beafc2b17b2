//! The rules of Open Responses for bodies and events, written down from its published specification.

use std::collections::BTreeMap;

use serde_json::Value;

/// Field and what it may be: `s` text, `i` whole number, `n` number, `b` flag, `o` object, `a` list, `t` text or object,
/// `?` any; a capital may be null.
const RESPONSE: &[(&str, char)] = &[
    ("id", 's'),
    ("object", 's'),
    ("created_at", 'i'),
    ("completed_at", 'I'),
    ("status", 's'),
    ("incomplete_details", 'O'),
    ("model", 's'),
    ("previous_response_id", 'S'),
    ("instructions", 'S'),
    ("output", 'a'),
    ("error", 'O'),
    ("tools", 'a'),
    ("tool_choice", 't'),
    ("truncation", 's'),
    ("parallel_tool_calls", 'b'),
    ("text", 'o'),
    ("top_p", 'n'),
    ("presence_penalty", 'n'),
    ("frequency_penalty", 'n'),
    ("top_logprobs", 'i'),
    ("temperature", 'n'),
    ("reasoning", 'O'),
    ("usage", 'O'),
    ("max_output_tokens", 'I'),
    ("max_tool_calls", 'I'),
    ("store", 'b'),
    ("background", 'b'),
    ("service_tier", 's'),
    ("metadata", '?'),
    ("safety_identifier", 'S'),
    ("prompt_cache_key", 'S'),
];

fn shape(value: &Value, fields: &[(&str, char)]) {
    for (name, kind) in fields {
        let field = value.get(*name).unwrap_or_else(|| panic!("`{name}` is missing in {value}"));
        let fits = match kind.to_ascii_lowercase() {
            's' => field.is_string(),
            'i' => field.is_u64(),
            'n' => field.is_number(),
            'b' => field.is_boolean(),
            'o' => field.is_object(),
            'a' => field.is_array(),
            't' => field.is_string() || field.is_object(),
            _ => true,
        };
        assert!(fits || (kind.is_uppercase() && field.is_null()), "`{name}` is {field} in {value}");
    }
}

pub fn response(response: &Value) {
    shape(response, RESPONSE);
    assert_eq!(response["object"], "response");
    let status = response["status"].as_str().expect("checked");
    assert!(["in_progress", "completed", "incomplete", "failed"].contains(&status), "{status}");
    assert_eq!(response["completed_at"].is_u64(), status == "completed", "{response}");
    assert_eq!(response["incomplete_details"].is_object(), status == "incomplete", "{response}");
    assert_eq!(response["error"].is_object(), status == "failed", "{response}");
    if status == "failed" {
        shape(&response["error"], &[("code", 's'), ("message", 's')]);
    }
    shape(&response["text"]["format"], &[("type", 's')]);
    for tool in response["tools"].as_array().expect("checked").iter().filter(|tool| tool["type"] == "function") {
        shape(tool, &[("name", 's'), ("description", 'S'), ("parameters", 'O'), ("strict", 'B')]);
    }
    response["output"].as_array().expect("checked").iter().for_each(item);
    match status {
        "completed" | "incomplete" => usage(&response["usage"]),
        _ => assert!(response["usage"].is_null(), "{response}"),
    }
}

fn usage(usage: &Value) {
    shape(usage, &[("input_tokens", 'i'), ("output_tokens", 'i'), ("total_tokens", 'i')]);
    shape(&usage["input_tokens_details"], &[("cached_tokens", 'i')]);
    shape(&usage["output_tokens_details"], &[("reasoning_tokens", 'i')]);
    let sum = usage["input_tokens"].as_u64().zip(usage["output_tokens"].as_u64()).map(|(input, output)| input + output);
    assert_eq!(usage["total_tokens"].as_u64(), sum);
}

pub fn item(item: &Value) {
    shape(item, &[("type", 's'), ("id", 's')]);
    match item["type"].as_str().expect("checked") {
        "message" => {
            shape(item, &[("status", 's'), ("role", 's'), ("content", 'a')]);
            assert_eq!(item["role"], "assistant");
            item["content"].as_array().expect("checked").iter().for_each(part);
        }
        "function_call" => shape(item, &[("call_id", 's'), ("name", 's'), ("arguments", 's'), ("status", 's')]),
        "reasoning" => {
            shape(item, &[("summary", 'a')]);
            item["summary"].as_array().expect("checked").iter().for_each(part);
            assert!(item.get("encrypted_content").is_none_or(Value::is_string), "{item}");
        }
        other => panic!("an item of type {other}"),
    }
}

fn part(part: &Value) {
    match part["type"].as_str() {
        Some("output_text") => shape(part, &[("text", 's'), ("annotations", 'a')]),
        Some("refusal") => shape(part, &[("refusal", 's')]),
        Some("summary_text") => shape(part, &[("text", 's')]),
        _ => panic!("a part {part}"),
    }
}

/// What is known of an item while its events pass.
#[derive(Default)]
struct Seen {
    id: String,
    /// Deltas of the open part, or of the arguments.
    text: String,
    part_is_open: bool,
    is_done: bool,
}

/// A whole stream, from `response.created` to its terminal event.
pub fn events(events: &[Value]) {
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>(), "{events:?}");
    let kind = |at: usize| events[at]["type"].as_str().expect("a type");
    assert_eq!((kind(0), kind(1)), ("response.created", "response.in_progress"));
    let (last, middle) = events[2..].split_last().expect("a terminal event");
    let mut items: BTreeMap<u64, Seen> = BTreeMap::new();
    for event in &events[..2] {
        response(&event["response"]);
        assert_eq!(event["response"]["output"], Value::Array(Vec::new()));
    }
    for event in middle.iter().filter(|event| event["type"] != "error") {
        one(event, &mut items);
    }
    let whole = &last["response"];
    response(whole);
    assert_eq!(
        last["type"].as_str(),
        Some(format!("response.{}", whole["status"].as_str().expect("checked")).as_str())
    );
    assert_eq!(whole["id"], events[0]["response"]["id"]);
    if whole["status"] != "failed" {
        assert!(items.values().all(|seen| seen.is_done), "an item is still open: {events:?}");
    }
    let done: Vec<&Value> = middle
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| &event["item"])
        .collect();
    for done in done {
        assert!(whole["output"].as_array().expect("checked").contains(done), "{done} is not in {whole}");
    }
    let places: Vec<u64> = items.keys().copied().collect();
    assert_eq!(places, (0..items.len() as u64).collect::<Vec<_>>(), "places in the output have no gap");
    assert_eq!(whole["output"].as_array().map(Vec::len), Some(items.len()));
}

fn one(event: &Value, items: &mut BTreeMap<u64, Seen>) {
    let place = event["output_index"].as_u64().unwrap_or_else(|| panic!("no place in {event}"));
    let kind = event["type"].as_str().expect("a type").strip_prefix("response.").expect("an event of a response");
    if kind == "output_item.added" {
        item(&event["item"]);
        let id = event["item"]["id"].as_str().expect("checked").to_owned();
        assert!(items.insert(place, Seen { id, ..Seen::default() }).is_none(), "added twice: {event}");
        return;
    }
    let seen = items.get_mut(&place).unwrap_or_else(|| panic!("nothing was added there: {event}"));
    assert!(!seen.is_done, "it was done: {event}");
    if kind == "output_item.done" {
        item(&event["item"]);
        assert_eq!(event["item"]["id"], seen.id.as_str());
        assert!(!seen.part_is_open, "a part is still open: {event}");
        seen.is_done = true;
        return;
    }
    assert_eq!(event["item_id"], seen.id.as_str(), "{event}");
    let index = if kind.starts_with("reasoning_summary") { "summary_index" } else { "content_index" };
    let is_call = kind.starts_with("function_call_arguments");
    assert!(is_call || event[index].is_u64(), "{event}");
    match kind {
        "content_part.added" | "reasoning_summary_part.added" => {
            part(&event["part"]);
            assert!(!std::mem::replace(&mut seen.part_is_open, true), "{event}");
            seen.text.clear();
        }
        "content_part.done" | "reasoning_summary_part.done" => {
            part(&event["part"]);
            assert!(std::mem::replace(&mut seen.part_is_open, false), "{event}");
        }
        _ if kind.ends_with(".delta") => {
            assert!(is_call || seen.part_is_open, "{event}");
            seen.text.push_str(event["delta"].as_str().expect("a delta"));
        }
        _ if kind.ends_with(".done") => {
            let whole = ["text", "refusal", "arguments"].iter().find_map(|name| event[*name].as_str());
            assert_eq!(whole, Some(seen.text.as_str()), "the deltas add up to it: {event}");
        }
        other => panic!("an event {other}"),
    }
}
