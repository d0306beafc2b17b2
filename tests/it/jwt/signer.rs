//! Makes keys and signs tokens by hand: the gateway's own library must not be what it is tested with.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub struct Signer {
    kid: &'static str,
    key: Key,
}

enum Key {
    Rsa(&'static RsaKeyPair),
    Ec(EcdsaKeyPair),
    Secret(Vec<u8>),
}

/// Making one takes long, so all tests share it.
static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"));

impl Signer {
    pub fn rsa(kid: &'static str) -> Self {
        Signer { kid, key: Key::Rsa(&RSA) }
    }

    /// A new key each time.
    pub fn ec(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Signer { kid, key: Key::Ec(pair) }
    }

    pub fn secret(secret: impl AsRef<[u8]>) -> Self {
        Signer { kid: "none", key: Key::Secret(secret.as_ref().to_vec()) }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Rsa(_) => "RS256",
            Key::Ec(_) => "ES256",
            Key::Secret(_) => "HS256",
        }
    }

    /// The public key, as a set holds it.
    pub fn jwk(&self) -> Value {
        match &self.key {
            Key::Rsa(pair) => {
                let public = RsaPublicKeyComponents::from(pair.public_key());
                json!({ "kty": "RSA", "kid": self.kid, "n": base64url(&public.n), "e": base64url(&public.e) })
            }
            Key::Ec(pair) => {
                // 0x04, then both coordinates.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "kid": self.kid, "x": base64url(x), "y": base64url(y) })
            }
            Key::Secret(_) => panic!("a secret is in no set"),
        }
    }

    /// The public key in the forms that someone may take for a secret.
    pub fn public_bytes(&self) -> Vec<Vec<u8>> {
        let Key::Rsa(pair) = &self.key else { panic!("for RSA keys") };
        let public = RsaPublicKeyComponents::from(pair.public_key());
        let der = pair.public_key().as_der().expect("a public key").as_ref().to_vec();
        let text = base64url(&public.n).into_bytes();
        vec![pair.public_key().as_ref().to_vec(), der, public.n, text, self.jwk().to_string().into_bytes()]
    }

    pub fn token(&self, claims: &Value) -> String {
        self.token_under(&json!({ "alg": self.algorithm(), "typ": "JWT", "kid": self.kid }), claims)
    }

    /// With a header that may lie.
    pub fn token_under(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        format!("{signed}.{}", base64url(&self.sign(signed.as_bytes())))
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).expect("signed");
                signature
            }
            Key::Ec(pair) => pair.sign(&random, bytes).expect("signed").as_ref().to_vec(),
            Key::Secret(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), bytes).as_ref().to_vec(),
        }
    }
}

/// Header and claims, with the dot between them.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()))
}

pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}
