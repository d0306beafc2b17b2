//! OpenAI's Responses format at the client's side: its requests to every provider, and every provider's answers to it.

use bytes::Bytes;
use headgate::dialects::OPENAI_RESPONSES;
use headgate::providers::{Ask, Passed};
use serde_json::{Value, json};

use super::cases::{each_json, each_stream};
use super::messages::refused;
use super::{about, encode, provider};

#[test]
fn requests_reach_every_provider_with_the_same_meaning() {
    each_json("responses/requests", "out", |kind, body| {
        let adapter = provider(kind);
        let call = match OPENAI_RESPONSES.decode(Bytes::from(body.to_string())) {
            Ok(call) => call,
            Err(error) => return refused(&error),
        };
        if adapter.wire() == OPENAI_RESPONSES.wire() {
            let call = OPENAI_RESPONSES.without_foreign(&call).unwrap_or(call);
            let passed = Passed {
                body: &call.body,
                owned: &call.owned,
                model: "target-model",
                stream: true,
                max_tokens: Some(256),
                cap_field: "max_tokens",
            };
            let sent = adapter.pass(&passed).expect("it passes");
            return json!({ "passed": String::from_utf8(sent.to_vec()).expect("UTF-8") });
        }
        let ask = Ask { model: "target-model", stream: true, max_tokens: 256, cap_field: "max_completion_tokens" };
        match OPENAI_RESPONSES.chat(&call).and_then(|chat| adapter.encode(&chat, &ask)) {
            Ok(encoded) => {
                let body: Value = serde_json::from_slice(&encoded.body).expect("JSON");
                json!({ "body": body, "dropped": encoded.dropped })
            }
            Err(error) => refused(&error),
        }
    });
}

#[test]
fn answers_reach_the_client_with_the_same_meaning() {
    each_json("answers", "responses", |kind, body| match provider(kind).decode(body.to_string().as_bytes()) {
        Ok(reply) => serde_json::from_slice(&OPENAI_RESPONSES.encode(&reply, &about())).expect("JSON"),
        Err(error) => json!({ "no_answer": error.to_string() }),
    });
}

#[test]
fn streams_reach_the_client_with_the_same_meaning() {
    each_stream("streams", "responses", |kind, bytes| encode(OPENAI_RESPONSES, kind, bytes));
}
