//! The price book as people and scripts read it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::PriceBook;
use super::bundled::{self, Band};
use super::{longest, newer};
use crate::domain::money::NanoUsd;
use crate::domain::usage::Price;

/// An account whose models are to be listed: the provider's name, and its vendor in the bundled list.
pub type Account<'a> = (&'a str, Option<&'static str>);

/// What `headgate prices --json` prints, and `--diff` reads back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// As receipts name it.
    pub price_book: String,
    pub prices: Vec<Row>,
}

/// Rates of one target in one band of context lengths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `provider/model`.
    pub target: String,
    /// For calls with more input tokens than this, up to the target's next row.
    pub above_tokens: u64,
    pub usd_per_million: Rates,
    /// Of a search at the provider; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_search: Option<String>,
    /// The longest answer; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Where the rates are from: a page, or `config`.
    pub source: String,
    /// When they were read there; absent for the config's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// Exact decimal dollars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    pub input: String,
    pub cache_read: String,
    pub cache_write: String,
    pub cache_write_1h: String,
    pub output: String,
}

impl From<Price> for Rates {
    fn from(price: Price) -> Self {
        Rates {
            input: price.input.to_string(),
            cache_read: price.cache_read.to_string(),
            cache_write: price.cache_write.to_string(),
            cache_write_1h: price.cache_write_1h.to_string(),
            output: price.output.to_string(),
        }
    }
}

impl Rates {
    fn cells(&self) -> [&str; 5] {
        [&self.input, &self.cache_read, &self.cache_write, &self.cache_write_1h, &self.output]
    }
}

/// Where the price of a target was found.
struct Found {
    bands: Vec<Band>,
    source: String,
    date: Option<String>,
}

impl PriceBook {
    /// Every target of these accounts that the book prices, and every one of `others` (`provider/model`), if `wanted`
    /// says so; sorted. What nobody prices is left out.
    pub fn listing(&self, accounts: &[Account<'_>], others: &[&str], wanted: impl Fn(&str) -> bool) -> Listing {
        let mut targets: BTreeMap<String, Option<&'static str>> = BTreeMap::new();
        for (provider, catalogue) in accounts {
            let listed = catalogue.iter().copied().flat_map(|id| bundled::models(id).chain(newer::models(id)));
            targets.extend(listed.map(|model| (format!("{provider}/{model}"), *catalogue)));
        }
        let own = others.iter().copied().chain(self.overrides.keys().map(String::as_str));
        for target in own {
            let of = |(provider, _): &&Account<'_>| target.split_once('/').is_some_and(|(name, _)| name == *provider);
            let catalogue = accounts.iter().find(of).and_then(|(_, catalogue)| *catalogue);
            targets.entry(target.to_owned()).or_insert(catalogue);
        }
        let wanted = targets.iter().filter(|(target, _)| wanted(target));
        let prices = wanted.flat_map(|(target, catalogue)| self.rows(target, *catalogue)).collect();
        Listing { price_book: self.version().to_owned(), prices }
    }

    fn rows(&self, target: &str, catalogue: Option<&'static str>) -> Vec<Row> {
        let model = target.split_once('/').map_or(target, |(_, model)| model);
        let Some(found) = self.find(target, catalogue, model) else { return Vec::new() };
        let max_output_tokens = catalogue.and_then(|catalogue| longest::answer(catalogue, model));
        let row = |band: &Band| Row {
            target: target.to_owned(),
            above_tokens: band.above_tokens,
            usd_per_million: band.price.into(),
            usd_per_search: Some(band.price.web_search).filter(|fee| *fee > NanoUsd::ZERO).map(|fee| fee.to_string()),
            max_output_tokens,
            source: found.source.clone(),
            date: found.date.clone(),
        };
        found.bands.iter().map(row).collect()
    }

    fn find(&self, target: &str, catalogue: Option<&str>, model: &str) -> Option<Found> {
        if let Some(price) = self.overrides.get(target) {
            let bands = vec![Band { above_tokens: 0, price: *price }];
            return Some(Found { bands, source: "config".to_owned(), date: None });
        }
        let catalogue = catalogue?;
        if let Some(row) = newer::row(catalogue, model) {
            let bands = row.bands.to_vec();
            return Some(Found { bands, source: row.source.to_owned(), date: Some(row.date.to_owned()) });
        }
        let bands = self.bands(catalogue, model).to_vec();
        let page = bundled::page(catalogue).map(|page| format!("{page} via ")).unwrap_or_default();
        let source = format!("{page}{}", bundled::VERSION);
        Some(Found { bands, source, date: Some(bundled::PUBLISHED.to_owned()) })
    }
}

impl Listing {
    /// The rows that `newer` has and this one has not, and the other way round, as lines with `+` and `-`; sorted by
    /// target. Empty where both price alike: a source or date alone is no difference.
    pub fn diff(&self, newer: &Listing) -> Vec<String> {
        let by_place = |listing: &Listing| -> BTreeMap<(String, u64), String> {
            let row = |row: &Row| ((row.target.clone(), row.above_tokens), row.money());
            listing.prices.iter().map(row).collect()
        };
        let (before, after) = (by_place(self), by_place(newer));
        let mut lines = Vec::new();
        let places: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for place in places {
            let (old, new) = (before.get(place), after.get(place));
            if old != new {
                lines.extend(old.map(|row| format!("- {row}")));
                lines.extend(new.map(|row| format!("+ {row}")));
            }
        }
        lines
    }
}

impl Row {
    /// What matters to a bill.
    fn money(&self) -> String {
        let [input, read, write, write_1h, output] = self.usd_per_million.cells();
        let search = self.usd_per_search.as_deref().map(|fee| format!(", a search {fee}")).unwrap_or_default();
        format!(
            "{} above {}: input {input}, cache_read {read}, cache_write {write}, cache_write_1h {write_1h}, \
             output {output}{search}",
            self.target, self.above_tokens
        )
    }
}

/// A table for people.
impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "US dollars per million tokens, {}", self.price_book)?;
        let width = self.prices.iter().map(|row| row.target.len()).max().unwrap_or_default().max("TARGET".len());
        writeln!(
            f,
            "{:<width$} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8}  SOURCE",
            "TARGET", "ABOVE", "INPUT", "CACHED", "WRITE", "WRITE 1H", "OUTPUT", "LONGEST"
        )?;
        for row in &self.prices {
            let [input, read, write, write_1h, output] = row.usd_per_million.cells();
            let longest = row.max_output_tokens.map_or_else(|| "-".to_owned(), |tokens| tokens.to_string());
            let date = row.date.as_deref().map(|date| format!(", {date}")).unwrap_or_default();
            writeln!(
                f,
                "{:<width$} {:>7} {input:>9} {read:>9} {write:>9} {write_1h:>9} {output:>9} {longest:>8}  {}{date}",
                row.target, row.above_tokens, row.source
            )?;
        }
        Ok(())
    }
}
