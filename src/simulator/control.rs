//! The paths beside the model calls: what models there are, and the simulator's own controls under `/_mock`.

use serde_json::{Value, json};

use super::ask::Ask;
use super::book::Book;
use super::presets;
use super::reply::Reply;
use super::request::Request;
use super::script;
use super::seen::SeenRequest;

pub(super) fn answer(book: &Book, request: &Request) -> Vec<u8> {
    let path = request.head.path.as_str();
    match (request.head.method.as_str(), path) {
        ("GET", "/" | "/_mock") => Reply::new(200, "text/plain; charset=utf-8").with(presets::help().as_bytes()),
        ("GET", "/_mock/counts") => json_reply(200, &json!({ "total": book.counts(), "models": book.by_model() })),
        ("GET", "/_mock/requests") => requests(book, &request.head.query),
        ("DELETE", "/_mock") => {
            book.reset();
            json_reply(200, &json!({ "reset": true }))
        }
        ("PUT", _) => match path.strip_prefix("/_mock/models/") {
            Some(model) => put_script(book, &percent_decoded(model), &request.body),
            None => unknown_path(),
        },
        ("GET", _) if path.ends_with("/models") => models(book, request.head.anthropic),
        ("POST", _) if path.ends_with("/messages/count_tokens") => match Ask::parse(&request.body) {
            Ok(ask) => json_reply(200, &json!({ "input_tokens": ask.input_tokens() })),
            Err(why) => complaint(400, &why),
        },
        _ => unknown_path(),
    }
}

fn put_script(book: &Book, model: &str, body: &[u8]) -> Vec<u8> {
    match script::parse_steps(&String::from_utf8_lossy(body)) {
        Ok(steps) => {
            let count = steps.len();
            book.script(model, steps);
            json_reply(200, &json!({ "model": model, "steps": count }))
        }
        Err(error) => complaint(400, &error.to_string()),
    }
}

fn requests(book: &Book, query: &str) -> Vec<u8> {
    let model = query.split('&').find_map(|pair| pair.strip_prefix("model="));
    let Some(model) = model else { return complaint(400, "say whose requests: GET /_mock/requests?model=NAME") };
    let seen = book.requests(&percent_decoded(model));
    let shown: Vec<SeenRequest> = seen.iter().map(SeenRequest::without_credentials).collect();
    json_reply(200, &json!(shown))
}

fn models(book: &Book, anthropic: bool) -> Vec<u8> {
    let called = book.by_model();
    let mut names: Vec<&str> = presets::names().collect();
    names.extend(called.keys().map(String::as_str).filter(|name| !name.is_empty()));
    names.sort_unstable();
    names.dedup();
    let body = if anthropic {
        let data: Vec<Value> = names
            .iter()
            .map(|id| json!({ "type": "model", "id": id, "display_name": id, "created_at": "2025-01-01T00:00:00Z" }))
            .collect();
        json!({ "data": data, "has_more": false, "first_id": names.first(), "last_id": names.last() })
    } else {
        let data: Vec<Value> = names
            .iter()
            .map(|id| json!({ "id": id, "object": "model", "created": 1_735_689_600, "owned_by": "headgate-mock" }))
            .collect();
        json!({ "object": "list", "data": data })
    };
    json_reply(200, &body)
}

fn unknown_path() -> Vec<u8> {
    complaint(404, "no such path; GET /_mock lists what there is")
}

fn complaint(status: u16, message: &str) -> Vec<u8> {
    json_reply(status, &json!({ "error": { "message": message, "type": "mock_error", "param": null, "code": null } }))
}

fn json_reply(status: u16, body: &Value) -> Vec<u8> {
    Reply::new(status, "application/json").with(body.to_string().as_bytes())
}

/// By hand: a dozen lines for the one place that needs it, and no crate of ours brings it along.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
