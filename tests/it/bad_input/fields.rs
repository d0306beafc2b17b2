//! Bodies that are no request, and fields that say nonsense.

use serde_json::{Value, json};

use super::{assert_refusal, assert_untouched, metered, post};
use crate::support::question;

/// A body that is wrong in one way, and the field its refusal names.
const BODIES: &[(&str, &str, Option<&str>)] = &[
    ("nothing at all", "", None),
    ("no JSON", "{nope", None),
    ("JSON that stops", r#"{"model":"standard","messages":[{"role":"user","con"#, None),
    ("JSON and more", r#"{"model":"standard","messages":[{"role":"user","content":"x"}]} tail"#, None),
    ("two documents", r#"{"model":"standard","messages":[]}{"model":"standard"}"#, None),
    ("a list", r#"[{"role":"user","content":"x"}]"#, None),
    ("a text", r#""hello""#, None),
    ("null", "null", None),
    ("a number", "1e999", None),
    ("no messages", r#"{"model":"standard"}"#, Some("messages")),
    ("empty messages", r#"{"model":"standard","messages":[]}"#, Some("messages")),
    ("messages null", r#"{"model":"standard","messages":null}"#, Some("messages")),
    ("messages not a list", r#"{"model":"standard","messages":"hi"}"#, Some("messages")),
    ("no model", r#"{"messages":[{"role":"user","content":"x"}]}"#, Some("model")),
    ("an empty model", r#"{"model":" ","messages":[{"role":"user","content":"x"}]}"#, Some("model")),
    ("a model that is no text", r#"{"model":7,"messages":[{"role":"user","content":"x"}]}"#, Some("model")),
    (
        "stream not a flag",
        r#"{"model":"standard","stream":"yes","messages":[{"role":"user","content":"x"}]}"#,
        Some("stream"),
    ),
    (
        "a temperature in words",
        r#"{"model":"standard","temperature":"hot","messages":[{"role":"user","content":"x"}]}"#,
        Some("temperature"),
    ),
    ("n of nothing", r#"{"model":"standard","n":0,"messages":[{"role":"user","content":"x"}]}"#, Some("n")),
    ("n of a million", r#"{"model":"standard","n":1000000,"messages":[{"role":"user","content":"x"}]}"#, Some("n")),
    (
        "tools not a list",
        r#"{"model":"standard","tools":{},"messages":[{"role":"user","content":"x"}]}"#,
        Some("tools"),
    ),
];

#[tokio::test]
async fn a_body_that_is_no_request_is_a_400_that_names_the_field_at_fault() {
    let gw = metered().await;
    for (about, body, param) in BODIES {
        let reply = post(&gw, *body, &[]).await;
        assert_refusal(&reply, 400, "invalid_request", about);
        assert_eq!(reply.json()["error"]["param"].as_str(), *param, "{about}");
        assert_eq!(reply.header("x-should-retry"), "false", "{about}");
    }
    assert_untouched(&gw).await;
}

#[tokio::test]
async fn a_role_that_nobody_knows_is_a_400() {
    let gw = metered().await;
    let reply = post(&gw, r#"{"model":"standard","messages":[{"role":"wizard","content":"x"}]}"#, &[]).await;
    assert_refusal(&reply, 400, "invalid_request", "bad role");
    assert!(reply.json()["error"]["param"].as_str().is_some_and(|param| param.starts_with("messages")));
    assert_untouched(&gw).await;
}

#[tokio::test]
async fn bytes_that_are_no_utf_8_are_a_400_and_nul_is_just_a_character() {
    let gw = metered().await;
    let reply =
        post(&gw, b"{\"model\":\"standard\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}".to_vec(), &[])
            .await;
    assert_refusal(&reply, 400, "invalid_request", "bad UTF-8");
    assert_untouched(&gw).await;
    let reply = post(&gw, r#"{"model":"standard","messages":[{"role":"user","content":"a\u0000b"}]}"#, &[]).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn json_deeper_than_128_levels_is_a_400_and_128_are_served() {
    let nested = |levels: usize| {
        // The object itself is the first level.
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        format!(r#"{{"model":"standard","messages":[{{"role":"user","content":"x"}}],"x_deep":{open}{close}}}"#)
    };
    let gw = metered().await;
    for levels in [129, 1_000, 1_000_000] {
        let reply = post(&gw, nested(levels), &[]).await;
        assert_refusal(&reply, 400, "invalid_request", &format!("{levels} levels"));
        assert!(reply.message().contains("128"), "{}", reply.message());
    }
    assert_untouched(&gw).await;
    assert_eq!(post(&gw, nested(128), &[]).await.status, 200);
}

#[tokio::test]
async fn a_field_that_decides_what_a_call_costs_may_stand_once() {
    let gw = metered().await;
    for (field, first, second) in [
        ("model", r#""single""#, r#""standard""#),
        ("max_tokens", "1", "1000"),
        ("max_completion_tokens", "1", "1000"),
        ("stream", "false", "true"),
        ("stream_options", "{}", r#"{"include_usage":true}"#),
        ("n", "1", "100"),
        ("messages", r#"[{"role":"user","content":"short"}]"#, r#"[{"role":"user","content":"long"}]"#),
        ("user", r#""a""#, r#""b""#),
        ("metadata", "{}", "{}"),
    ] {
        let rest = match field {
            "model" => r#""messages":[{"role":"user","content":"x"}]"#,
            "messages" => r#""model":"standard""#,
            _ => r#""model":"standard","messages":[{"role":"user","content":"x"}]"#,
        };
        for twin in [field.to_owned(), format!("\\u{:04x}{}", field.as_bytes()[0], &field[1..])] {
            let body = format!(r#"{{"{field}":{first},{rest},"{twin}":{second}}}"#);
            let reply = post(&gw, body, &[]).await;
            assert_refusal(&reply, 400, "duplicate_field", field);
            assert_eq!(reply.json()["error"]["param"], field);
        }
    }
    // Some servers read names without their case: another spelling is a second field to them.
    let body = r#"{"model":"standard","max_tokens":1,"Max_Tokens":100000,"messages":[{"role":"user","content":"x"}]}"#;
    assert_refusal(&post(&gw, body, &[]).await, 400, "invalid_request", "another spelling");
    assert_untouched(&gw).await;
}

#[tokio::test]
async fn an_output_cap_is_a_whole_number_of_tokens_or_nothing() {
    let gw = metered().await;
    for field in ["max_tokens", "max_completion_tokens"] {
        for value in [
            "0",
            "-1",
            "-0",
            "1.5",
            "1.0",
            "1e3",
            "\"100\"",
            "\"many\"",
            "true",
            "[]",
            "[100]",
            "{}",
            "10000001",
            "18446744073709551616",
            "1e999",
            "-9223372036854775809",
        ] {
            let body =
                format!(r#"{{"model":"standard","messages":[{{"role":"user","content":"x"}}],"{field}":{value}}}"#);
            let reply = post(&gw, body, &[]).await;
            assert_refusal(&reply, 400, "invalid_request", &format!("{field}: {value}"));
            assert_eq!(reply.json()["error"]["param"], field, "{value}");
        }
    }
    assert_untouched(&gw).await;
}

#[tokio::test]
async fn a_null_output_cap_is_none_and_the_tiers_own_applies() {
    let gw = metered().await;
    for field in ["max_tokens", "max_completion_tokens"] {
        let mut body = question("standard");
        body[field] = Value::Null;
        assert_eq!(gw.chat(&body).await.status, 200);
    }
    for seen in gw.mock.requests("first") {
        let sent: Value = serde_json::from_str(&seen.body).unwrap();
        let caps: Vec<&Value> =
            [&sent["max_tokens"], &sent["max_completion_tokens"]].into_iter().filter(|c| !c.is_null()).collect();
        assert_eq!(caps, [&json!(1_000)], "{}", seen.body);
    }
}

#[tokio::test]
async fn routing_fields_are_taken_out_named_in_a_header_and_the_call_is_served() {
    let gw = metered().await;
    let mut body = question("standard");
    for (field, value) in [
        ("api_base", json!("http://198.51.100.7/v1")),
        ("base_url", json!("http://198.51.100.7/v1")),
        ("api_key", json!("sk-smuggled")),
        ("extra_headers", json!({ "authorization": "Bearer sk-smuggled" })),
        ("custom_llm_provider", json!("azure")),
        ("API_Base", json!("http://198.51.100.7/v1")),
    ] {
        body[field] = value;
    }
    body["x_kept"] = json!({ "api_base": "inner fields are none of ours" });
    let reply = gw.chat(&body).await;
    assert_eq!(reply.status, 200);
    let mut named: Vec<&str> = reply.header("x-headgate-dropped").split(", ").collect();
    named.sort_unstable();
    assert_eq!(named, ["API_Base", "api_base", "api_key", "base_url", "custom_llm_provider", "extra_headers"]);
    let seen = gw.mock.requests("first");
    let sent: Value = serde_json::from_str(&seen[0].body).unwrap();
    let mut fields: Vec<&String> = sent.as_object().unwrap().keys().collect();
    fields.retain(|name| !name.starts_with("max_"));
    assert_eq!(fields, ["model", "messages", "x_kept"], "{}", seen[0].body);
    assert!(!format!("{:?}{}", seen[0].headers, seen[0].body).contains("smuggled"));
    assert_eq!(gw.ask("standard").await.header("x-headgate-dropped"), "");
}
