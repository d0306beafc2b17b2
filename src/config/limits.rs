//! `limits`, `prices`, `request`: money and counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::parsed::{OverCap, Provider, RequestCaps};
use super::read::{Field, Section};
use super::tiers::{MOST_TOKENS, known_provider};
use crate::domain::limit::{Limit, Quota, Scope};
use crate::domain::money::MAX_NANO;
use crate::domain::usage::Price;

/// Longest window of a request limit: its entries are kept one by one.
const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 3_600);
/// Output cap of a request that names a target instead of a tier.
const MAX_TOKENS: u64 = 4_096;

const SCOPES: [(&str, Scope); 4] =
    [("user", Scope::User), ("key", Scope::Key), ("team", Scope::Team), ("global", Scope::Global)];

/// The limits that bind every caller.
pub(super) fn global(root: &Section<'_>) -> Vec<Limit> {
    root.get("limits").map(|field| list(&field)).unwrap_or_default()
}

pub(super) fn list(field: &Field<'_>) -> Vec<Limit> {
    let mut limits: Vec<Limit> = Vec::new();
    for entry in field.list() {
        let Some(limit) = limit(&entry) else { continue };
        if limits.iter().any(|earlier| same_counter(earlier, &limit)) {
            entry.problem("an earlier entry limits the same thing over the same time; keep one of them");
            continue;
        }
        limits.push(limit);
    }
    limits
}

/// Every limit of a call with a key that has limits of its `own`. Shared where it has none.
pub(super) fn combined(global: &Arc<[Limit]>, own: &[Limit]) -> Arc<[Limit]> {
    if own.is_empty() {
        return Arc::clone(global);
    }
    let mut all = global.to_vec();
    all.extend(own.iter().filter(|limit| !global.contains(limit)));
    all.into()
}

fn same_counter(one: &Limit, other: &Limit) -> bool {
    let same_quota = match (one.quota, other.quota) {
        (Quota::UsdPerDay { .. }, Quota::UsdPerDay { .. }) => true,
        (Quota::Requests { window_ms: one, .. }, Quota::Requests { window_ms: other, .. }) => one == other,
        (Quota::UsdPerDay { .. }, Quota::Requests { .. }) | (Quota::Requests { .. }, Quota::UsdPerDay { .. }) => false,
    };
    one.scope == other.scope && same_quota
}

fn limit(field: &Field<'_>) -> Option<Limit> {
    let section = field.section(&["scope", "usd", "requests", "per", "tokens", "concurrent"]);
    for planned in ["tokens", "concurrent"] {
        if let Some(field) = section.get(planned) {
            field.key_problem("not supported yet by this version; limit usd or requests");
            return None;
        }
    }
    let scope = section.require("scope", "say whose use is counted: user, key, team or global").and_then(|field| {
        if matches!(field.text()?, "tier" | "model" | "provider") {
            field.problem("not supported yet by this version; write user, key, team or global");
            return None;
        }
        field.one_of(&SCOPES)
    });
    let quota = match (section.get("usd"), section.get("requests")) {
        (Some(usd), None) => usd_per_day(&section, &usd),
        (None, Some(requests)) => request_rate(&section, &requests),
        (Some(_), Some(_)) => {
            field.problem("limits usd and requests at once; make two entries of it");
            None
        }
        (None, None) => {
            field.problem("limits nothing; add usd: 5, per: day, or requests: 10, per: 1m");
            None
        }
    };
    Some(Limit { scope: scope?, quota: quota? })
}

fn usd_per_day(section: &Section<'_>, amount: &Field<'_>) -> Option<Quota> {
    let max = amount.usd();
    let per = section.require("per", "write per: day")?;
    if per.text()? != "day" {
        per.problem("usd is limited per calendar day (UTC) in this version; write per: day");
        return None;
    }
    Some(Quota::UsdPerDay { max_nano: max?.get() })
}

fn request_rate(section: &Section<'_>, count: &Field<'_>) -> Option<Quota> {
    let max = count.integer(1, MAX_NANO);
    let per = section.require("per", "write the window, such as per: 1m")?;
    if matches!(per.text()?, "second" | "minute" | "hour" | "day") {
        per.problem("requests are counted over a sliding window; write its length, such as 1m, 1h or 24h");
        return None;
    }
    let window_ms = u64::try_from(per.duration(LONGEST_WINDOW)?.as_millis()).ok()?;
    Some(Quota::Requests { max: max?, window_ms })
}

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
    let rate = |key| section.get(key).and_then(|field| field.price());
    let advice = "write dollars per million tokens, 0 if it is free";
    let input = section.require("input", advice).and_then(|field| field.price());
    let output = section.require("output", advice).and_then(|field| field.price());
    let (cache_read, cache_write, cache_write_1h) = (rate("cache_read"), rate("cache_write"), rate("cache_write_1h"));
    let (input, output) = (input?, output?);
    let cache_write = cache_write.unwrap_or(input);
    Some(Price {
        input,
        output,
        cache_read: cache_read.unwrap_or(input),
        cache_write,
        cache_write_1h: cache_write_1h.unwrap_or(cache_write),
    })
}
