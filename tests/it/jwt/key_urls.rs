//! Key sets that are fetched.

use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::signer::Signer;
use super::{AUDIENCE, ISSUER, chat, claims, started};
use crate::support::TestGateway;

const PATH: &str = "/.well-known/jwks.json";

async fn publish(server: &MockServer, signers: &[&Signer]) {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    answer(server, ResponseTemplate::new(200).set_body_json(json!({ "keys": keys }))).await;
}

async fn answer(server: &MockServer, answer: ResponseTemplate) {
    server.reset().await;
    Mock::given(path(PATH)).respond_with(answer).mount(server).await;
}

async fn fetches(server: &MockServer) -> usize {
    server.received_requests().await.expect("recorded").len()
}

/// A gateway that fetches its keys from `server`, which it may reach.
async fn gateway(server: &MockServer) -> TestGateway {
    let (url, host) = (format!("{}{PATH}", server.uri()), server.address().to_string());
    started(&[], |config| {
        config["jwt"] =
            json!([{ "issuer": ISSUER, "audience": AUDIENCE, "jwks": url, "allow": [host], "key": "page" }]);
    })
    .await
}

#[tokio::test]
async fn a_set_is_fetched_once_for_many_calls() {
    let (server, signer) = (MockServer::start().await, Signer::ec("e"));
    publish(&server, &[&signer]).await;
    let gw = gateway(&server).await;
    assert_eq!(fetches(&server).await, 0, "nobody has shown a token yet");
    let token = signer.token(&claims("alice"));
    let replies = futures_util::future::join_all((0..8).map(|_| chat(&gw, &token))).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(fetches(&server).await, 1);
}

#[tokio::test]
async fn a_key_that_the_issuer_has_changed_to_is_fetched_at_once_and_unknown_ones_rarely() {
    let (server, old, new) = (MockServer::start().await, Signer::ec("old"), Signer::ec("new"));
    publish(&server, &[&old]).await;
    let gw = gateway(&server).await;
    assert_eq!(chat(&gw, &old.token(&claims("alice"))).await.status, 200);

    publish(&server, &[&new]).await;
    assert_eq!(chat(&gw, &new.token(&claims("alice"))).await.status, 200);
    assert_eq!(chat(&gw, &old.token(&claims("alice"))).await.status, 401, "it was withdrawn");
    assert_eq!(fetches(&server).await, 1, "since the change");

    let strangers = Signer::ec("unknown");
    let token = strangers.token(&claims("alice"));
    let replies = futures_util::future::join_all((0..20).map(|_| chat(&gw, &token))).await;
    assert!(replies.iter().all(|reply| reply.status == 401));
    assert_eq!(fetches(&server).await, 1, "once a minute at most");
    assert_eq!(chat(&gw, &new.token(&claims("alice"))).await.status, 200);
}

#[tokio::test]
async fn the_last_good_set_serves_while_its_server_is_down_or_answers_nonsense() {
    for nonsense in [
        ResponseTemplate::new(500),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_json(json!({ "keys": [] })),
        ResponseTemplate::new(200).set_body_bytes(vec![b' '; (1 << 20) + 1]),
        ResponseTemplate::new(302).insert_header("location", PATH),
    ] {
        let (server, signer, unknown) = (MockServer::start().await, Signer::ec("e"), Signer::ec("u"));
        publish(&server, &[&signer]).await;
        let gw = gateway(&server).await;
        assert_eq!(chat(&gw, &signer.token(&claims("alice"))).await.status, 200);
        answer(&server, nonsense).await;
        assert_eq!(chat(&gw, &unknown.token(&claims("alice"))).await.status, 401);
        assert_eq!(fetches(&server).await, 1, "the unknown key was asked for");
        assert_eq!(chat(&gw, &signer.token(&claims("alice"))).await.status, 200);
    }
}

#[tokio::test]
async fn a_private_address_that_config_does_not_list_is_never_asked() {
    let server = MockServer::start().await;
    let signer = Signer::ec("e");
    publish(&server, &[&signer]).await;
    let port = server.address().port();
    for url in [format!("https://127.0.0.1:{port}{PATH}"), format!("https://localhost:{port}{PATH}")] {
        let gw = started(&[], |config| {
            config["jwt"] = json!([{
                "issuer": ISSUER, "audience": AUDIENCE, "jwks": url, "key": "page",
                "allow": [format!("127.0.0.1:{}", port ^ 1)],
            }]);
        })
        .await;
        assert_eq!(chat(&gw, &signer.token(&claims("alice"))).await.status, 401, "{url}");
    }
    assert_eq!(fetches(&server).await, 0);
}
