//! The prices in force: the config's own first, then models newer than the bundled list, then the list.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::bundled::{self, Band};
use super::{longest, newer};
use crate::domain::limit::{DAY_MS, day_of};
use crate::domain::usage::Price;

/// Model names come from clients where a key allows it, so what is remembered of them is bounded.
const MAX_REMEMBERED: usize = 4_096;

/// One price book per config generation.
pub struct PriceBook {
    pub(super) overrides: HashMap<String, Price>,
    version: String,
    /// Bundled prices by catalogue, then model, as of the day they were looked up: lists change at midnight UTC.
    remembered: RwLock<HashMap<String, HashMap<String, Remembered>>>,
}

#[derive(Clone)]
struct Remembered {
    day: u64,
    /// Empty = the list does not price the model.
    bands: Arc<[Band]>,
}

impl PriceBook {
    /// `overrides` by `provider/model`, as `prices:` in the config gives them.
    pub fn new(overrides: HashMap<String, Price>) -> Self {
        bundled::warm_up();
        let version = version(&overrides);
        PriceBook { overrides, version, remembered: RwLock::default() }
    }

    /// Which book prices a run, for receipts: the day of its newest part, a hash over all of it, and its parts.
    /// `2026-11-24 1f0e3dad (genai-prices 0.2.1, 5 newer, 2 overrides)`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The most output tokens that an answer of this model can have; none = not known.
    pub fn longest_answer(&self, catalogue: Option<&str>, model: &str) -> Option<u64> {
        longest::answer(catalogue?, model)
    }

    /// The price of a call whatever the length of its context: where rates rise with it, the dearest. None = nobody
    /// prices the model, and a call to it must be refused.
    ///
    /// `catalogue` is the provider's id in the bundled list; none = only the config prices it.
    pub fn price(&self, catalogue: Option<&str>, provider_slash_model: &str, model: &str) -> Option<Price> {
        self.price_at(catalogue, provider_slash_model, model, u64::MAX)
    }

    /// The price of a call with `input_tokens` of context, cached ones included. Given an upper bound of the input it
    /// is an upper bound of the price: it is never below that of a shorter context.
    pub fn price_at(
        &self,
        catalogue: Option<&str>,
        provider_slash_model: &str,
        model: &str,
        input_tokens: u64,
    ) -> Option<Price> {
        if let Some(price) = self.overrides.get(provider_slash_model) {
            return Some(*price);
        }
        let bands = self.bands(catalogue?, model);
        let band = bands.iter().rev().find(|band| input_tokens > band.above_tokens).or(bands.first())?;
        Some(band.price)
    }

    pub(super) fn bands(&self, catalogue: &str, model: &str) -> Arc<[Band]> {
        let day = today();
        let as_of_today = |known: &&Remembered| known.day == day;
        // A panic elsewhere can't leave the map half-written: each entry is inserted whole.
        let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
        let known = remembered.get(catalogue).and_then(|models| models.get(model)).filter(as_of_today);
        if let Some(known) = known {
            return Arc::clone(&known.bands);
        }
        drop(remembered);
        let midnight = UNIX_EPOCH + Duration::from_millis(day * DAY_MS);
        let bands: Arc<[Band]> = match newer::row(catalogue, model) {
            Some(row) => row.bands.into(),
            None => bundled::bands(catalogue, model, midnight).into(),
        };
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        let models = remembered.entry(catalogue.to_owned()).or_default();
        if models.len() >= MAX_REMEMBERED {
            models.clear();
        }
        models.insert(model.to_owned(), Remembered { day, bands: Arc::clone(&bands) });
        bands
    }
}

/// Two books of one version price alike: the list is part of the build, everything else is in the hash.
fn version(overrides: &HashMap<String, Price>) -> String {
    let mut parts = bundled::VERSION.to_owned();
    for row in newer::ROWS {
        for band in row.bands {
            let _ = write!(parts, "\n{}/{} {}", row.catalogue, row.model, written(band.above_tokens, &band.price));
        }
    }
    let mut own: Vec<_> = overrides.iter().collect();
    own.sort_by_key(|(target, _)| *target);
    for (target, price) in &own {
        let _ = write!(parts, "\n{target} {}", written(0, price));
    }
    let hash: String = Sha256::digest(parts).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let overrides = match own.len() {
        1 => "1 override".to_owned(),
        n => format!("{n} overrides"),
    };
    format!("{} {hash} ({}, {} newer, {overrides})", newer::NEWEST, bundled::VERSION, newer::ROWS.len())
}

fn written(above_tokens: u64, price: &Price) -> String {
    let Price { input, output, cache_read, cache_write, cache_write_1h, web_search } = price;
    format!("{above_tokens} {input} {cache_read} {cache_write} {cache_write_1h} {output} {web_search}")
}

/// The UTC day, counted from 1970-01-01.
fn today() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    day_of(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl fmt::Debug for PriceBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriceBook").field("version", &self.version).finish_non_exhaustive()
    }
}
