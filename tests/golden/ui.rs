//! Chat pages of the AI SDK: their messages as providers get them, and every provider's answers to them. `case.ui` is for
//! pages since version 5, `case.ui4` for those of version 4.

use bytes::Bytes;
use headgate::dialects::{Dialect, UI_DATA_STREAM, UI_MESSAGES};
use headgate::domain::error::GatewayError;
use headgate::providers::Ask;
use serde_json::{Value, json};

use super::cases::{each_json, each_stream, every_json};
use super::{about, encode, provider};

#[test]
fn messages_of_every_version_reach_every_provider_with_the_same_meaning() {
    each_json("ui/requests", "out", |kind, body| {
        let body = Bytes::from(body.to_string());
        let dialect = UI_MESSAGES.variant(&body).unwrap_or(UI_MESSAGES);
        let ask = Ask { model: "target-model", stream: true, max_tokens: 256, cap_field: "max_completion_tokens" };
        let encoded = dialect.decode(body).and_then(|call| {
            let sent = dialect.chat(&call).and_then(|chat| provider(kind).encode(&chat, &ask))?;
            Ok((call, sent))
        });
        match encoded {
            Ok((call, sent)) => {
                let body: Value = serde_json::from_slice(&sent.body).expect("JSON");
                let goes_on = call.conversation.and_then(|conversation| conversation.continues);
                json!({ "dialect": dialect.name(), "body": body, "dropped": sent.dropped, "goes_on": goes_on })
            }
            Err(GatewayError::InvalidRequest { message, param }) => json!({ "refused": message, "param": param }),
            Err(other) => panic!("unexpected {other:?}"),
        }
    });
}

#[test]
fn any_value_in_place_of_any_other_is_read_or_refused_but_never_a_panic() {
    every_json("ui/requests", |kind, case| {
        let mut places = Vec::new();
        walk(case, "", &mut places);
        for place in places {
            for odd in
                [Value::Null, json!(true), json!(-5), json!(""), json!("data:,"), json!([[]]), json!({ "type": 5 })]
            {
                let mut damaged = case.clone();
                *damaged.pointer_mut(&place).expect("a place of this case") = odd;
                let body = Bytes::from(damaged.to_string());
                let dialect = UI_MESSAGES.variant(&body).unwrap_or(UI_MESSAGES);
                let Ok(call) = dialect.decode(body) else { continue };
                let ask = Ask { model: "m", stream: true, max_tokens: 9, cap_field: "max_tokens" };
                let _ = dialect.chat(&call).and_then(|chat| provider(kind).encode(&chat, &ask));
            }
        }
    });
}

/// JSON pointers to all values within `value`.
fn walk(value: &Value, at: &str, places: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (format!("{at}/{name}"), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(index, value)| (format!("{at}/{index}"), value)).collect(),
        _ => Vec::new(),
    };
    for (place, value) in inner {
        walk(value, &place, places);
        places.push(place);
    }
}

#[test]
fn answers_in_one_piece_reach_a_page_as_the_stream_they_would_have_been() {
    each_json("answers", "ui", |kind, body| match provider(kind).decode(body.to_string().as_bytes()) {
        Ok(reply) => lines(UI_MESSAGES, &UI_MESSAGES.encode(&reply, &about())),
        Err(error) => json!({ "no_answer": error.to_string() }),
    });
}

#[test]
fn streams_reach_a_page_with_the_same_meaning() {
    each_stream("streams", "ui", |kind, bytes| encode(UI_MESSAGES, kind, bytes));
}

#[test]
fn streams_reach_a_page_of_version_4_with_the_same_meaning() {
    each_stream("streams", "ui4", |kind, bytes| encode(UI_DATA_STREAM, kind, bytes));
}

/// The data of every frame, but for the end marker.
fn lines(dialect: &dyn Dialect, body: &Bytes) -> Value {
    let text = std::str::from_utf8(body).expect("UTF-8");
    let frames: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(frames.last(), Some(&"[DONE]"), "{}", dialect.name());
    let read = |frame: &&str| serde_json::from_str::<Value>(frame).expect("JSON");
    frames[..frames.len() - 1].iter().map(read).collect()
}
