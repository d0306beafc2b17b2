//! What a path answers beside its own calls: other methods, `HEAD`, `OPTIONS` of someone who is no browser.

use reqwest::Method;

use crate::support::{KEY, Reply, TestGateway};

async fn call(gw: &TestGateway, method: Method, path: &str) -> Reply {
    Reply::of(gw.client.request(method, gw.url(path)).bearer_auth(KEY).send().await.expect("an answer")).await
}

#[tokio::test]
async fn another_method_is_a_405_that_lists_the_methods_of_the_path() {
    let gw = TestGateway::start().await;
    for (method, path, allow) in [
        (Method::GET, "/v1/chat/completions", "POST, OPTIONS"),
        (Method::PUT, "/v1/embeddings", "POST, OPTIONS"),
        (Method::DELETE, "/v1/messages", "POST, OPTIONS"),
        (Method::GET, "/api/chat", "POST, OPTIONS"),
        (Method::POST, "/api/chat/c/stream", "GET, OPTIONS"),
        (Method::HEAD, "/api/chat/c/stream", "GET, OPTIONS"),
        (Method::PATCH, "/v1/models", "GET, HEAD, OPTIONS"),
        (Method::TRACE, "/v1/requests/1", "GET, HEAD, OPTIONS"),
        (Method::OPTIONS, "/healthz", "GET, HEAD"),
    ] {
        let reply = call(&gw, method.clone(), path).await;
        assert_eq!((reply.status, reply.header("allow")), (405, allow), "{method} {path}");
        assert!(reply.body.is_empty() == (method == Method::HEAD), "{method} {path}");
    }
    let reply = call(&gw, Method::GET, "/v1/chat/completions").await;
    assert!(reply.message().contains("it answers POST, OPTIONS"), "{}", reply.message());
}

#[tokio::test]
async fn options_from_no_browser_tell_the_methods_of_the_path_and_open_nothing() {
    let gw = TestGateway::start().await;
    let reply = call(&gw, Method::OPTIONS, "/v1/messages").await;
    assert_eq!((reply.status, reply.header("allow"), reply.body.len()), (204, "POST, OPTIONS", 0));
    assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{:?}", reply.headers);
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let gw = TestGateway::start().await;
    for path in ["/v1/models", "/healthz", "/readyz", "/v1/requests/unknown"] {
        let (get, head) = (call(&gw, Method::GET, path).await, call(&gw, Method::HEAD, path).await);
        assert_eq!((head.status, head.header("content-type")), (get.status, get.header("content-type")), "{path}");
        assert!(!get.body.is_empty() && head.body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_names_its_request_like_every_other() {
    let gw = TestGateway::start().await;
    for (method, path) in [(Method::GET, "/api/chat/c/stream"), (Method::POST, "/api/chat/c/stop")] {
        let reply = call(&gw, method, path).await;
        assert_eq!((reply.status, reply.header("cache-control")), (204, "no-store"), "{path}");
        assert!(reply.header("x-request-id").starts_with("req_"), "{path}");
    }
}

#[tokio::test]
async fn the_description_of_the_listener_needs_no_key() {
    let gw = TestGateway::start().await;
    let reply = Reply::of(gw.client.get(gw.url("/openapi.json")).send().await.expect("an answer")).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    assert_eq!(reply.header("cache-control"), "no-store");
    let document = reply.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/chat/completions"]["post"].is_object());
}
