//! `jwt`: which issuers are sound, and what is said of those that are not.

use std::time::Duration;

use insta::assert_snapshot;

use super::{KINDS, SMALL, complaint, env, read_with, sound};
use crate::config::{IssuerKeys, load};

const KEYS: &str = "keys: [{ name: page, user_from: jwt }, { name: web, sha256: \
    abababababababababababababababababababababababababababababababab }]\n";

fn with(jwt: &str) -> String {
    format!("{SMALL}{KEYS}jwt:\n{jwt}")
}

#[test]
fn an_issuer_has_defaults_for_everything_that_is_not_its_own() {
    let text = with("  - { issuer: i, audience: a, jwks: \"https://login.example/keys?p=1\", key: page }\n");
    let config = sound(&text);
    let issuer = &config.issuers[0];
    assert!(matches!(&issuer.keys, IssuerKeys::Url(url) if url == "https://login.example/keys?p=1"));
    let algorithms: Vec<_> = issuer.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
    assert_eq!(algorithms, ["RS256", "ES256"]);
    assert_eq!((issuer.leeway, issuer.max_age), (Duration::from_secs(30), None));
    assert_eq!((issuer.user_claim.as_str(), issuer.team_claim.as_deref()), ("sub", None));
    assert!(issuer.allow.is_empty());
    let printed = config.effective_yaml();
    assert_eq!(sound(&printed).effective_yaml(), printed);
}

#[test]
fn a_secret_is_for_hs256_and_is_never_printed() {
    let text = with("  - { issuer: i, audience: a, secret: \"${SIGN}\", key: page }\n");
    let secret = "a-secret-of-thirty-two-bytes-or-more";
    let config = read_with(&text, &[("SIGN", secret)]).expect("sound");
    assert_eq!(config.issuers[0].algorithms[0].as_str(), "HS256");
    let printed = format!("{config:?}{}", config.effective_yaml());
    assert!(!printed.contains(secret) && printed.contains("secret: '***'"), "{printed}");
}

#[test]
fn a_key_file_is_read_and_watched() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, jwks) = (folder.path().join("config.yaml"), folder.path().join("jwks.json"));
    std::fs::write(&file, with("  - { issuer: i, audience: a, jwks: \"file:jwks.json\", key: page }\n"))
        .expect("written");
    let refused = |text: &str| {
        std::fs::write(&jwks, text).expect("written");
        load(&file, &env(&[]), KINDS).expect_err("no key").to_string()
    };
    assert!(refused("<html>").contains("is no JWK Set"));
    assert!(
        refused(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#).contains("holds no key for RS256 (RSA) or ES256 (P-256)")
    );
    std::fs::write(&jwks, r#"{"keys":[{"kty":"RSA","n":"sXch","e":"AQAB"}]}"#).expect("written");
    let config = load(&file, &env(&[]), KINDS).expect("sound");
    assert_eq!(config.files(), [file, jwks]);
}

#[test]
fn issuers_are_checked_one_by_one() {
    assert_snapshot!(complaint(&with("  - { issuer: i, jwks: \"https://login.example/keys\", key: web }
  - { issuer: i, audience: a, key: pag }
  - { issuer: i, audience: a, jwks: \"http://login.example/keys\", key: page, allow: [login.example] }
  - { issuer: i, audience: a, jwks: \"https://login.example/keys\", secret: \"${NO_SUCH}\", key: page }
  - { issuer: i, audience: a, jwks: \"https://login.example/keys\", algorithms: [HS256, none], key: page }
  - { issuer: i, audience: a, secret: \"${NO_SUCH}\", key: page, leeway: 1h }
  - { issuer: i, audience: a, jwks: login.example, key: page }
")), @r#"
    config.yaml:8:5: jwt[0].audience: is missing; write what its tokens for this gateway have as aud
    config.yaml:8:59: jwt[0].key: "web" is for a key of its own; name an entry with user_from: jwt and without sha256
    config.yaml:9:5: jwt[1].jwks: is missing; write the https:// URL or file:PATH of its public keys, or secret: "${NAME}" for HS256
    config.yaml:9:36: jwt[1].key: no entry of keys is named "pag"; did you mean "page"?
    config.yaml:10:37: jwt[2].jwks: keys over http:// could be anybody's; use https://, or list host:port under allow
    config.yaml:10:85: jwt[2].allow[0]: must be host:port, such as login.internal:443
    config.yaml:11:75: jwt[3].secret: stands beside jwks; tokens are signed with the one or the other, so remove one
    config.yaml:12:79: jwt[4].algorithms: HS256 does not go with these keys: RS256 and ES256 take jwks, HS256 takes secret
    config.yaml:12:87: jwt[4].algorithms[1]: "none" is unknown here; write HS256 or RS256 or ES256
    config.yaml:13:39: jwt[5].secret: the secret is not known; set the variable or write the file
    config.yaml:13:72: jwt[5].leeway: must be 5m at most
    config.yaml:14:37: jwt[6].jwks: must be an https:// URL without credentials and fragment, or file:PATH
    12 problems in the config
    "#);
}

#[test]
fn two_issuers_never_share_tokens_or_users() {
    assert_snapshot!(complaint(&with("  - { issuer: i, audience: a, jwks: \"https://login.example/keys\", key: page }
  - { issuer: i, audience: a, jwks: \"https://login.example/keys\", key: page }
")), @r#"
    config.yaml:9:5: jwt[1]: an earlier entry takes the same tokens; keep one of them
    config.yaml:9:5: jwt[1]: an earlier entry lets its users in with the same key; give each issuer an entry of keys
    2 problems in the config
    "#);
}

#[test]
fn an_entry_for_tokens_has_an_issuer_and_no_key_of_its_own() {
    assert_snapshot!(complaint(&format!("{SMALL}keys:
  - {{ name: page, user_from: jwt }}
  - {{ name: both, user_from: jwt, sha256: {} }}
", "ab".repeat(32))), @r#"
    config.yaml:7:3: keys: "page" takes its users from tokens, and no entry of jwt names it
    config.yaml:7:3: keys: "both" takes its users from tokens, and no entry of jwt names it
    config.yaml:8:43: keys[1].sha256: user_from: jwt lets tokens in and no key; remove sha256, or give the key an entry of its own
    3 problems in the config
    "#);
}

#[test]
fn a_secret_that_can_be_guessed_is_refused() {
    let text = with("  - { issuer: i, audience: a, secret: \"${SIGN}\", key: page }\n");
    let problems = read_with(&text, &[("SIGN", "hunter2")]).expect_err("too short").to_string();
    assert!(problems.contains("is shorter than 32 bytes") && !problems.contains("hunter2"), "{problems}");
}
