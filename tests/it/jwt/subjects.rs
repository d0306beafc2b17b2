//! On whose account a token's call goes.

use serde_json::{Value, json};

use super::signer::Signer;
use super::{CHAT, chat, claims, claims_with, gateway};
use crate::support::{KEY, Reply, TestGateway, question};

fn hit(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["error"]["limit"]["id"].as_str().unwrap_or_default().to_owned())
}

async fn limited(signer: &Signer, limits: Value) -> TestGateway {
    gateway(&[signer], |config| {
        config["limits"] = limits;
        config["jwt"][0]["team_claim"] = json!("team");
    })
    .await
}

#[tokio::test]
async fn each_user_of_a_page_has_limits_of_its_own() {
    let signer = Signer::ec("e");
    let gw = limited(&signer, json!([{ "scope": "user", "requests": 2, "per": "1h" }])).await;
    for (user, outcome) in [
        ("alice", (200, String::new())),
        ("alice", (200, String::new())),
        ("alice", (429, "alice".to_owned())),
        ("bob", (200, String::new())),
    ] {
        assert_eq!(hit(&chat(&gw, &signer.token(&claims(user))).await), outcome, "{user}");
    }
    // What a page says about itself beside its token is nobody's concern.
    let request = gw.client.post(gw.url(CHAT)).bearer_auth(signer.token(&claims("alice"))).header("x-user-id", "carol");
    let reply = Reply::of(request.body(question("single").to_string()).send().await.unwrap()).await;
    assert_eq!(hit(&reply), (429, "alice".to_owned()));
}

#[tokio::test]
async fn a_key_that_speaks_for_its_users_goes_on_as_before() {
    let signer = Signer::ec("e");
    let gw = limited(&signer, json!([{ "scope": "user", "requests": 1, "per": "1h" }])).await;
    for (user, status) in [("carol", 200), ("carol", 429), ("dave", 200)] {
        let request = gw.client.post(gw.url(CHAT)).bearer_auth(KEY).header("x-user-id", user);
        let reply = request.body(question("single").to_string()).send().await.unwrap();
        assert_eq!(reply.status(), status, "{user}");
    }
}

#[tokio::test]
async fn a_token_may_name_its_team_and_has_the_keys_otherwise() {
    let signer = Signer::ec("e");
    let gw = limited(&signer, json!([{ "scope": "team", "requests": 1, "per": "1h" }])).await;
    for (team, outcome) in [
        (json!("red"), (200, String::new())),
        (json!("red"), (429, "red".to_owned())),
        (json!(null), (200, String::new())),
        (json!(null), (429, "visitors".to_owned())),
        (json!(["red"]), (401, String::new())),
    ] {
        let token = signer.token(&claims_with(json!({ "team": team })));
        assert_eq!(hit(&chat(&gw, &token).await), outcome, "{team}");
    }
}

#[tokio::test]
async fn users_of_one_page_do_not_see_each_others_runs() {
    let signer = Signer::ec("e");
    let gw = gateway(&[&signer], |_| {}).await;
    let (alice, bob) = (signer.token(&claims("alice")), signer.token(&claims("bob")));
    let keyed = async |token: &str| {
        let request = gw.client.post(gw.url(CHAT)).bearer_auth(token).header("idempotency-key", "1");
        Reply::of(request.body(question("single").to_string()).send().await.unwrap()).await
    };
    let run = keyed(&alice).await.header("x-headgate-run").to_owned();
    gw.finished(1).await;
    let receipt = async |token: &str| {
        let request = gw.client.get(gw.url(&format!("/v1/requests/{run}"))).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((receipt(&alice).await, receipt(&bob).await), (200, 404));
    assert_eq!(keyed(&alice).await.header("x-headgate-run"), run, "the same request again");
    assert_ne!(keyed(&bob).await.header("x-headgate-run"), run);
}

#[tokio::test]
async fn users_of_one_page_do_not_read_each_others_stored_responses() {
    let signer = Signer::ec("e");
    let gw = gateway(&[&signer], |_| {}).await;
    let (alice, bob) = (signer.token(&claims("alice")), signer.token(&claims("bob")));
    let ask = async |token: &str, body: Value| {
        let request = gw.client.post(gw.url("/v1/responses")).bearer_auth(token).body(body.to_string());
        Reply::of(request.send().await.unwrap()).await
    };
    let first = ask(&alice, json!({ "model": "single", "input": "hi" })).await;
    let id = first.json()["id"].as_str().expect("an id").to_owned();
    let read = async |token: &str| {
        let request = gw.client.get(gw.url(&format!("/v1/responses/{id}"))).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((read(&alice).await, read(&bob).await), (200, 404));
    let next = json!({ "model": "single", "input": "go on", "previous_response_id": id });
    assert_eq!(ask(&alice, next.clone()).await.status, 200);
    assert_eq!(ask(&bob, next).await.code(), "invalid_request", "as for an id that nobody has");
}
