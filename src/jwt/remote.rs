//! A key set that an issuer publishes: fetched when it is first needed, anew in the background from time to time, and
//! at once for a key that it did not hold, because issuers change keys whenever they like.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::DecodingKey;

use crate::domain::jwks::{Algorithm, KeySet};
use crate::egress::guarded::{Bounds, Guarded};

/// How long one fetch may take. A caller may be waiting for it.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 1 << 20;

#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// A set is fetched anew when it is this old and used.
    refresh: Duration,
    /// Between two fetches for the sake of tokens with an unknown key, which anyone can send, and after a refresh that
    /// failed.
    unknown: Duration,
    /// Between two fetches while there is no set at all.
    none: Duration,
}

const PACE: Pace =
    Pace { refresh: Duration::from_secs(600), unknown: Duration::from_secs(60), none: Duration::from_secs(5) };

pub(super) struct RemoteKeys {
    url: String,
    allow: Vec<String>,
    client: Guarded,
    pace: Pace,
    /// The last good set, however long its URL has been down.
    known: ArcSwapOption<KeySet>,
    /// When the next refresh may begin.
    refresh_at: Mutex<Instant>,
    /// One fetch for waiting callers at a time. Holds when the last one began that can't have been in vain.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

impl RemoteKeys {
    pub(super) fn new(url: &str, allow: &[String], client: Guarded) -> Self {
        RemoteKeys {
            url: url.to_owned(),
            allow: allow.to_vec(),
            client,
            pace: PACE,
            known: ArcSwapOption::empty(),
            refresh_at: Mutex::new(Instant::now()),
            asked: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn may_reach(&self, allow: &[String]) -> bool {
        self.allow == allow
    }

    /// The key of that name; waits for a fetch when there is none yet.
    pub(super) async fn find(self: &Arc<Self>, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        if let Some(key) = self.held(kid, algorithm) {
            self.refresh_when_due();
            return Some(key);
        }
        let mut asked = self.asked.lock().await;
        // Somebody else's fetch may have brought it while we waited.
        if let Some(key) = self.held(kid, algorithm) {
            return Some(key);
        }
        let first = self.known.load().is_none();
        let pause = if first { self.pace.none } else { self.pace.unknown };
        if asked.is_some_and(|last| last.elapsed() < pause) {
            return None;
        }
        // Before the fetch, because this future may be dropped in the middle of it.
        *asked = Some(Instant::now());
        if self.fetch().await && first {
            // The set was asked for, not a key that it lacks: keys that change right after it must not wait.
            *asked = None;
        }
        self.held(kid, algorithm)
    }

    fn held(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        self.known.load().as_ref()?.find(kid, algorithm).cloned()
    }

    /// Nobody waits for this one: the set in hand serves meanwhile.
    fn refresh_when_due(self: &Arc<Self>) {
        {
            let mut refresh_at = self.refresh_at.lock().unwrap_or_else(PoisonError::into_inner);
            if Instant::now() < *refresh_at {
                return;
            }
            *refresh_at = Instant::now() + self.pace.unknown;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move { this.fetch().await });
    }

    /// True when there is a new set. What went wrong is in the log.
    async fn fetch(&self) -> bool {
        let bounds = Bounds { allow: &self.allow, timeout: TIMEOUT, max_bytes: MAX_BYTES };
        let keys = match self.client.get(&self.url, bounds).await {
            Err(error) => Err(error.to_string()),
            Ok(answer) if answer.status != 200 => Err(format!("it answered {}", answer.status)),
            Ok(answer) => KeySet::parse(&answer.body).map_err(|why| format!("what it answered {why}")),
        };
        let fetched = keys.map(|keys| {
            self.known.store(Some(Arc::new(keys)));
            *self.refresh_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + self.pace.refresh;
        });
        if let Err(why) = &fetched {
            let kept = if self.known.load().is_some() { "the last good keys stay" } else { "its tokens are refused" };
            let url = self.url.split('?').next().unwrap_or_default();
            tracing::warn!("keys of {url} can't be fetched, {kept}: {why}");
        }
        fetched.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wiremock::matchers::any;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    /// A set whose one key has this name. Nobody signs with it.
    fn set(kid: &str) -> Value {
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": kid, "x": "f83O", "y": "x_FE" }] })
    }

    async fn publish(server: &MockServer, answer: ResponseTemplate) {
        server.reset().await;
        Mock::given(any()).respond_with(answer).mount(server).await;
    }

    fn remote(server: &MockServer, pace: Pace) -> Arc<RemoteKeys> {
        let client = Guarded::new().expect("a client");
        Arc::new(RemoteKeys { pace, ..RemoteKeys::new(&server.uri(), &[server.address().to_string()], client) })
    }

    async fn has(remote: &Arc<RemoteKeys>, kid: &str) -> bool {
        remote.find(Some(kid), Algorithm::Es256).await.is_some()
    }

    const NEVER: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_set_in_use_is_fetched_anew_in_the_background() {
        let server = MockServer::start().await;
        publish(&server, ResponseTemplate::new(200).set_body_json(set("old"))).await;
        let remote = remote(&server, Pace { refresh: Duration::ZERO, unknown: NEVER, none: NEVER });
        assert!(has(&remote, "old").await);
        publish(&server, ResponseTemplate::new(200).set_body_json(set("new"))).await;
        let by = Instant::now() + Duration::from_secs(20);
        // The old key is asked for throughout, so it is not its absence that has the set fetched.
        while has(&remote, "old").await {
            assert!(Instant::now() < by, "the old set still serves");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(remote.held(Some("new"), Algorithm::Es256).is_some());
    }

    #[tokio::test]
    async fn without_any_set_a_fetch_that_failed_is_tried_again_soon_but_not_at_once() {
        let server = MockServer::start().await;
        publish(&server, ResponseTemplate::new(500)).await;
        let patient = remote(&server, Pace { refresh: NEVER, unknown: NEVER, none: NEVER });
        assert!(!has(&patient, "a").await && !has(&patient, "a").await);
        assert_eq!(server.received_requests().await.expect("recorded").len(), 1);
        let eager = remote(&server, Pace { refresh: NEVER, unknown: NEVER, none: Duration::ZERO });
        assert!(!has(&eager, "a").await);
        publish(&server, ResponseTemplate::new(200).set_body_json(set("a"))).await;
        assert!(has(&eager, "a").await);
    }
}
