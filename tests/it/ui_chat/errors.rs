//! What a page shows when there is no answer, or half of one.

use serde_json::json;

use headgate::simulator::{ErrorWords, Fault, InBandError, RetryAfter, StatusFault, Step};

use super::{CHAT, ask, gateway, of_type, page, said, streamed, tiers};
use crate::support::wire::{Wire, data};
use crate::support::{Reply, TestGateway, until};

#[tokio::test]
async fn a_refusal_is_one_plain_sentence_with_the_status_of_its_kind() {
    let gw = gateway().await;
    let mut empty = page("gpt");
    empty["messages"] = json!([]);
    let mut twice = page("gpt");
    twice["model"] = json!("claude");
    let mut odd = page("gpt");
    odd["messages"][0]["parts"][0]["text"] = json!(5);
    for (body, status, sentence) in [
        (empty, 400, "messages required: send at least one."),
        (twice, 400, "`tier` and `model` say the same thing; send one of them."),
        (odd, 400, "messages[0] has a text part without its `text`."),
        (page("no-such-tier"), 404, "Model `no-such-tier` is not served to this key; use one of: "),
    ] {
        let reply = ask(&gw, &body).await;
        let text = String::from_utf8(reply.body.clone()).expect("UTF-8");
        assert_eq!((reply.status, reply.header("content-type")), (status, "text/plain; charset=utf-8"), "{text}");
        assert!(text.starts_with(sentence), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_key_a_wrong_method_and_an_unknown_route_are_told_in_a_sentence_too() {
    let gw = gateway().await;
    let call = gw.client.post(gw.url(CHAT)).bearer_auth("no-such-key").body(page("gpt").to_string());
    let reply = Reply::of(call.send().await.expect("an answer")).await;
    assert_eq!((reply.status, reply.header("content-type")), (401, "text/plain; charset=utf-8"));
    for (path, status) in [(CHAT, 405), ("/api/chat/x/y", 404)] {
        let reply = Reply::of(gw.client.get(gw.url(path)).send().await.expect("an answer")).await;
        assert_eq!((reply.status, reply.header("content-type")), (status, "text/plain; charset=utf-8"), "{path}");
    }
}

#[tokio::test]
async fn a_spent_budget_is_told_without_its_accounts_and_a_full_window_with_its_end() {
    let gw = TestGateway::with(|config| {
        tiers(config);
        config["keys"][0]["limits"] = json!([{ "scope": "user", "usd": 0.000_001, "per": "day" }]);
    })
    .await;
    let reply = ask(&gw, &page("gpt")).await;
    let text = String::from_utf8(reply.body.clone()).expect("UTF-8");
    assert_eq!((reply.status, reply.header("x-should-retry")), (402, "false"), "{text}");
    assert!(text.starts_with("User budget $0.000001 per day reached; it resets at ") && text.len() < 100, "{text}");

    let gw = TestGateway::with(|config| {
        tiers(config);
        config["keys"][0]["limits"] = json!([{ "scope": "user", "requests": 1, "per": "1m" }]);
    })
    .await;
    assert_eq!(ask(&gw, &page("gpt")).await.status, 200);
    let reply = ask(&gw, &page("gpt")).await;
    assert_eq!((reply.status, reply.header("retry-after").is_empty()), (429, false));
}

#[tokio::test]
async fn a_providers_failure_before_the_answer_has_the_status_of_its_kind() {
    let status = |status| StatusFault { status, ..StatusFault::default() };
    let blocked = StatusFault {
        error: ErrorWords { code: Some(json!("content_policy_violation")), ..ErrorWords::default() },
        ..status(400)
    };
    let busy = StatusFault { retry_after: Some(RetryAfter::Seconds(30)), ..status(429) };
    for (fault, wanted) in [(blocked, 400), (status(401), 502), (busy, 429), (status(500), 502), (status(529), 503)] {
        let gw = gateway().await;
        gw.mock.script("first", vec![Step::fault(Fault::Status(fault.clone()))]);
        let mut wire = Wire::connect(gw.gateway.client).await;
        wire.ask(CHAT, &page("gpt-alone").to_string(), &[("x-stainless-retry-count", "1")]).await;
        let head = wire.head().await;
        assert_eq!((head.status, head.header("content-type")), (wanted, "text/plain; charset=utf-8"), "{fault:?}");
        let body = wire.sized(&head).await;
        assert!(!body.is_empty() && !body.starts_with(b"{"), "{}", String::from_utf8_lossy(&body));
    }
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_has_an_error_chunk_and_ends_abnormally() {
    let in_band = InBandError { after: 2, error: ErrorWords::default(), event_line: true };
    for fault in [Fault::Cut { after: 2 }, Fault::CleanEnd { after: 2 }, Fault::InBandError(in_band)] {
        for tier in ["claude", "gpt"] {
            let gw = gateway().await;
            gw.mock.script("first", vec![Step { fault: Some(fault.clone()), ..Step::text("one two three four") }]);
            let (_, body) = streamed(&gw, &page(tier)).await;
            assert!(!body.whole, "{tier} {fault:?}: the body must not end as a whole one does");
            let chunks = data(&body.frames());
            assert_eq!(said(&chunks, "text-delta").trim(), "one two", "{tier} {fault:?}");
            assert!(of_type(&chunks, "finish").is_empty(), "{tier} {fault:?}: {chunks:?}");
            let last = chunks.last().expect("chunks");
            assert_eq!(last["type"], "error", "{tier} {fault:?}: {chunks:?}");
            assert!(last["errorText"].as_str().is_some_and(|text| !text.is_empty()), "{tier} {fault:?}: {last}");
        }
    }
}

#[tokio::test]
async fn a_page_that_leaves_a_chat_without_an_id_ends_the_providers_call_and_pays_what_was_delivered() {
    let gw = gateway().await;
    gw.mock
        .script("first", vec![Step { gap_ms: 5, words: Some(100_000), ignore_max_tokens: true, ..Step::text("on") }]);
    let mut body = page("gpt");
    body.as_object_mut().expect("an object").remove("id");
    let mut wire = Wire::connect(gw.gateway.client).await;
    wire.ask(CHAT, &body.to_string(), &[]).await;
    assert_eq!(wire.head().await.status, 200);
    wire.until(|text| text.contains("text-delta")).await;
    drop(wire);
    until("the provider is hung up on", || gw.mock.model_counts("first").aborted == 1).await;
    let line = gw.finished(1).await;
    assert_eq!(
        (&line["outcome"], line["cost_nano"].as_u64().is_some_and(|cost| cost > 0)),
        (&json!("client_gone"), true)
    );
}

#[tokio::test]
async fn a_browser_may_ask_before_it_calls() {
    let gw = TestGateway::with(|config| config["keys"][0]["cors"] = json!(["https://app.example"])).await;
    let ask = |origin: &str| {
        let call = gw.client.request(reqwest::Method::OPTIONS, gw.url(CHAT));
        call.header("origin", origin).header("access-control-request-method", "POST")
    };
    let allowed = ask("https://app.example").send().await.expect("an answer");
    assert_eq!(
        (allowed.status().as_u16(), &allowed.headers()["access-control-allow-origin"]),
        (204, &"https://app.example".parse().expect("a header"))
    );
    assert_eq!(ask("https://evil.example").send().await.expect("an answer").status(), 403);
    let call = gw.client.post(gw.url(CHAT)).bearer_auth(crate::support::KEY).header("origin", "https://app.example");
    let reply = call.body(page("single").to_string()).send().await.expect("an answer");
    assert_eq!(reply.headers()["access-control-allow-origin"], "https://app.example");
}
