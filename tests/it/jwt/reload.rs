//! Keys and issuers change while calls go on.

use serde_json::{Value, json};

use super::signer::Signer;
use super::{chat, claims, gateway};
use crate::support::{PATIENCE, TestGateway, told_when};

async fn answered_when(gw: &TestGateway, token: &str, status: u16) {
    let answered = async || chat(gw, token).await.status;
    told_when(&format!("a {status}"), PATIENCE, answered, |answered| *answered == status).await;
}

#[tokio::test]
async fn an_edit_of_the_key_file_is_live() {
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let gw = gateway(&[&old], |_| {}).await;
    assert_eq!(chat(&gw, &old.token(&claims("alice"))).await.status, 200);
    assert_eq!(chat(&gw, &new.token(&claims("alice"))).await.status, 401);
    std::fs::write(gw.folder.path().join("jwks.json"), json!({ "keys": [new.jwk()] }).to_string()).unwrap();
    answered_when(&gw, &new.token(&claims("alice")), 200).await;
    assert_eq!(chat(&gw, &old.token(&claims("alice"))).await.status, 401);
}

#[tokio::test]
async fn an_issuer_that_is_struck_out_is_unknown() {
    let signer = Signer::ec("e");
    let gw = gateway(&[&signer], |_| {}).await;
    assert_eq!(chat(&gw, &signer.token(&claims("alice"))).await.status, 200);
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(gw.config_path()).unwrap()).unwrap();
    config["jwt"] = json!([]);
    config["keys"].as_array_mut().unwrap().pop();
    std::fs::write(gw.config_path(), config.to_string()).unwrap();
    answered_when(&gw, &signer.token(&claims("alice")), 401).await;
    assert_eq!(gw.ask("single").await.status, 200);
}
