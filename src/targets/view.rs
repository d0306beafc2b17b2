//! This process's view of all targets, and how it is put together with those of the other replicas.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use crate::domain::ids::KeyId;
use crate::store::{Backend, Store, StoreError};
use crate::sync::{Mutex, MutexGuard, locked};

use super::board::{News, Standing, Subject};
use super::budget::{RetryBudget, RetryRule};
use super::health::{BreakerState, Health};
use super::keys::Keys;
use super::permit::Permit;
use super::redis::RedisBoard;

#[derive(Debug, Default)]
pub(super) struct Book {
    pub targets: HashMap<String, Health>,
    pub keys: Keys,
    /// Targets that this process probes for the whole fleet.
    pub leases: BTreeSet<String>,
    /// Probes that are over; the others are not told yet.
    pub given_back: BTreeSet<String>,
}

/// Shared by all threads of the process.
#[derive(Clone, Default)]
pub struct Targets {
    pub(super) shared: Arc<Shared>,
}

#[derive(Default)]
pub(super) struct Shared {
    book: Mutex<Book>,
    /// None where this process is alone.
    pub board: Option<RedisBoard>,
    news: Notify,
    retries: Mutex<RetryBudget>,
}

impl Targets {
    pub fn new(store: &Store) -> Self {
        let board = match store.backend() {
            Backend::Redis(redis) => Some(RedisBoard::new(redis.clone())),
            Backend::Sqlite(_) | Backend::SqliteFile(_) => None,
        };
        Targets { shared: Arc::new(Shared { board, ..Shared::default() }) }
    }

    /// A permit with the first of `keys` that works, or the moment at which asking again makes sense. `keys` is empty
    /// where there is no choice. Before the call it must be [`Permit::confirmed`].
    pub fn permit(&self, target: &str, keys: &[KeyId], now: Instant) -> Result<Permit, Instant> {
        let mut book = self.lock();
        let key_place = book.keys.first_free(keys, now)?;
        let probe = book.targets.get_mut(target).map_or(Ok(false), |health| health.admit(now))?;
        Ok(Permit::new(self, target, keys, key_place, probe))
    }

    /// A permit for a run that has nobody else to ask: a rest is our guess at when somebody will have healed the
    /// target, and a guess must not refuse every call of a tier. One at a time in each process; cool-downs and breakers
    /// still hold.
    pub fn last_resort(&self, target: &str, keys: &[KeyId], now: Instant) -> Option<Permit> {
        let mut book = self.lock();
        let (key_place, key_probe) = match book.keys.first_free(keys, now) {
            Ok(place) => (place, false),
            Err(_) => (book.keys.resting(keys, now)?, true),
        };
        let health = match key_probe {
            true => book.targets.entry(target.to_owned()).or_default(),
            false => book.targets.get_mut(target)?,
        };
        if !health.admit_last_resort(now) {
            return None;
        }
        if let Some(key) = keys.get(key_place).filter(|_| key_probe) {
            book.keys.probe(*key, true);
        }
        Some(Permit::new(self, target, keys, key_place, true).with_key_probe(key_probe))
    }

    /// Nobody calls `target` before `until`.
    pub fn cool(&self, target: &str, until: Instant) {
        self.lock().targets.entry(target.to_owned()).or_default().pause.cool(until);
        self.tell_soon();
    }

    /// `target` answers nobody until it is healed. Calls go to other targets before `until`, or until one succeeds.
    pub fn rest(&self, target: &str, until: Instant) {
        self.lock().targets.entry(target.to_owned()).or_default().pause.rest(until);
        self.tell_soon();
    }

    /// Nobody uses the key before `until`.
    pub fn cool_key(&self, key: KeyId, until: Instant) {
        self.lock().keys.pause(key).cool(until);
        self.tell_soon();
    }

    /// The key works for nobody until its account is healed: others are used before `until`, or until one call with it
    /// succeeds.
    pub fn rest_key(&self, key: KeyId, until: Instant) {
        self.lock().keys.pause(key).rest(until);
        self.tell_soon();
    }

    /// Whether one of several `keys` may be used now.
    pub fn has_free_key(&self, keys: &[KeyId], now: Instant) -> bool {
        self.lock().keys.first_free(keys, now).is_ok()
    }

    /// Expected seconds for `output_tokens` from `target`; none before anything was measured.
    pub fn expected_seconds(&self, target: &str, output_tokens: u64) -> Option<f64> {
        let speed = self.lock().targets.get(target)?.tokens_per_second?;
        Some(output_tokens as f64 / speed)
    }

    pub fn states(&self, now: Instant) -> Vec<(String, BreakerState)> {
        let book = self.lock();
        let mut states: Vec<_> = book.targets.iter().map(|(name, health)| (name.clone(), health.state(now))).collect();
        states.sort_by(|a, b| a.0.cmp(&b.0));
        states
    }

    /// A run begins: its part of the calls that retries and fallbacks may be.
    pub fn count_run(&self, rule: RetryRule, now: Instant) {
        let replicas = self.replicas();
        locked(&self.shared.retries).count_run(rule, replicas, now);
    }

    /// Takes one call for a retry or a fallback; false = the fleet makes enough of them.
    pub fn may_call_again(&self, rule: RetryRule, now: Instant) -> bool {
        let replicas = self.replicas();
        locked(&self.shared.retries).take(rule, replicas, now)
    }

    /// Living processes on this store, as far as this one has heard.
    pub fn replicas(&self) -> u32 {
        self.shared.board.as_ref().map_or(1, RedisBoard::replicas)
    }

    /// Ends when this process has something to tell the others that should not wait for the next second.
    pub async fn has_news(&self) {
        self.shared.news.notified().await;
    }

    /// Tells the other replicas what happened here and learns what happened there. To be called about once a second,
    /// and on [`Targets::has_news`], by one task. One round trip; none where this process is alone.
    /// Errors: the store did not answer; what was to be told is kept for the next time.
    pub async fn exchange(&self) -> Result<(), StoreError> {
        let Some(board) = &self.shared.board else { return Ok(()) };
        let (news, leases, given_back) = {
            let mut book = self.lock();
            let news = book.take_news(Instant::now());
            (news, book.leases.clone(), std::mem::take(&mut book.given_back))
        };
        let answer = board.exchange(&news, &leases, &given_back).await;
        let mut book = self.lock();
        match answer {
            Ok(known) => {
                let now = Instant::now();
                for (subject, standing) in known {
                    book.learn(&subject, &standing, now);
                }
                Ok(())
            }
            Err(error) => {
                news.into_iter().for_each(|(subject, news)| book.keep(subject, &news));
                book.given_back.extend(given_back);
                Err(error)
            }
        }
    }

    pub(super) fn tell_soon(&self) {
        self.shared.news.notify_one();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Book> {
        locked(&self.shared.book)
    }
}

impl std::fmt::Debug for Targets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Targets").field("book", &self.shared.book).finish_non_exhaustive()
    }
}

impl Book {
    /// What happened since it was last told, by subject.
    fn take_news(&mut self, now: Instant) -> Vec<(Subject, News)> {
        let targets =
            self.targets.iter_mut().map(|(name, health)| (Subject::Target(name.clone()), health.take_news(now)));
        let keys = self.keys.take_news(now).into_iter().map(|(key, news)| (Subject::Key(key), news));
        targets.chain(keys).filter(|(_, news)| !news.is_empty()).collect()
    }

    /// Takes news back that could not be told.
    fn keep(&mut self, subject: Subject, news: &News) {
        match subject {
            Subject::Target(name) => self.targets.entry(name).or_default().keep(news),
            Subject::Key(key) => self.keys.pause(key).keep(news),
        }
    }

    /// Takes over what the fleet knows, except where something newer has happened here.
    fn learn(&mut self, subject: &Subject, standing: &Standing, now: Instant) {
        match subject {
            Subject::Target(name) => self.targets.entry(name.clone()).or_default().learn(standing, now),
            Subject::Key(key) => self.keys.pause(*key).learn(standing, now),
        }
    }
}
