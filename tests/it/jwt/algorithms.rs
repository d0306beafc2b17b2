//! Tokens that are taken.

use serde_json::{Value, json};

use super::signer::{Signer, now};
use super::{AUDIENCE, ISSUER, chat, claims, claims_with, gateway, started};
use crate::support::TestGateway;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn limit_per_user() -> Value {
    json!([{ "scope": "user", "usd": 5, "per": "day" }])
}

/// Those who have spent something.
async fn users(gw: &TestGateway) -> Vec<String> {
    let usage = gw.usage().await;
    let rows = usage["limits"].as_array().expect("a list").iter();
    let spent = rows.filter(|row| row["scope"] == "user" && row["settled_nano"] != 0);
    let mut users: Vec<_> = spent.map(|row| row["id"].as_str().expect("a name").to_owned()).collect();
    users.sort();
    users
}

#[tokio::test]
async fn a_token_signed_with_a_key_of_the_set_speaks_for_its_user() {
    let (rsa, ec) = (Signer::rsa("r"), Signer::ec("e"));
    let gw = gateway(&[&rsa, &ec], |config| config["limits"] = limit_per_user()).await;
    for (n, (signer, user)) in [(&rsa, "alice"), (&ec, "bob")].into_iter().enumerate() {
        let reply = chat(&gw, &signer.token(&claims(user))).await;
        assert_eq!(reply.status, 200, "{}: {}", signer.algorithm(), String::from_utf8_lossy(&reply.body));
        let line = gw.finished(n + 1).await;
        assert_eq!((&line["key"], &line["team"]), (&json!("page"), &json!("visitors")));
    }
    assert_eq!(users(&gw).await, ["alice", "bob"]);
    assert_eq!(gw.ask("single").await.status, 200, "keys go on as before");
}

#[tokio::test]
async fn a_token_signed_with_the_shared_secret_speaks_for_its_user() {
    let gw = started(&[("jwt.secret", SECRET)], |config| {
        config["limits"] = limit_per_user();
        config["jwt"] = json!([{ "issuer": ISSUER, "audience": AUDIENCE, "secret": "file:jwt.secret", "key": "page" }]);
    })
    .await;
    assert_eq!(chat(&gw, &Signer::secret(SECRET).token(&claims("alice"))).await.status, 200);
    gw.finished(1).await;
    assert_eq!(users(&gw).await, ["alice"]);
    for other in ["", "another secret that is long enough too"] {
        assert_eq!(chat(&gw, &Signer::secret(other).token(&claims("alice"))).await.status, 401, "{other:?}");
    }
    // A secret is for HS256 alone, whatever a token claims.
    let forged = Signer::rsa("r").token(&claims("alice"));
    assert_eq!(chat(&gw, &forged).await.status, 401);
}

#[tokio::test]
async fn a_token_may_come_wherever_a_key_may_and_in_every_lawful_form() {
    let signer = Signer::ec("e");
    let gw = gateway(&[&signer], |_| {}).await;
    let token = signer.token(&claims("alice"));
    for name in ["x-api-key", "api-key"] {
        let request = gw.client.get(gw.url("/v1/models")).header(name, &token);
        assert_eq!(request.send().await.expect("an answer").status(), 200, "{name}");
    }
    for lawful in [
        // A set with one key needs no name for it.
        signer.token_under(&json!({ "alg": "ES256" }), &claims("alice")),
        signer.token_under(&json!({ "alg": "ES256", "typ": "at+jwt", "kid": "e", "x": [1] }), &claims("alice")),
        signer.token(&claims_with(json!({ "aud": ["other", AUDIENCE] }))),
        signer.token(&claims_with(json!({ "sub": 7 }))),
        signer.token(&claims_with(json!({ "sub": "zo\u{eb}@app.example", "exp": now() as f64 + 60.5 }))),
        // Clocks may be 30 s apart.
        signer.token(&claims_with(json!({ "exp": now() - 5 }))),
        signer.token(&claims_with(json!({ "nbf": now() + 5 }))),
    ] {
        assert_eq!(chat(&gw, &lawful).await.status, 200, "{lawful}");
    }
}
