//! Health of a provider's keys, where it has several: which one is next, and until when none is.

use std::collections::HashMap;
use std::time::Instant;

use crate::domain::ids::KeyId;

use super::board::{News, Pause};

#[derive(Debug, Default)]
struct KeyHealth {
    pause: Pause,
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
            match self.0.get(key).and_then(|health| health.pause.until(now)) {
                Some(until) => soonest = Some(soonest.map_or(until, |earlier| earlier.min(until))),
                None => return Ok(place),
            }
        }
        soonest.map_or(Ok(0), Err)
    }

    /// The place of the first key that only rests and that nobody tries just now.
    pub(super) fn resting(&self, keys: &[KeyId], now: Instant) -> Option<usize> {
        let due = |health: &KeyHealth| !health.probing && !health.pause.is_cool(now);
        keys.iter().position(|key| self.0.get(key).is_none_or(due))
    }

    pub(super) fn probe(&mut self, key: KeyId, under_way: bool) {
        self.0.entry(key).or_default().probing = under_way;
    }

    pub(super) fn pause(&mut self, key: KeyId) -> &mut Pause {
        &mut self.0.entry(key).or_default().pause
    }

    /// True where there was something to heal.
    pub(super) fn heal(&mut self, key: KeyId) -> bool {
        self.0.get_mut(&key).is_some_and(|health| health.pause.heal())
    }

    pub(super) fn take_news(&mut self, now: Instant) -> Vec<(KeyId, News)> {
        self.0.iter_mut().map(|(key, health)| (*key, health.pause.take_news(now))).collect()
    }
}
