//! Keys that check signatures of JSON Web Tokens: a JWK Set (RFC 7517) or a shared secret.

use std::fmt;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;

/// How a token may be signed. A new one is a variant, its words and the kind of key that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Hs256,
    Rs256,
    Es256,
}

impl Algorithm {
    pub const ALL: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256];

    /// Its name in tokens, key sets and config.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
        }
    }

    pub fn in_crate(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        }
    }

    /// None for every algorithm that is not spoken here.
    pub fn from_crate(algorithm: jsonwebtoken::Algorithm) -> Option<Self> {
        Algorithm::ALL.into_iter().find(|known| known.in_crate() == algorithm)
    }
}

/// A key and the one algorithm that it is for: a public key can't be taken for a secret, whatever a token claims.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// The keys of one issuer.
#[derive(Clone)]
pub struct KeySet(Vec<VerifyingKey>);

/// Keys in a set at most; real ones have two or three.
const MOST_KEYS: usize = 100;

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Of a JWK Set's text. Keys of other kinds, curves, algorithms and uses are passed over, as RFC 7517 wants; shared
    /// secrets as well, because a set is public.
    ///
    /// Errors: in words, when it is no set or holds no key that can be used.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(text)
            .map_err(|_| "is no JWK Set; it must be JSON of the form {\"keys\": [{\"kty\": …}]}".to_owned())?;
        if document.keys.len() > MOST_KEYS {
            return Err(format!("holds {} keys; {MOST_KEYS} are the most", document.keys.len()));
        }
        let keys: Vec<VerifyingKey> = document.keys.into_iter().filter_map(verifying_key).collect();
        if keys.is_empty() {
            return Err("holds no key for RS256 (RSA) or ES256 (P-256)".to_owned());
        }
        Ok(KeySet(keys))
    }

    /// One secret that issuer and gateway share, for HS256.
    pub fn shared(secret: &str) -> Self {
        let key = DecodingKey::from_secret(secret.as_bytes());
        KeySet(vec![VerifyingKey { kid: None, algorithm: Algorithm::Hs256, key }])
    }

    /// The key that a token with this header was signed with. A token that names no key is taken where one alone fits;
    /// a key without a name fits every name.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let fits = |key: &&VerifyingKey| key.algorithm == algorithm;
        let Some(kid) = kid else {
            let mut fitting = self.0.iter().filter(fits);
            let only = fitting.next()?;
            return fitting.next().is_none().then_some(&only.key);
        };
        let named = self.0.iter().filter(fits).find(|key| key.kid.as_deref() == Some(kid));
        let nameless = || self.0.iter().filter(fits).find(|key| key.kid.is_none());
        named.or_else(nameless).map(|key| &key.key)
    }

    pub fn serves(&self, algorithm: Algorithm) -> bool {
        self.0.iter().any(|key| key.algorithm == algorithm)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({} keys)", self.0.len())
    }
}

fn verifying_key(value: Value) -> Option<VerifyingKey> {
    let named = value.get("alg").map(|alg| alg.as_str().unwrap_or_default().to_owned());
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::Rs256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::Es256,
        _ => return None,
    };
    let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let for_algorithm = named.is_none_or(|named| named == algorithm.as_str());
    if !for_signatures || !for_algorithm {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(VerifyingKey { kid: jwk.common.key_id, algorithm, key })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(more: Value) -> Value {
        with(json!({ "kty": "RSA", "n": "sXch", "e": "AQAB" }), more)
    }

    fn ec(more: Value) -> Value {
        with(json!({ "kty": "EC", "crv": "P-256", "x": "f83O", "y": "x_FE" }), more)
    }

    fn with(mut key: Value, more: Value) -> Value {
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    }

    fn set(keys: &[Value]) -> Result<KeySet, String> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn a_key_is_found_by_its_name_and_kind() {
        let set = set(&[rsa(json!({ "kid": "a" })), ec(json!({ "kid": "b", "use": "sig", "alg": "ES256" }))]).unwrap();
        assert!(set.find(Some("a"), Algorithm::Rs256).is_some());
        assert!(set.find(Some("b"), Algorithm::Es256).is_some());
        assert!(set.find(None, Algorithm::Rs256).is_some(), "one alone fits");
        for (kid, algorithm) in [
            (Some("a"), Algorithm::Es256),
            (Some("a"), Algorithm::Hs256),
            (Some("c"), Algorithm::Rs256),
            (None, Algorithm::Hs256),
        ] {
            assert!(set.find(kid, algorithm).is_none(), "{kid:?} {algorithm:?}");
        }
    }

    #[test]
    fn a_token_that_names_no_key_is_not_tried_on_several() {
        let set = set(&[rsa(json!({ "kid": "a" })), rsa(json!({ "kid": "b" }))]).unwrap();
        assert!(set.find(None, Algorithm::Rs256).is_none());
    }

    #[test]
    fn keys_for_something_else_are_passed_over() {
        for other in [
            rsa(json!({ "use": "enc" })),
            rsa(json!({ "alg": "RS512" })),
            rsa(json!({ "alg": "RSA-OAEP" })),
            rsa(json!({ "alg": 7 })),
            ec(json!({ "crv": "P-384" })),
            ec(json!({ "crv": "secp256k1" })),
            json!({ "kty": "oct", "k": "c2VjcmV0" }),
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "abc" }),
            json!({ "kty": "RSA", "n": "not base64!", "e": "AQAB" }),
            json!({}),
            json!("key"),
        ] {
            assert!(set(std::slice::from_ref(&other)).is_err(), "{other}");
            assert!(set(&[other, ec(json!({}))]).unwrap().serves(Algorithm::Es256));
        }
        for text in ["", "{}", "[]", "{\"keys\":{}}", "<html>"] {
            assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
