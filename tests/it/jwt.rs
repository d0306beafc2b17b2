//! Callers that show a signed token instead of a key, as a web page does.

mod algorithms;
mod browsers;
mod key_urls;
mod refusals;
mod reload;
mod signer;
mod subjects;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{KEY, Reply, TestGateway, config, mock, question, sha256_hex};
use signer::{Signer, now};

const CHAT: &str = "/v1/chat/completions";
const ISSUER: &str = "https://login.example/";
const AUDIENCE: &str = "headgate";
const PAGE: &str = "https://app.example";

/// A gateway that takes tokens of [`ISSUER`] for [`AUDIENCE`], whose key set is the file `jwks.json`, and the usual key.
async fn gateway(signers: &[&Signer], edit: impl FnOnce(&mut Value)) -> TestGateway {
    let jwks = json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() });
    started(&[("jwks.json", &jwks.to_string())], |config| {
        config["jwt"] = json!([{ "issuer": ISSUER, "audience": AUDIENCE, "jwks": "file:jwks.json", "key": "page" }]);
        edit(config);
    })
    .await
}

async fn started(files: &[(&str, &str)], edit: impl FnOnce(&mut Value)) -> TestGateway {
    let mock = mock().await;
    let mut config = config(&mock);
    // In a folder of its own: what the database writes must not be what makes an edit noticed.
    config["store"] = json!("sqlite:db/headgate.db");
    config["keys"] = json!([
        { "name": "web", "sha256": sha256_hex(KEY), "team": "product", "user_from": "header" },
        { "name": "page", "user_from": "jwt", "team": "visitors", "cors": [PAGE] },
    ]);
    edit(&mut config);
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("db")).expect("a writable folder");
    TestGateway::start_in(mock, folder, &config, files).await.expect("the gateway starts")
}

/// What a good token of `user` claims.
fn claims(user: &str) -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": user, "iat": now(), "exp": now() + 600 })
}

/// The same, with `more` over it; a null takes a claim away.
fn claims_with(more: Value) -> Value {
    let mut claims = claims("alice");
    let claims_map = claims.as_object_mut().expect("an object");
    for (name, value) in more.as_object().expect("an object") {
        if value.is_null() {
            claims_map.remove(name);
        } else {
            claims_map.insert(name.clone(), value.clone());
        }
    }
    claims
}

/// A chat call with `token` as an SDK sends a key.
async fn chat(gw: &TestGateway, token: &str) -> Reply {
    let request = gw.client.post(gw.url(CHAT)).bearer_auth(token).body(question("single").to_string());
    Reply::of(request.send().await.expect("an answer")).await
}
