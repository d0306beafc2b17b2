//! Answers in one body.

use serde_json::{Value, json};

use headgate::simulator::{Finish, Step, UsageReport};

use super::{RESPONSES, TIERS, ask, gateway, output_text, question, request, rules, weather, with_tools};
use crate::support::Reply;

#[tokio::test]
async fn every_provider_answers_with_a_response_that_obeys_the_rules() {
    let gw = gateway().await;
    for (at, tier) in TIERS.iter().enumerate() {
        gw.mock.reset();
        gw.mock.script("first", vec![Step::text("Grüße 😀")]);
        let reply = ask(&gw, &question(tier)).await;
        assert_eq!(reply.status, 200, "{tier}: {}", String::from_utf8_lossy(&reply.body));
        let body = reply.json();
        rules::response(&body);
        assert_eq!((&body["status"], output_text(&body).as_str()), (&json!("completed"), "Grüße 😀"), "{tier}");
        let counts = gw.mock.model_counts("first");
        assert_eq!(body["usage"]["input_tokens"], counts.input_tokens, "{tier}");
        assert_eq!(body["usage"]["output_tokens"], counts.output_tokens, "{tier}");
        assert_eq!(gw.finished(at + 1).await["cost_nano"], counts.input_tokens * 1_000 + counts.output_tokens * 10_000);
        assert!(body["id"].as_str().is_some_and(|id| id.starts_with("resp_")), "{tier}: {body}");
    }
}

#[tokio::test]
async fn calls_in_parallel_come_as_items_and_their_outputs_find_their_way_back() {
    let gw = gateway().await;
    for tier in TIERS {
        gw.mock.reset();
        let calls = vec![weather("callnr001", "Paris"), weather("callnr002", "Oslo")];
        gw.mock.script("first", vec![Step { tool_calls: calls, ..Step::text("Let me look.") }, Step::text("21 and 9")]);
        let body = ask(&gw, &with_tools(question(tier))).await.json();
        rules::response(&body);
        let items = body["output"].as_array().expect("items");
        let kinds: Vec<&str> = items.iter().filter_map(|item| item["type"].as_str()).collect();
        assert_eq!(kinds, ["message", "function_call", "function_call"], "{tier}");
        let cities: Vec<Value> = items[1..]
            .iter()
            .map(|item| serde_json::from_str(item["arguments"].as_str().expect("a text")).expect("JSON"))
            .collect();
        assert_eq!(cities, [json!({ "city": "Paris" }), json!({ "city": "Oslo" })], "{tier}");

        let output = |item: &Value, text: &str| json!({ "type": "function_call_output", "call_id": item["call_id"], "output": text });
        let mut next = with_tools(question(tier));
        next["input"] = json!([{ "role": "user", "content": "weather?" }, items[0], items[1], items[2],
            output(&items[1], "21"), output(&items[2], "9")]);
        let reply = ask(&gw, &next).await;
        assert_eq!(reply.status, 200, "{tier}: {}", String::from_utf8_lossy(&reply.body));
        assert_eq!(output_text(&reply.json()), "21 and 9", "{tier}");
        let sent = &gw.mock.requests("first")[1].body;
        assert!(
            sent.find("21").zip(sent.find("\"9\"")).is_some_and(|(first, second)| first < second),
            "{tier}: {sent}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_or_filtered_is_incomplete_and_says_why() {
    let gw = gateway().await;
    for tier in TIERS {
        for (finish, reason) in [(Finish::Length, "max_output_tokens"), (Finish::ContentFilter, "content_filter")] {
            gw.mock.script("first", vec![Step { finish: Some(finish), ..Step::text("the way") }]);
            let body = ask(&gw, &question(tier)).await.json();
            rules::response(&body);
            let told = (&body["status"], &body["incomplete_details"]["reason"]);
            assert_eq!(told, (&json!("incomplete"), &json!(reason)), "{tier}");
        }
    }
}

#[tokio::test]
async fn a_translated_response_repeats_what_was_asked() {
    let gw = gateway().await;
    for tier in ["openai", "anthropic", "gemini", "mistral"] {
        let mut asked = with_tools(question(tier));
        asked["instructions"] = json!("be brief");
        asked["max_output_tokens"] = json!(77);
        asked["temperature"] = json!(0.5);
        asked["metadata"] = json!({ "k": "v" });
        asked["store"] = json!(false);
        asked["text"] = json!({ "verbosity": "low" });
        asked["reasoning"] = json!({ "effort": "low" });
        asked["tool_choice"] = json!("auto");
        asked["parallel_tool_calls"] = json!(false);
        asked["safety_identifier"] = json!("u1");
        let body = ask(&gw, &asked).await.json();
        rules::response(&body);
        for name in [
            "instructions",
            "max_output_tokens",
            "temperature",
            "metadata",
            "store",
            "parallel_tool_calls",
            "safety_identifier",
        ] {
            assert_eq!(body[name], asked[name], "{tier}: {name}");
        }
        assert_eq!(body["reasoning"], json!({ "effort": "low", "summary": null }), "{tier}");
        assert_eq!(body["text"], json!({ "verbosity": "low", "format": { "type": "text" } }), "{tier}");
        assert_eq!(body["tools"][0]["name"], "weather", "{tier}");
    }
}

#[tokio::test]
async fn a_provider_that_reports_no_usage_is_counted_by_us() {
    let gw = gateway().await;
    for tier in ["openai", "anthropic"] {
        gw.mock.script("first", vec![Step { usage: UsageReport::Missing, ..Step::text("one two three four") }]);
        let body = ask(&gw, &question(tier)).await.json();
        rules::response(&body);
        assert!(body["usage"]["output_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{tier}: {body}");
    }
}

#[tokio::test]
async fn input_tokens_are_estimated_without_a_call() {
    let gw = gateway().await;
    let count = async |body: &Value| {
        Reply::of(request(&gw, &format!("{RESPONSES}/input_tokens"), body).send().await.unwrap()).await
    };
    let short = count(&question("openai")).await;
    assert_eq!((short.status, &short.json()["object"]), (200, &json!("response.input_tokens")));
    let mut long = question("openai");
    long["input"] = json!("say hello ".repeat(50));
    let tokens = |reply: &Reply| reply.json()["input_tokens"].as_u64().expect("a number");
    assert!(tokens(&short) > 0 && tokens(&count(&long).await) > tokens(&short));
    assert_eq!(count(&json!({ "input": "x" })).await.status, 400);
    assert_eq!(gw.mock.counts().calls, 0);
}
