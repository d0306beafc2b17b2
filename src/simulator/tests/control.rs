use serde_json::json;

use super::super::Step;
use super::client::{Api, Ending, call, chat, exchange, post, receive, request};
use super::{scripted, simulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn steps_are_used_in_turn_and_the_last_repeats() {
    let simulator = simulator().await;
    simulator.script("m", vec![Step::status(500), Step::text("first"), Step::text("last")]);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let answer = call(simulator.addr(), Api::OpenAi, &chat("m", false)).await;
        seen.push(if answer.status == 200 {
            answer.json()["choices"][0]["message"]["content"].clone()
        } else {
            json!(answer.status)
        });
    }
    assert_eq!(seen, [json!(500), json!("first"), json!("last"), json!("last")]);
}

#[tokio::test]
async fn a_script_may_come_over_http_for_a_model_with_slashes_in_its_name() {
    let simulator = simulator().await;
    for path in ["/_mock/models/meta/llama-3%20b", "/_mock/models/meta%2Fllama-3%20b"] {
        let put = exchange(simulator.addr(), &request("PUT", path, r#"[{"text":"scripted"}]"#)).await;
        assert_eq!((put.status, put.json()), (200, json!({ "model": "meta/llama-3 b", "steps": 1 })));
    }
    let answer = call(simulator.addr(), Api::Anthropic, &chat("meta/llama-3 b", false)).await;
    assert_eq!(answer.json()["content"][0]["text"], "scripted");

    let wrong = exchange(simulator.addr(), &request("PUT", "/_mock/models/m", r#"[{"txt":1}]"#)).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("txt"), "{}", wrong.text());
}

#[tokio::test]
async fn a_file_scripts_several_models_or_none() {
    let simulator = simulator().await;
    assert_eq!(simulator.load("a: [{ text: from a }]\nb: [{ text: from b }]\n").unwrap(), 2);
    simulator.load("a: [{ text: changed }]\nb: [{ nonsense: 1 }]\n").unwrap_err();
    let answer = call(simulator.addr(), Api::OpenAi, &chat("a", false)).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "from a");
}

#[tokio::test]
async fn requests_are_kept_for_the_test_to_read_and_served_without_their_key() {
    let simulator = simulator().await;
    let body = chat("m", false).to_string();
    let head = format!(
        "POST /deep/prefix/chat/completions?x=1 HTTP/1.1\r\nAuthorization: Bearer sk-1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    exchange(simulator.addr(), format!("{head}{body}").as_bytes()).await;
    let seen = simulator.requests("m");
    assert_eq!((seen.len(), seen[0].path.as_str(), &seen[0].body), (1, "/deep/prefix/chat/completions", &body));
    assert_eq!(seen[0].header("authorization"), Some("Bearer sk-1"));
    assert!(!format!("{seen:?}").contains("sk-1"));
    let served = exchange(simulator.addr(), &request("GET", "/_mock/requests?model=m", "")).await;
    assert!(served.text().contains("/deep/prefix") && !served.text().contains("sk-1"), "{}", served.text());
}

#[tokio::test]
async fn a_thousand_requests_are_kept_and_the_oldest_leave_first() {
    let simulator = simulator().await;
    let mut socket = TcpStream::connect(simulator.addr()).await.unwrap();
    for number in 0..1_005 {
        let mut body = chat("m", false);
        body["seed"] = json!(number);
        socket.write_all(&post(Api::OpenAi.path(), &body)).await.unwrap();
        assert_eq!(receive(&mut socket).await.ending, Ending::Whole);
    }
    let seen = simulator.requests("m");
    assert_eq!(seen.len(), 1_000);
    assert!(seen[0].body.contains(r#""seed":5"#), "{}", seen[0].body);
    assert_eq!(simulator.counts().open_sockets, 1);
}

#[tokio::test]
async fn a_reset_forgets_scripts_counts_and_requests() {
    let simulator = scripted("m", Step::status(500)).await;
    call(simulator.addr(), Api::OpenAi, &chat("m", false)).await;
    exchange(simulator.addr(), &request("DELETE", "/_mock", "")).await;
    assert_eq!((simulator.counts().calls, simulator.requests("m").len()), (0, 0));
    assert_eq!(call(simulator.addr(), Api::OpenAi, &chat("m", false)).await.status, 200);
}

#[tokio::test]
async fn the_other_paths_answer_what_providers_do() {
    let simulator = simulator().await;
    let models = exchange(simulator.addr(), &request("GET", "/v1/models", "")).await.json();
    assert_eq!(models["object"], "list");
    assert!(models["data"].as_array().unwrap().iter().any(|model| model["id"] == "mock-echo"));
    let count = exchange(simulator.addr(), &post("/v1/messages/count_tokens", &chat("m", false))).await.json();
    assert_eq!(count, json!({ "input_tokens": 2 }));
    assert_eq!(exchange(simulator.addr(), &request("GET", "/nowhere", "")).await.status, 404);
    let counts = exchange(simulator.addr(), &request("GET", "/_mock/counts", "")).await.json();
    assert_eq!((&counts["total"]["calls"], &counts["total"]["open_sockets"]), (&json!(0), &json!(1)));
    assert!(exchange(simulator.addr(), &request("GET", "/_mock", "")).await.text().contains("mock-429"));
}

#[tokio::test]
async fn a_chunked_body_that_waits_for_continue_is_read_whole() {
    let simulator = simulator().await;
    let mut socket = TcpStream::connect(simulator.addr()).await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    socket.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    let body = chat("m", false).to_string();
    let (first, second) = body.split_at(10);
    let chunks = format!("a\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\n\r\n", second.len());
    socket.write_all(chunks.as_bytes()).await.unwrap();
    assert_eq!(receive(&mut socket).await.status, 200);
    assert_eq!(simulator.requests("m")[0].body, body);
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_closed() {
    let simulator = simulator().await;
    let refused = exchange(simulator.addr(), b"\x16\x03\x01 not http\r\n\r\n").await;
    assert_eq!((refused.status, refused.header("connection")), (400, Some("close")));
    let huge = exchange(simulator.addr(), b"POST /v1/messages HTTP/1.1\r\ncontent-length: 999999999999\r\n\r\n").await;
    assert_eq!(huge.status, 413);
}
