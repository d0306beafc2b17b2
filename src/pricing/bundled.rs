//! The bundled price list as integers.
//!
//! `genai-prices` calculates in floats and shows no rates, so each rate is asked for by pricing a call that has
//! nothing else in it, once per model and day. All arithmetic on real calls is ours.

use std::time::{Duration, SystemTime};

use genai_prices::{Calculator, PriceCalculation, PriceRequest, Usage, UsageKey};

use crate::domain::money::{NanoUsd, PicoUsdPerToken};
use crate::domain::usage::Price;

/// The list that is compiled in; a test keeps it in step with `Cargo.lock`.
pub(super) const VERSION: &str = "genai-prices 0.2.1";

/// When that list was published.
pub(super) const PUBLISHED: &str = "2026-10-30";

/// The vendors' own price pages, which the list was read from.
pub(super) const PAGES: &[(&str, &str)] = &[
    ("anthropic", "https://www.anthropic.com/pricing#api"),
    ("cohere", "https://cohere.com/pricing"),
    ("deepseek", "https://api-docs.deepseek.com/quick_start/pricing"),
    ("google", "https://ai.google.dev/gemini-api/docs/pricing"),
    ("groq", "https://console.groq.com/docs/models"),
    ("mistral", "https://mistral.ai/pricing/api"),
    ("openai", "https://developers.openai.com/api/docs/pricing"),
    ("x-ai", "https://docs.x.ai/docs/models"),
];

pub(super) fn page(catalogue: &str) -> Option<&'static str> {
    PAGES.iter().find(|(id, _)| *id == catalogue).map(|(_, page)| *page)
}

/// Names of the models that a vendor has in the list, priced by the token or not.
pub(super) fn models(catalogue: &str) -> impl Iterator<Item = &'static str> {
    let vendor = Calculator::bundled().providers().find(|vendor| vendor.id() == catalogue);
    vendor.into_iter().flat_map(|vendor| vendor.models()).map(|model| model.id())
}

/// Context lengths that no two steps of a list lie between. Real ones are at 100,000, 128,000, 200,000 and 272,000.
const PROBES: [u64; 9] = [1, 16_000, 64_000, 110_000, 160_000, 230_000, 400_000, 1_000_000, 4_000_000];

/// Prices of calls with more than `above_tokens` of context, up to the next band.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Band {
    pub(super) above_tokens: u64,
    pub(super) price: Price,
}

/// Decodes the list, which takes tens of milliseconds once: not on a client's time.
pub(super) fn warm_up() {
    let _ = Calculator::bundled();
}

/// The bands of a model on the day that starts at `midnight` (UTC), shortest context first. No rate falls from one
/// band to the next: where a list has a discount for long contexts the dearer rate stays, so that an estimate made
/// with an upper bound of the context is never too low. Empty when the list has no price for it.
pub(super) fn bands(catalogue: &str, model: &str, midnight: SystemTime) -> Vec<Band> {
    let Some(list) = List::find(catalogue, model, midnight) else { return Vec::new() };
    let mut bands: Vec<Band> = Vec::new();
    let mut before = 0;
    for probe in PROBES {
        let Some(price) = list.price(probe) else { return Vec::new() };
        match bands.last().copied() {
            None => bands.push(Band { above_tokens: 0, price }),
            Some(last) => {
                let price = dearer(price, last.price);
                if price != last.price {
                    bands.push(Band { above_tokens: list.step(before, probe), price });
                }
            }
        }
        before = probe;
    }
    // A price of nothing is what the list gives for a model that it prices by the hour or the picture. A free model
    // must be named as such in the config.
    let free = |band: &Band| Price { web_search: NanoUsd::ZERO, ..band.price } == Price::default();
    if bands.iter().all(free) { Vec::new() } else { bands }
}

fn dearer(one: Price, other: Price) -> Price {
    Price {
        input: one.input.max(other.input),
        output: one.output.max(other.output),
        cache_read: one.cache_read.max(other.cache_read),
        cache_write: one.cache_write.max(other.cache_write),
        cache_write_1h: one.cache_write_1h.max(other.cache_write_1h),
        web_search: one.web_search.max(other.web_search),
    }
}

/// One model of the list at one moment.
struct List<'a> {
    catalogue: &'a str,
    model: &'a str,
    moment: SystemTime,
}

impl<'a> List<'a> {
    /// None when the list does not know the model. Some lists are cheaper at night; the moment is the dearest of the
    /// day, since nobody knows when a call that is estimated now will be billed.
    fn find(catalogue: &'a str, model: &'a str, midnight: SystemTime) -> Option<Self> {
        let half_hours = (0..48).map(|n| midnight + Duration::from_secs(n * 1_800 + 1));
        let total = |moment| {
            let list = List { catalogue, model, moment };
            Some((list.rate(1, &[], Part::Input)?.saturating_add(list.rate(1, &[], Part::Output)?), list))
        };
        half_hours.filter_map(total).max_by_key(|(total, _)| *total).map(|(_, list)| list)
    }

    /// Cache rates that the list does not have are the input's, which is how the provider bills them; the one-hour
    /// write falls back to the short one.
    fn price(&self, context_tokens: u64) -> Option<Price> {
        let cached = |keys: &[UsageKey]| self.rate(context_tokens, keys, Part::Input).map(PicoUsdPerToken::new);
        Some(Price {
            input: cached(&[])?,
            output: PicoUsdPerToken::new(self.rate(context_tokens, &[], Part::Output)?),
            cache_read: cached(&[UsageKey::CACHE_READ_TOKENS])?,
            cache_write: cached(&[UsageKey::CACHE_WRITE_TOKENS])?,
            cache_write_1h: cached(&[UsageKey::CACHE_WRITE_TOKENS, UsageKey::CACHE_WRITE_1H_TOKENS])?,
            web_search: self.search(),
        })
    }

    /// One search; nothing where the list has no price for it.
    fn search(&self) -> NanoUsd {
        let usage = Usage::from([(UsageKey::WEB_SEARCHES, 1_000.0)]);
        let nano = self.calculated(&usage).map_or(0.0, |calculated| calculated.total_price / 1_000.0 * 1e9);
        // The cast saturates, and the list has no negative prices.
        NanoUsd::new(nano.round() as u64)
    }

    fn calculated(&self, usage: &Usage) -> Option<PriceCalculation> {
        let request = PriceRequest::new(self.model, usage).with_provider_id(self.catalogue).with_timestamp(self.moment);
        Calculator::bundled().calculate(&request).ok()
    }

    /// Pico-dollars per token in a call of `context_tokens`, all of which carry `marks`. Rounded up where the list is
    /// finer than that.
    fn rate(&self, context_tokens: u64, marks: &[UsageKey], part: Part) -> Option<u64> {
        // Exact: every probe is far below 2^53.
        let count = context_tokens as f64;
        let mut usage = Usage::from([(UsageKey::INPUT_TOKENS, count), (UsageKey::OUTPUT_TOKENS, count)]);
        for mark in marks {
            usage.insert(mark.clone(), count);
        }
        let calculated = self.calculated(&usage)?;
        let usd = match part {
            Part::Input => calculated.input_price,
            Part::Output => calculated.output_price,
        };
        let pico = usd / count * 1e12;
        let whole = pico.round();
        let pico = if (pico - whole).abs() < 1e-3 { whole } else { pico.ceil() };
        // The cast saturates, and the list has no negative prices.
        pico.is_finite().then_some(pico as u64)
    }

    /// The longest context that still costs what `cheap` does; the next token is in the band of `dear`.
    fn step(&self, mut cheap: u64, mut dear: u64) -> u64 {
        let base = self.price(cheap);
        while dear - cheap > 1 {
            let middle = cheap + (dear - cheap) / 2;
            if self.price(middle) == base { cheap = middle } else { dear = middle }
        }
        cheap
    }
}

#[derive(Clone, Copy)]
enum Part {
    Input,
    Output,
}
