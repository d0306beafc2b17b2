//! `prices`, `request`: what calls cost, and what one may cost.

use std::collections::HashMap;
use std::sync::Arc;

use super::parsed::{OverCap, Provider, RequestCaps};
use super::rates;
use super::read::{Field, Section};
use super::tiers::{MOST_TOKENS, known_provider};
use crate::domain::money::NanoUsd;
use crate::domain::usage::Price;

/// Output cap of a request that names a target instead of a tier.
const MAX_TOKENS: u64 = 4_096;

pub(super) fn request(root: &Section<'_>) -> RequestCaps {
    let section = root.section("request", &["cost_cap_usd", "over_cap", "max_tokens"]);
    let over_cap =
        section.get("over_cap").and_then(|f| f.one_of(&[("deny", OverCap::Deny), ("clamp", OverCap::Clamp)]));
    RequestCaps {
        cost_cap: section.get("cost_cap_usd").and_then(|field| field.usd()),
        over_cap: over_cap.unwrap_or(OverCap::Deny),
        max_tokens: section.get("max_tokens").and_then(|f| f.integer(1, MOST_TOKENS)).unwrap_or(MAX_TOKENS),
    }
}

pub(super) fn prices(root: &Section<'_>, providers: &[Arc<Provider>]) -> HashMap<String, Price> {
    let named = root.get("prices").map(|field| field.named()).unwrap_or_default();
    named.into_iter().filter_map(|(name, field)| Some((name.to_owned(), price(name, &field, providers)?))).collect()
}

/// A rate that is not given is the nearest dearer one that is: a cached token never costs more than we think.
fn price(name: &str, field: &Field<'_>, providers: &[Arc<Provider>]) -> Option<Price> {
    match name.split_once('/') {
        Some((provider, model)) if !model.is_empty() => {
            known_provider(field, provider, providers);
        }
        _ => field.key_problem("a price is for one target; write provider/model"),
    }
    let section = field.section(&["input", "output", "cache_read", "cache_write", "cache_write_1h"]);
    let advice = "write dollars per million tokens, 0 if it is free";
    let input = section.require("input", advice).and_then(|field| {
        let rate = rates::rate(&field)?;
        rates::check_size(&field, rate).then_some(rate)
    });
    let output = section.require("output", advice).and_then(|field| {
        let rate = rates::rate(&field)?;
        (rates::check_size(&field, rate) && rates::check_beside(&field, rate, input)).then_some(rate)
    });
    let cached = |key| {
        let field = section.get(key)?;
        rates::rate(&field).filter(|rate| rates::check_beside(&field, *rate, input))
    };
    let (cache_read, cache_write, cache_write_1h) =
        (cached("cache_read"), cached("cache_write"), cached("cache_write_1h"));
    let (input, output) = (input?, output?);
    let cache_write = cache_write.unwrap_or(input);
    Some(Price {
        input,
        output,
        cache_read: cache_read.unwrap_or(input),
        cache_write,
        cache_write_1h: cache_write_1h.unwrap_or(cache_write),
        web_search: NanoUsd::ZERO,
    })
}
