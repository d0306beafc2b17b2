//! Providers of every kind behind the door of OpenAI's format.

use serde_json::{Value, json};
use tempfile::TempDir;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use headgate::simulator::{ErrorWords, Fault, Finish, RetryAfter, StatusFault, Step, ToolCall};

use crate::support::wire::{Wire, data, said};
use crate::support::{KEY, Reply, TestGateway, mock, question, streamed};

/// Tier `google` goes from a Gemini to the usual model in OpenAI's format, tier `mistral` has its one target alone.
pub async fn gateway() -> TestGateway {
    let mock = mock().await;
    let mut config = crate::support::config(&mock);
    let key = "file:google.key";
    config["providers"]["google"] = json!({ "kind": "gemini", "base_url": mock.gemini_base_url(), "api_key": key });
    config["providers"]["mistral"] = json!({ "kind": "mistral", "base_url": mock.openai_base_url() });
    config["tiers"]["google"] = json!({ "primary": "google/flash", "fallback": "openai/first", "max_tokens": 1000 });
    config["tiers"]["mistral"] = json!({ "primary": "mistral/small", "max_tokens": 1000 });
    for target in ["google/flash", "mistral/small"] {
        config["prices"][target] = json!({ "input": 1, "output": 10 });
    }
    let folder = TempDir::new().expect("a temporary folder");
    let files = [("google.key", "test-google-key")];
    TestGateway::start_in(mock, folder, &config, &files).await.expect("the gateway starts")
}

fn with_weather(mut body: Value) -> Value {
    let parameters =
        json!({ "type": "object", "properties": { "city": { "type": "string" } }, "additionalProperties": false });
    body["tools"] = json!([{ "type": "function", "function": { "name": "weather", "parameters": parameters } }]);
    body
}

async fn chunks(gw: &TestGateway, body: &Value) -> (Vec<String>, Vec<Value>) {
    let mut wire = Wire::chat(gw, body, &[]).await;
    assert_eq!(wire.head().await.status, 200);
    let body = wire.rest().await;
    assert!(body.whole);
    let frames = body.frames();
    let chunks = data(&frames);
    (frames, chunks)
}

#[tokio::test]
async fn a_gemini_answers_a_plain_call_and_its_own_count_is_the_bill() {
    let gw = gateway().await;
    gw.mock.script("flash", vec![Step::text("Grüße from Gemini")]);
    let mut ask = question("google");
    ask["messages"] = json!([{ "role": "system", "content": "be brief" }, { "role": "user", "content": "say hello" }]);
    let reply = gw.chat(&ask).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "Grüße from Gemini"));
    assert_eq!(reply.header("x-headgate-model"), "google/flash");
    let upstream = &gw.mock.requests("flash")[0];
    assert_eq!(upstream.path, "/v1beta/models/flash:generateContent");
    assert_eq!((upstream.header("x-goog-api-key"), upstream.header("authorization")), (Some("test-google-key"), None));
    let sent: Value = serde_json::from_str(&upstream.body).unwrap();
    assert_eq!(sent["systemInstruction"], json!({ "parts": [{ "text": "be brief" }] }));
    assert_eq!(sent["contents"], json!([{ "role": "user", "parts": [{ "text": "say hello" }] }]));
    assert_eq!(sent["generationConfig"], json!({ "maxOutputTokens": 1000 }));
    let counts = gw.mock.model_counts("flash");
    assert_eq!(reply.json()["usage"]["completion_tokens"], counts.output_tokens);
    assert_eq!(gw.finished(1).await["cost_nano"], counts.input_tokens * 1_000 + counts.output_tokens * 10_000);
}

#[tokio::test]
async fn a_gemini_stream_becomes_chunks_with_the_end_it_lacks() {
    let gw = gateway().await;
    gw.mock.script("flash", vec![Step::text("Grüße from Gemini")]);
    let mut ask = streamed("google");
    ask["stream_options"] = json!({ "include_usage": true });
    let (frames, chunks) = chunks(&gw, &ask).await;
    assert_eq!(frames.last().map(String::as_str), Some("data: [DONE]"));
    assert_eq!(said(&chunks), "Grüße from Gemini");
    let [.., finish, usage] = chunks.as_slice() else { panic!("too few chunks: {chunks:?}") };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(usage["usage"]["completion_tokens"], gw.mock.model_counts("flash").output_tokens);
    assert_eq!(gw.mock.requests("flash")[0].path, "/v1beta/models/flash:streamGenerateContent");
    assert_eq!(gw.finished(1).await["outcome"], "ok");
}

#[tokio::test]
async fn a_gemini_stream_that_ends_without_a_finish_is_no_whole_answer() {
    let gw = gateway().await;
    gw.mock
        .script("flash", vec![Step { fault: Some(Fault::CleanEnd { after: 2 }), ..Step::text("one two three four") }]);
    let mut wire = Wire::chat(&gw, &streamed("google"), &[]).await;
    assert_eq!(wire.head().await.status, 200);
    let body = wire.rest().await;
    assert!(!body.whole, "the connection is aborted");
    assert!(body.frames().iter().any(|frame| frame.starts_with("event: error")), "{:?}", body.frames());
    assert_eq!(gw.finished(1).await["outcome"], "error");
}

#[tokio::test]
async fn calls_of_a_gemini_come_with_ids_and_their_results_find_their_way_back() {
    let gw = gateway().await;
    let call =
        |city: &str| ToolCall { name: "weather".into(), arguments: json!({ "city": city }), ..ToolCall::default() };
    gw.mock.script("flash", vec![Step { tool_calls: vec![call("Oslo"), call("Rome")], ..Step::default() }]);
    let reply = gw.chat(&with_weather(question("google"))).await.json();
    let (_, streamed_chunks) = chunks(&gw, &with_weather(streamed("google"))).await;

    let message = &reply["choices"][0]["message"];
    assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls");
    let ids: Vec<&str> = (0..2).map(|at| message["tool_calls"][at]["id"].as_str().expect("an id")).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(message["tool_calls"][1]["function"]["arguments"], r#"{"city":"Rome"}"#);
    let starts: Vec<&Value> = streamed_chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0])
        .filter(|call| call["id"].is_string())
        .collect();
    assert_eq!(starts.iter().map(|call| &call["index"]).collect::<Vec<_>>(), [0, 1]);
    assert!(starts.iter().all(|call| !ids.contains(&call["id"].as_str().unwrap())), "ids differ from turn to turn");

    gw.mock.script("flash", vec![Step::text("cold, warm")]);
    let mut next = with_weather(question("google"));
    let result = |id: &str, text: &str| json!({ "role": "tool", "tool_call_id": id, "content": text });
    next["messages"] =
        json!([{ "role": "user", "content": "weather?" }, message, result(ids[0], "cold"), result(ids[1], "warm")]);
    assert_eq!(gw.chat(&next).await.text(), "cold, warm");
    let sent: Value = serde_json::from_str(&gw.mock.requests("flash")[2].body).unwrap();
    let responses = &sent["contents"][2]["parts"];
    let response =
        |at: usize| (&responses[at]["functionResponse"]["name"], &responses[at]["functionResponse"]["response"]);
    assert_eq!(response(0), (&json!("weather"), &json!({ "output": "cold" })));
    assert_eq!(response(1), (&json!("weather"), &json!({ "output": "warm" })));
    assert_eq!(sent["tools"][0]["functionDeclarations"][0]["parameters"].get("additionalProperties"), None);
}

#[tokio::test]
async fn a_gemini_that_is_out_of_quota_is_left_alone_for_as_long_as_it_says() {
    let gw = gateway().await;
    let busy = StatusFault { status: 429, retry_after: Some(RetryAfter::Seconds(30)), ..StatusFault::default() };
    gw.mock.script("flash", vec![Step::fault(Fault::Status(busy)), Step::text("rested")]);
    for (body, attempts) in [(question("google"), "2"), (streamed("google"), "1"), (question("google"), "1")] {
        let reply = Reply::of(gw.request(&body).send().await.unwrap()).await;
        assert_eq!((reply.status, reply.header("x-headgate-model")), (200, "openai/first"));
        assert_eq!(reply.header("x-headgate-attempts"), attempts);
    }
    assert_eq!(gw.mock.model_counts("flash").calls, 1);
    assert_eq!(gw.finished(1).await["attempts"][0]["status"], 429);
}

#[tokio::test]
async fn a_key_that_google_refuses_with_a_400_is_the_operators_to_mend() {
    let gw = gateway().await;
    let error = ErrorWords {
        code: Some("API_KEY_INVALID".into()),
        message: Some("API key not valid. Please pass a valid API key.".into()),
        ..ErrorWords::default()
    };
    gw.mock.script(
        "flash",
        vec![Step::fault(Fault::Status(StatusFault { status: 400, error, ..StatusFault::default() }))],
    );
    let reply = gw.ask("google").await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_auth"));
    assert_eq!(gw.mock.model_counts("flash").calls, 1);
}

#[tokio::test]
async fn a_safety_stop_of_a_gemini_reaches_the_client_and_no_other_model() {
    let gw = gateway().await;
    gw.mock.script("flash", vec![Step { finish: Some(Finish::ContentFilter), ..Step::text("the way") }]);
    let reply = gw.ask("google").await;
    assert_eq!((reply.status, &reply.json()["choices"][0]["finish_reason"]), (200, &json!("content_filter")));
    assert_eq!(gw.mock.model_counts("first").calls, 0);
}

#[tokio::test]
async fn a_gemini_that_stops_before_it_began_is_replaced() {
    let gw = gateway().await;
    gw.mock.script(
        "flash",
        vec![Step::fault(Fault::EmptyStream), Step { fault: Some(Fault::CleanEnd { after: 0 }), ..Step::text("x") }],
    );
    for _ in 0..2 {
        let (_, chunks) = chunks(&gw, &streamed("google")).await;
        assert!(!said(&chunks).is_empty());
    }
    assert_eq!(gw.mock.model_counts("first").calls, 2);
}

#[tokio::test]
async fn a_mistral_is_sent_only_what_it_knows() {
    let gw = gateway().await;
    gw.mock.script("small", vec![Step::text("bonjour")]);
    let mut ask = with_weather(streamed("mistral"));
    ask["seed"] = json!(7);
    ask["tool_choice"] = json!("required");
    ask["logit_bias"] = json!({ "50256": -100 });
    ask["max_completion_tokens"] = json!(50);
    ask["stream_options"] = json!({ "include_usage": true });
    let mut wire = Wire::chat(&gw, &ask, &[]).await;
    let head = wire.head().await;
    assert_eq!((head.status, head.header("x-headgate-dropped")), (200, "logit_bias"));
    assert_eq!(said(&data(&wire.rest().await.frames())), "bonjour");
    let sent: Value = serde_json::from_str(&gw.mock.requests("small")[0].body).unwrap();
    let mut fields: Vec<&str> = sent.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["max_tokens", "messages", "model", "random_seed", "stream", "tool_choice", "tools"]);
    assert_eq!((&sent["max_tokens"], &sent["tool_choice"]), (&json!(50), &json!("any")));
}

#[tokio::test]
async fn an_azure_gets_its_key_in_its_own_header_and_its_version_in_the_query() {
    let mock = mock().await;
    let mut config = crate::support::config(&mock);
    config["providers"]["openai"]["base_url"] = json!(format!("http://{}/openai/deployments/first", mock.addr()));
    config["providers"]["openai"]["api_key"] = json!("file:azure.key");
    config["providers"]["openai"]["key_header"] = json!("api-key");
    config["providers"]["openai"]["api_version"] = json!("2024-10-21");
    let folder = TempDir::new().expect("a temporary folder");
    let files = [("azure.key", "test-azure-key")];
    let gw = TestGateway::start_in(mock, folder, &config, &files).await.expect("the gateway starts");
    assert_eq!(gw.ask("single").await.status, 200);
    let upstream = &gw.mock.requests("first")[0];
    assert_eq!(upstream.path, "/openai/deployments/first/chat/completions");
    assert_eq!(upstream.query, "api-version=2024-10-21");
    assert_eq!((upstream.header("api-key"), upstream.header("authorization")), (Some("test-azure-key"), None));
}

#[tokio::test]
async fn a_text_cut_between_the_halves_of_a_character_loses_that_character_alone() {
    let upstream = MockServer::start().await;
    let body = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"length",
        "message":{"role":"assistant","content":"Grüße \ud83d\ude00 \ud83d"}}],"usage":{"prompt_tokens":1,"completion_tokens":9}}"#;
    let answer = ResponseTemplate::new(200).set_body_raw(body, "application/json");
    Mock::given(any()).respond_with(answer).mount(&upstream).await;
    let gw = TestGateway::with(|config| config["providers"]["openai"]["base_url"] = upstream.uri().into()).await;

    let passed = gw.ask("single").await;
    assert_eq!(passed.body, body.as_bytes(), "what is passed on keeps its bytes");

    let ask = json!({ "model": "single", "max_tokens": 99, "messages": [{ "role": "user", "content": "hi" }] });
    let call = gw.client.post(gw.url("/v1/messages")).bearer_auth(KEY).header("content-type", "application/json");
    let translated = Reply::of(call.body(ask.to_string()).send().await.unwrap()).await.json();
    assert_eq!(translated["content"][0]["text"], "Grüße 😀 \u{FFFD}", "{translated}");
    assert_eq!(translated["stop_reason"], "max_tokens");
}
