//! Health of targets inside this process: circuit breakers, cool-downs and measured speed.
//!
//! A 429 cools its target until it is due and is neutral to the breaker; errors in a row open it; after `open` one
//! probe is let through. A target without credit or with a refused key rests: calls go elsewhere, and where there is
//! nobody else, one at a time may find out whether it works again. Where its provider has several keys, the key cools
//! or rests, for all targets of that provider, and the target is out only while no key is left. A caller's own 4xx
//! never counts.

mod keys;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::ids::KeyId;

use keys::Keys;

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerRule {
    /// Failures in a row.
    pub errors: u32,
    pub open: Duration,
}

/// State of one breaker as dashboards show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    HalfOpen,
    Open,
}

/// One target's.
#[derive(Debug, Default)]
struct Health {
    failures_in_a_row: u32,
    open_until: Option<Instant>,
    probing: bool,
    cool_until: Option<Instant>,
    rest_until: Option<Instant>,
    /// Moving average of output tokens per second.
    tokens_per_second: Option<f64>,
}

impl Health {
    /// Whether a call may be made, and if so whether it is the probe of a half-open breaker.
    fn admit(&mut self, now: Instant) -> Result<bool, Instant> {
        if let Some(until) = self.cool_until.max(self.rest_until).filter(|until| now < *until) {
            return Err(until);
        }
        let Some(until) = self.open_until else { return Ok(false) };
        if now < until {
            return Err(until);
        }
        if self.probing {
            return Err(now + Duration::from_secs(1));
        }
        self.probing = true;
        Ok(true)
    }
}

#[derive(Debug, Default)]
struct Book {
    targets: HashMap<String, Health>,
    keys: Keys,
}

/// Shared by all threads of the process.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    inner: Arc<Mutex<Book>>,
}

/// The right to make one call to a target. Dropped without a verdict it is neutral, and a probe's place is free
/// again: a cancelled call must not keep it taken for ever.
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

impl Targets {
    /// A permit with the first of `keys` that works, or the moment at which asking again makes sense. `keys` is empty
    /// where there is no choice.
    pub fn permit(&self, target: &str, keys: &[KeyId], now: Instant) -> Result<Permit, Instant> {
        let mut book = self.lock();
        let key_place = book.keys.first_free(keys, now)?;
        let probe = book.targets.get_mut(target).map_or(Ok(false), |health| health.admit(now))?;
        let key = keys.get(key_place).copied();
        Ok(Permit { targets: self.clone(), target: target.to_owned(), probe, key, key_place, key_probe: false })
    }

    /// A permit for a run that has nobody else to ask: a rest is our guess at when somebody will have healed the
    /// target, and a guess must not refuse every call of a tier. One at a time; cool-downs and breakers still hold.
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
        let due = health.cool_until.max(health.open_until).is_none_or(|until| until <= now);
        if !due || health.probing {
            return None;
        }
        health.probing = true;
        let key = keys.get(key_place).copied();
        if let Some(key) = key.filter(|_| key_probe) {
            book.keys.probe(key, true);
        }
        Some(Permit { targets: self.clone(), target: target.to_owned(), probe: true, key, key_place, key_probe })
    }

    /// Nobody calls `target` before `until`.
    pub fn cool(&self, target: &str, until: Instant) {
        let mut book = self.lock();
        let health = book.targets.entry(target.to_owned()).or_default();
        health.cool_until = health.cool_until.max(Some(until));
    }

    /// `target` answers nobody until it is healed. Calls go to other targets before `until`, or until one succeeds.
    pub fn rest(&self, target: &str, until: Instant) {
        let mut book = self.lock();
        let health = book.targets.entry(target.to_owned()).or_default();
        health.rest_until = health.rest_until.max(Some(until));
    }

    /// Nobody uses the key before `until`.
    pub fn cool_key(&self, key: KeyId, until: Instant) {
        self.lock().keys.cool(key, until);
    }

    /// The key works for nobody until its account is healed: others are used before `until`, or until one call with it
    /// succeeds.
    pub fn rest_key(&self, key: KeyId, until: Instant) {
        self.lock().keys.rest(key, until);
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
        let mut states: Vec<_> = book
            .targets
            .iter()
            .map(|(name, health)| {
                let state = match health.open_until {
                    None => BreakerState::Closed,
                    Some(until) if now < until => BreakerState::Open,
                    Some(_) => BreakerState::HalfOpen,
                };
                (name.clone(), state)
            })
            .collect();
        states.sort_by(|a, b| a.0.cmp(&b.0));
        states
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // A panic under this lock leaves plain numbers behind, all of them still valid.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
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
        if let Some(key) = self.key {
            book.keys.heal(key);
        }
        let health = book.targets.entry(self.target.clone()).or_default();
        health.failures_in_a_row = 0;
        health.open_until = None;
        health.rest_until = None;
        let seconds = took.as_secs_f64();
        if output_tokens >= 16 && seconds > 0.0 {
            let speed = output_tokens as f64 / seconds;
            health.tokens_per_second = Some(health.tokens_per_second.map_or(speed, |old| old * 0.8 + speed * 0.2));
        }
    }

    /// The target failed by its own fault.
    pub fn failed(self, rule: BreakerRule, now: Instant) {
        let mut book = self.targets.lock();
        let health = book.targets.entry(self.target.clone()).or_default();
        health.failures_in_a_row = health.failures_in_a_row.saturating_add(1);
        // A breaker that is half open opens again at once.
        if health.open_until.is_some() || health.failures_in_a_row >= rule.errors {
            health.open_until = Some(now + rule.open);
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: BreakerRule = BreakerRule { errors: 2, open: Duration::from_secs(30) };

    fn fail(targets: &Targets, now: Instant) {
        targets.permit("t", &[], now).expect("closed").failed(RULE, now);
    }

    #[test]
    fn errors_in_a_row_open_the_breaker_and_one_probe_closes_it() {
        let (targets, now) = (Targets::default(), Instant::now());
        fail(&targets, now);
        targets.permit("t", &[], now).expect("one error is not enough").succeeded(0, Duration::ZERO);
        fail(&targets, now);
        fail(&targets, now);
        assert_eq!(targets.permit("t", &[], now).expect_err("open"), now + RULE.open);
        let later = now + RULE.open;
        let probe = targets.permit("t", &[], later).expect("half open");
        assert!(targets.permit("t", &[], later).is_err(), "one probe at a time");
        probe.succeeded(0, Duration::ZERO);
        assert_eq!(targets.states(later), [("t".to_owned(), BreakerState::Closed)]);
        assert!(targets.permit("t", &[], later).is_ok());
    }

    #[test]
    fn a_probe_that_was_cancelled_leaves_its_place_to_the_next_one() {
        let (targets, now) = (Targets::default(), Instant::now());
        fail(&targets, now);
        fail(&targets, now);
        let later = now + RULE.open;
        drop(targets.permit("t", &[], later).expect("half open"));
        targets.permit("t", &[], later).expect("free again").failed(RULE, later);
        assert_eq!(targets.permit("t", &[], later).expect_err("open again"), later + RULE.open);
    }

    #[test]
    fn a_cool_down_keeps_everybody_away_and_is_neutral_to_the_breaker() {
        let (targets, now) = (Targets::default(), Instant::now());
        let until = now + Duration::from_secs(5);
        targets.cool("t", until);
        targets.cool("t", now);
        assert_eq!(targets.permit("t", &[], now).expect_err("cooling"), until);
        assert!(targets.permit("t", &[], until).is_ok());
        assert_eq!(targets.states(now), [("t".to_owned(), BreakerState::Closed)]);
    }

    #[test]
    fn a_resting_target_is_a_last_resort_for_one_call_at_a_time_until_one_succeeds() {
        let (targets, now) = (Targets::default(), Instant::now());
        let until = now + Duration::from_secs(60);
        targets.rest("t", until);
        assert_eq!(targets.permit("t", &[], now).expect_err("resting"), until);
        let first = targets.last_resort("t", &[], now).expect("nobody tries yet");
        assert!(targets.last_resort("t", &[], now).is_none(), "one at a time");
        drop(first);
        targets.last_resort("t", &[], now).expect("free again").failed(RULE, now);
        assert_eq!(targets.permit("t", &[], now).expect_err("one error opens no breaker, and ends no rest"), until);
        targets.last_resort("t", &[], now).expect("free again").succeeded(0, Duration::ZERO);
        assert!(targets.permit("t", &[], now).is_ok());
    }

    #[test]
    fn neither_a_cool_down_nor_an_open_breaker_has_a_last_resort() {
        let (targets, now) = (Targets::default(), Instant::now());
        let until = now + Duration::from_secs(60);
        targets.rest("t", until);
        targets.cool("t", now + Duration::from_secs(5));
        assert!(targets.last_resort("t", &[], now).is_none(), "the provider named a time");
        let later = now + Duration::from_secs(5);
        for _ in 0..RULE.errors {
            targets.last_resort("t", &[], later).expect("due").failed(RULE, later);
        }
        assert!(targets.last_resort("t", &[], later).is_none(), "the breaker is open");
    }

    #[test]
    fn seconds_are_expected_from_measured_speed_only() {
        let (targets, now) = (Targets::default(), Instant::now());
        assert_eq!(targets.expected_seconds("t", 100), None);
        targets.permit("t", &[], now).expect("closed").succeeded(100, Duration::from_secs(2));
        assert_eq!(targets.expected_seconds("t", 100), Some(2.0));
    }

    fn keys() -> [KeyId; 2] {
        [KeyId::from_sha256([1; 32]), KeyId::from_sha256([2; 32])]
    }

    #[test]
    fn the_first_key_that_works_is_used_for_every_target_of_its_provider() {
        let (targets, now, keys) = (Targets::default(), Instant::now(), keys());
        assert_eq!(targets.permit("t", &keys, now).expect("free").key_place(), 0);
        targets.rest_key(keys[0], now + Duration::from_secs(60));
        for target in ["t", "u"] {
            assert_eq!(targets.permit(target, &keys, now).expect("the second works").key_place(), 1);
        }
        targets.cool_key(keys[1], now + Duration::from_secs(5));
        assert_eq!(targets.permit("t", &keys, now).expect_err("no key works"), now + Duration::from_secs(5));
        assert_eq!(targets.permit("t", &keys, now + Duration::from_secs(5)).expect("due").key_place(), 1);
        assert_eq!(targets.permit("t", &keys, now + Duration::from_secs(60)).expect("due").key_place(), 0);
    }

    #[test]
    fn a_resting_key_is_a_last_resort_for_one_call_at_a_time_until_one_succeeds() {
        let (targets, now, keys) = (Targets::default(), Instant::now(), keys());
        targets.cool_key(keys[0], now + Duration::from_secs(5));
        assert_eq!(targets.last_resort("t", &keys, now).map(|permit| permit.key_place()), None, "nothing rests");
        targets.rest_key(keys[1], now + Duration::from_secs(60));
        let first = targets.last_resort("t", &keys, now).expect("the second only rests");
        assert_eq!(first.key_place(), 1);
        assert!(targets.last_resort("u", &keys, now).is_none(), "one at a time, whatever the target");
        drop(first);
        targets.last_resort("u", &keys, now).expect("free again").succeeded(0, Duration::ZERO);
        assert_eq!(targets.permit("t", &keys, now).expect("healed for all targets").key_place(), 1);
    }
}
