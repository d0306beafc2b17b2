//! The right to make one call to a target.

use std::time::{Duration, Instant};

use crate::domain::ids::KeyId;

use super::board::Probe;
use super::health::BreakerRule;
use super::view::Targets;

/// Dropped without a verdict it is neutral, and a probe's place is free again: a cancelled call must not keep it taken
/// for ever.
#[derive(Debug)]
pub struct Permit {
    targets: Targets,
    target: String,
    probe: bool,
    /// None where there is no choice.
    key: Option<KeyId>,
    key_place: usize,
    key_probe: bool,
}

impl Permit {
    pub(super) fn new(targets: &Targets, target: &str, keys: &[KeyId], key_place: usize, probe: bool) -> Self {
        let key = keys.get(key_place).copied();
        Permit { targets: targets.clone(), target: target.to_owned(), probe, key, key_place, key_probe: false }
    }

    pub(super) fn with_key_probe(mut self, key_probe: bool) -> Self {
        self.key_probe = key_probe;
        self
    }

    /// Makes sure, right before the call, that a half-open breaker's probe is the only one of all replicas. Every other
    /// permit is good as it is, without a store call; a store that does not answer has no say.
    /// Errors: until when the breaker is open again; none where another replica is finding out.
    pub async fn confirmed(mut self) -> Result<Self, Option<Instant>> {
        let Some(board) = self.targets.shared.board.as_ref().filter(|_| self.is_half_open()) else { return Ok(self) };
        let answer = board.probe(&self.target).await;
        let now = Instant::now();
        let targets = self.targets.clone();
        let mut book = targets.lock();
        let Some(health) = book.targets.get_mut(&self.target) else { return Ok(self) };
        match answer {
            Ok(Probe::Taken) => Err(None),
            Ok(Probe::Open(left)) => {
                health.open(now + left);
                Err(Some(now + left))
            }
            // The others have not heard yet that it was opened here.
            Ok(Probe::Closed) if health.breaker_is_news() => Err(None),
            Ok(Probe::Closed) => {
                health.close();
                health.probing = false;
                self.probe = false;
                Ok(self)
            }
            // Without an answer it may be taken for us all the same, and is given back in any case.
            Ok(Probe::Yours) | Err(_) => {
                book.leases.insert(self.target.clone());
                Ok(self)
            }
        }
    }

    fn is_half_open(&self) -> bool {
        self.probe && self.targets.lock().targets.get(&self.target).is_some_and(|health| health.is_open())
    }

    /// Place of the key to use in the list that the permit was asked with; 0 where there was no choice.
    pub fn key_place(&self) -> usize {
        self.key_place
    }

    /// The key to use; none where there was no choice.
    pub fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// The target answered. `output_tokens` in `took` feed the measured speed.
    pub fn succeeded(self, output_tokens: u64, took: Duration) {
        let mut book = self.targets.lock();
        let key_healed = self.key.is_some_and(|key| book.keys.heal(key));
        let health = book.targets.entry(self.target.clone()).or_default();
        let healed = health.succeeded();
        let seconds = took.as_secs_f64();
        if output_tokens >= 16 && seconds > 0.0 {
            let speed = output_tokens as f64 / seconds;
            health.tokens_per_second = Some(health.tokens_per_second.map_or(speed, |old| old * 0.8 + speed * 0.2));
        }
        if healed || key_healed {
            self.targets.tell_soon();
        }
    }

    /// The target failed by its own fault.
    pub fn failed(self, rule: BreakerRule, now: Instant) {
        let mut book = self.targets.lock();
        if book.targets.entry(self.target.clone()).or_default().failed(rule, self.probe, now) {
            self.targets.tell_soon();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        let mut book = self.targets.lock();
        if let Some(health) = book.targets.get_mut(&self.target) {
            health.probing = false;
        }
        if let Some(key) = self.key.filter(|_| self.key_probe) {
            book.keys.probe(key, false);
        }
        if book.leases.remove(&self.target) {
            book.given_back.insert(self.target.clone());
            self.targets.tell_soon();
        }
    }
}
