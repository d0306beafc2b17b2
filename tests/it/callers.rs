//! Who may call, for whom, from where, and what nobody may ever read.

mod browsers;
mod keys;
mod secrets;
mod subjects;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Reply, TestGateway, question, sha256_hex};

/// Sends `headers` and no others; a body goes along with POST.
async fn call(gw: &TestGateway, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Reply {
    let named: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a header value"))
        })
        .collect();
    let request: RequestBuilder = gw.client.request(method.clone(), gw.url(path)).headers(named);
    let request = if method == Method::POST { request.body(question("single").to_string()) } else { request };
    Reply::of(request.send().await.expect("an answer")).await
}

/// A chat call with `key`, and `user` in x-user-id unless empty.
async fn chat_as(gw: &TestGateway, key: &str, user: &str) -> Reply {
    let key = format!("Bearer {key}");
    let headers = [("authorization", key.as_str()), ("x-user-id", user)];
    call(gw, Method::POST, "/v1/chat/completions", if user.is_empty() { &headers[..1] } else { &headers }).await
}

/// An entry of `keys:` for the key `KEY-OF-name`.
fn entry(name: &str, more: Value) -> Value {
    let mut entry = json!({ "name": name, "sha256": sha256_hex(&format!("KEY-OF-{name}")) });
    for (field, value) in more.as_object().expect("an object") {
        entry[field] = value.clone();
    }
    entry
}
