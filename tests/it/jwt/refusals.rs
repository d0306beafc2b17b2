//! Tokens that are not taken: one answer for all of them, and the reason in the log.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::signer::{Signer, base64url, now, unsigned};
use super::{AUDIENCE, ISSUER, chat, claims, claims_with, gateway};
use crate::process::Serving;
use crate::support::{Reply, TestGateway, config, mock, question};

fn refusal(reply: &Reply) -> (u16, Value) {
    (reply.status, reply.json())
}

async fn assert_refused(gw: &TestGateway, cases: Vec<(&str, String)>) {
    // As to a key that is unknown.
    let unknown = refusal(&chat(gw, "unknown-key").await);
    assert_eq!((unknown.0, &unknown.1["error"]["code"]), (401, &json!("invalid_api_key")));
    for (what, token) in cases {
        assert_eq!(refusal(&chat(gw, &token).await), unknown, "{what}: {token}");
    }
    assert_eq!(gw.mock.counts().calls, 0);
}

#[tokio::test]
async fn claims_that_are_missing_wrong_or_out_of_date_open_nothing() {
    let signer = Signer::ec("e");
    let gw = gateway(&[&signer], |_| {}).await;
    let cases = [
        ("expired", json!({ "exp": now() - 60 })),
        ("no exp", json!({ "exp": null })),
        ("exp as text", json!({ "exp": "2099-01-01" })),
        ("negative exp", json!({ "exp": -1 })),
        ("not yet", json!({ "nbf": now() + 60 })),
        ("nbf as text", json!({ "nbf": "now" })),
        ("for another", json!({ "aud": "other" })),
        ("for others", json!({ "aud": ["other", "headgate.evil"] })),
        ("for nobody", json!({ "aud": null })),
        ("for an object", json!({ "aud": { "headgate": true } })),
        ("of another", json!({ "iss": "https://evil.example/" })),
        ("almost of ours", json!({ "iss": "https://login.example" })),
        ("of several", json!({ "iss": [ISSUER, "https://evil.example/"] })),
        ("of nobody", json!({ "iss": null })),
        ("about nobody", json!({ "sub": null })),
        ("about an empty name", json!({ "sub": "" })),
        ("about a blank", json!({ "sub": " alice" })),
        ("about two lines", json!({ "sub": "alice\nbob" })),
        ("about a list", json!({ "sub": ["alice"] })),
        ("about a fraction", json!({ "sub": 1.5 })),
        ("about a long name", json!({ "sub": "u".repeat(257) })),
    ];
    let cases = cases.into_iter().map(|(what, more)| (what, signer.token(&claims_with(more)))).collect();
    assert_refused(&gw, cases).await;
}

#[tokio::test]
async fn a_signature_that_is_missing_foreign_or_of_another_kind_opens_nothing() {
    let (rsa, ec, stranger) = (Signer::rsa("r"), Signer::ec("e"), Signer::ec("e"));
    let gw = gateway(&[&rsa, &ec], |_| {}).await;
    let good = claims("alice");
    let parts = |token: String| -> Vec<String> { token.split('.').map(str::to_owned).collect() };
    let (genuine, other) = (parts(ec.token(&good)), parts(ec.token(&claims("mallory"))));
    let (none, rs256) = (json!({ "alg": "none" }), json!({ "alg": "RS256", "kid": "r" }));
    let flipped = format!("{}{}", if genuine[2].starts_with('A') { 'B' } else { 'A' }, &genuine[2][1..]);
    let mut cases = vec![
        ("no signature", format!("{}.{}.", genuine[0], genuine[1])),
        ("alg none", format!("{}.", unsigned(&none, &good))),
        ("alg None", format!("{}.", unsigned(&json!({ "alg": "None" }), &good))),
        ("alg none with a signature", format!("{}.{}", unsigned(&none, &good), genuine[2])),
        ("no alg", ec.token_under(&json!({ "kid": "e" }), &good)),
        ("claims of another token", format!("{}.{}.{}", genuine[0], other[1], genuine[2])),
        ("another signature", format!("{}.{}.{flipped}", genuine[0], genuine[1])),
        ("signed by a stranger", stranger.token(&good)),
        ("a stranger's key in the header", {
            let header = json!({ "alg": "ES256", "jwk": stranger.jwk(), "jku": "https://evil.example/jwks.json" });
            stranger.token_under(&header, &good)
        }),
        ("an unknown key", ec.token_under(&json!({ "alg": "ES256", "kid": "x" }), &good)),
        ("the key of another algorithm", ec.token_under(&json!({ "alg": "ES256", "kid": "r" }), &good)),
        ("another algorithm's name", ec.token_under(&rs256, &good)),
        ("an algorithm that nobody has", rsa.token_under(&json!({ "alg": "RS512", "kid": "r" }), &good)),
        (
            "an extension that nobody knows",
            ec.token_under(&json!({ "alg": "ES256", "kid": "e", "crit": ["b64"] }), &good),
        ),
        ("no claims", format!("{}.{}.{}", genuine[0], base64url(b"[]"), genuine[2])),
        ("no JSON", "a.b.c".to_owned()),
        ("a huge token", ec.token(&claims_with(json!({ "more": "x".repeat(9_000) })))),
    ];
    for public in rsa.public_bytes() {
        for kid in ["r", "e", "x"] {
            let header = json!({ "alg": "HS256", "kid": kid });
            cases.push(("the public key as secret", Signer::secret(&public).token_under(&header, &good)));
        }
    }
    assert_refused(&gw, cases).await;
    assert_eq!(chat(&gw, &genuine.join(".")).await.status, 200, "the cases differ from a good token in one thing each");
}

#[tokio::test]
async fn only_the_algorithms_that_config_lists_are_taken() {
    let (rsa, ec) = (Signer::rsa("r"), Signer::ec("e"));
    let gw = gateway(&[&rsa, &ec], |config| config["jwt"][0]["algorithms"] = json!(["ES256"])).await;
    assert_refused(&gw, vec![("RS256", rsa.token(&claims("alice")))]).await;
    assert_eq!(chat(&gw, &ec.token(&claims("alice"))).await.status, 200);
}

#[tokio::test]
async fn max_age_ends_a_token_before_its_exp_does() {
    let signer = Signer::ec("e");
    let gw = gateway(&[&signer], |config| {
        config["jwt"][0]["max_age"] = json!("1m");
        config["jwt"][0]["leeway"] = json!("1s");
    })
    .await;
    let of_age = |iat: Value| signer.token(&claims_with(json!({ "iat": iat })));
    let cases = vec![
        ("too old", of_age(json!(now() - 70))),
        ("of the future", of_age(json!(now() + 70))),
        ("of no age", of_age(json!(null))),
        ("of an age in words", of_age(json!("young"))),
    ];
    assert_refused(&gw, cases).await;
    assert_eq!(chat(&gw, &of_age(json!(now() - 30))).await.status, 200);
}

#[tokio::test]
async fn the_log_tells_why_once_in_a_while_and_never_the_token() {
    let (signer, folder, mock) = (Signer::ec("e"), TempDir::new().unwrap(), mock().await);
    let mut config = config(&mock);
    config["keys"] = json!([{ "name": "page", "user_from": "jwt" }]);
    config["jwt"] = json!([{ "issuer": ISSUER, "audience": AUDIENCE, "jwks": "file:jwks.json", "key": "page" }]);
    std::fs::write(folder.path().join("config.yaml"), config.to_string()).unwrap();
    std::fs::write(folder.path().join("jwks.json"), json!({ "keys": [signer.jwk()] }).to_string()).unwrap();
    let serving = Serving::start(folder.path(), &[]).await;
    let token = signer.token(&claims_with(json!({ "exp": now() - 60 })));
    for _ in 0..20 {
        let request = reqwest::Client::new().post(format!("http://{}/v1/chat/completions", serving.client));
        let reply = request.bearer_auth(&token).body(question("single").to_string()).send().await.unwrap();
        assert_eq!(reply.status(), 401);
    }
    let (stdout, stderr, _) = serving.stop();
    let told = stderr.lines().filter(|line| line.contains("it has expired")).count();
    assert!((1..=5).contains(&told), "{stderr}");
    for part in token.split('.') {
        assert!(!stderr.contains(part) && !stdout.contains(part), "{stderr}");
    }
}
