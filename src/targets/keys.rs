//! Health of a provider's keys, where it has several: which one is next, and until when none is.

use std::collections::HashMap;
use std::time::Instant;

use crate::domain::ids::KeyId;

#[derive(Debug, Default)]
struct KeyHealth {
    cool_until: Option<Instant>,
    rest_until: Option<Instant>,
    probing: bool,
}

/// Only keys that something happened to are in here.
#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<KeyId, KeyHealth>);

impl Keys {
    /// The place of the first key that works, 0 where there is no choice; or the moment at which one may work again.
    pub(super) fn first_free(&self, keys: &[KeyId], now: Instant) -> Result<usize, Instant> {
        let mut soonest: Option<Instant> = None;
        for (place, key) in keys.iter().enumerate() {
            let out = self.0.get(key).and_then(|health| health.cool_until.max(health.rest_until));
            match out.filter(|until| now < *until) {
                Some(until) => soonest = Some(soonest.map_or(until, |earlier| earlier.min(until))),
                None => return Ok(place),
            }
        }
        soonest.map_or(Ok(0), Err)
    }

    /// The place of the first key that only rests and that nobody tries just now.
    pub(super) fn resting(&self, keys: &[KeyId], now: Instant) -> Option<usize> {
        let due = |health: &KeyHealth| !health.probing && health.cool_until.is_none_or(|until| until <= now);
        keys.iter().position(|key| self.0.get(key).is_none_or(due))
    }

    pub(super) fn probe(&mut self, key: KeyId, under_way: bool) {
        self.0.entry(key).or_default().probing = under_way;
    }

    pub(super) fn cool(&mut self, key: KeyId, until: Instant) {
        let health = self.0.entry(key).or_default();
        health.cool_until = health.cool_until.max(Some(until));
    }

    pub(super) fn rest(&mut self, key: KeyId, until: Instant) {
        let health = self.0.entry(key).or_default();
        health.rest_until = health.rest_until.max(Some(until));
    }

    pub(super) fn heal(&mut self, key: KeyId) {
        if let Some(health) = self.0.get_mut(&key) {
            health.rest_until = None;
        }
    }
}
