//! Tokens that callers show instead of a key: JSON Web Tokens (RFC 7519) of the issuers that config names.

mod remote;
mod verify;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::DecodingKey;

use crate::config::{Issuer, IssuerKeys, Key};
use crate::domain::caller::Caller;
use crate::domain::jwks::Algorithm;
use crate::egress::guarded::{Guarded, GuardedError};

use remote::RemoteKeys;
use verify::Shown;

/// Longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 8 << 10;

/// Between two log lines about refused tokens: anyone can send as many as they like.
const QUIET: Duration = Duration::from_secs(10);

/// What is remembered between requests and over reloads: fetched key sets. One per process.
pub struct Tokens {
    /// Built for the first fetch; most gateways need none.
    client: LazyLock<Result<Guarded, GuardedError>>,
    by_url: Mutex<HashMap<String, Arc<RemoteKeys>>>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    last: Option<Instant>,
    /// Refusals since then.
    untold: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Tokens { client: LazyLock::new(Guarded::new), by_url: Mutex::default(), told: Mutex::default() }
    }
}

/// Whether `text` has a token's shape: three dot-separated parts of base64url, of which the last, the signature, may
/// be missing.
pub fn is_token(text: &str) -> bool {
    let base64url = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let mut parts = text.split('.');
    let three = [parts.next(), parts.next(), parts.next()];
    parts.next().is_none()
        && matches!(three, [Some(header), Some(claims), Some(signature)]
            if !header.is_empty() && !claims.is_empty() && [header, claims, signature].into_iter().all(base64url))
}

impl Tokens {
    /// Whom `token` speaks for, and the entry of `keys` that its issuer lets in. It may wait for a fetch of keys.
    ///
    /// None when it is not to be believed. Why is told to the log and not to the caller, and never with the token.
    pub async fn caller(&self, token: &str, issuers: &[Arc<Issuer>]) -> Option<(Caller, Arc<Key>)> {
        match self.check(token, issuers).await {
            Ok(known) => Some(known),
            Err(why) => {
                self.tell(&why);
                None
            }
        }
    }

    async fn check(&self, token: &str, issuers: &[Arc<Issuer>]) -> Result<(Caller, Arc<Key>), String> {
        if token.len() > LONGEST_TOKEN {
            return Err(format!("it is longer than {LONGEST_TOKEN} bytes"));
        }
        let shown = Shown::read(token)?;
        let issuer = shown.issuer(issuers)?;
        let at = |why: String| format!("{why} (issuer {})", issuer.issuer);
        let algorithm = shown.algorithm(issuer).map_err(at)?;
        let key = self.key(issuer, shown.kid(), algorithm).await;
        let key = key.ok_or_else(|| at(format!("no {} key of this name is known", algorithm.as_str())))?;
        let caller = verify::caller(token, issuer, algorithm, &key).map_err(at)?;
        Ok((caller, Arc::clone(&issuer.key)))
    }

    async fn key(&self, issuer: &Issuer, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let url = match &issuer.keys {
            IssuerKeys::Secret(keys) | IssuerKeys::File { keys, .. } => return keys.find(kid, algorithm).cloned(),
            IssuerKeys::Url(url) => url,
        };
        let client = match &*self.client {
            Ok(client) => client.clone(),
            Err(error) => {
                tracing::error!(%error, "no key set can be fetched");
                return None;
            }
        };
        self.remote(url, &issuer.allow, client).find(kid, algorithm).await
    }

    /// The keys behind `url`. An edit of what it may reach makes new ones: no fetch may go by an older permission.
    fn remote(&self, url: &str, allow: &[String], client: Guarded) -> Arc<RemoteKeys> {
        let mut by_url = self.by_url.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_url.get(url).filter(|known| known.may_reach(allow)) {
            return Arc::clone(known);
        }
        let remote = Arc::new(RemoteKeys::new(url, allow, client));
        by_url.insert(url.to_owned(), Arc::clone(&remote));
        remote
    }

    fn tell(&self, why: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.last.is_some_and(|last| last.elapsed() < QUIET) {
            told.untold += 1;
            return;
        }
        tracing::warn!(untold = told.untold, "a token was refused: {why}");
        *told = Told { last: Some(Instant::now()), untold: 0 };
    }
}

#[cfg(test)]
mod tests;
