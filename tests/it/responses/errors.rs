//! Refusals in OpenAI's shape.

use serde_json::json;

use headgate::simulator::{Fault, StatusFault, Step};

use super::{RESPONSES, TIERS, ask, gateway, question, streamed};
use crate::support::Reply;

#[tokio::test]
async fn what_needs_an_answer_that_is_kept_says_what_to_do_instead() {
    let gw = gateway().await;
    let mut off = question("openai");
    off["store"] = json!(false);
    off["background"] = json!(true);
    for (field, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({ "id": "pmpt_1" })),
    ] {
        let mut body = question("openai");
        body[field] = value;
        let reply = ask(&gw, &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{field}");
        assert_eq!(reply.json()["error"]["param"], field);
    }
    let reply = ask(&gw, &off).await;
    assert_eq!(reply.status, 400);
    assert!(reply.message().contains("`store`"), "{}", reply.message());
    assert_eq!(gw.mock.counts().calls, 0);
}

#[tokio::test]
async fn a_request_that_makes_no_sense_names_its_field_and_goes_nowhere() {
    let gw = gateway().await;
    for (field, value, code) in [
        ("input", json!(7), 400),
        ("input", json!([]), 400),
        ("max_output_tokens", json!(-1), 400),
        ("model", json!("no-such-model"), 404),
    ] {
        let mut body = question("openai");
        body[field] = value;
        let reply = ask(&gw, &body).await;
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (code, &json!(field)), "{body}");
    }
    assert_eq!(gw.mock.counts().calls, 0);
}

#[tokio::test]
async fn tools_that_run_at_a_provider_are_refused_where_the_model_in_use_has_none_and_passed_on_where_it_may() {
    let gw = gateway().await;
    for tool in [json!({ "type": "web_search" }), json!({ "type": "custom", "name": "sql" })] {
        for tier in TIERS {
            let mut body = question(tier);
            body["tools"] = json!([tool]);
            let reply = ask(&gw, &body).await;
            let passes = matches!(*tier, "passed" | "openai-responses");
            assert_eq!(reply.status, if passes { 200 } else { 400 }, "{tier} {tool}");
            if !passes {
                assert_eq!(reply.json()["error"]["param"], "tools[0]", "{tier} {tool}");
            }
        }
    }
}

#[tokio::test]
async fn a_providers_failure_is_an_http_error_before_content() {
    for streams in [false, true] {
        // A refused key takes its target out for a while.
        let gw = gateway().await;
        for tier in TIERS {
            let body = if streams { streamed(tier) } else { question(tier) };
            let fault = StatusFault { status: 401, ..StatusFault::default() };
            gw.mock.script("first", vec![Step::fault(Fault::Status(fault))]);
            let reply = ask(&gw, &body).await;
            assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_auth"), "{tier}");
            assert_eq!(reply.header("x-should-retry"), "false", "{tier}");
        }
    }
}

#[tokio::test]
async fn other_methods_are_refused_in_the_same_shape() {
    let gw = gateway().await;
    let reply = Reply::of(gw.client.get(gw.url(RESPONSES)).send().await.unwrap()).await;
    assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"));
}
