//! Models that are newer than the bundled list, each read from its vendor's page. A row goes when the list has it, which
//! a test tells.

use super::bundled::Band;
use crate::domain::money::{NanoUsd, PicoUsdPerToken};
use crate::domain::usage::Price;

/// Models of one price.
pub(super) struct Row {
    pub(super) catalogue: &'static str,
    pub(super) model: &'static str,
    pub(super) bands: &'static [Band],
    pub(super) source: &'static str,
    /// When the page was read.
    pub(super) date: &'static str,
}

/// The day of the newest row.
pub(super) const NEWEST: &str = "2026-11-24";

const GOOGLE: &str = "https://ai.google.dev/gemini-api/docs/pricing";

pub(super) static ROWS: &[Row] = &[
    Row {
        catalogue: "openai",
        model: "gpt-6.2-sol",
        bands: &[
            band(0, [2_000, 100, 2_500, 5_000, 10_000, 10]),
            band(272_000, [4_000, 200, 5_000, 10_000, 15_000, 10]),
        ],
        source: "https://developers.openai.com/api/docs/models/gpt-6.2-sol",
        date: NEWEST,
    },
    Row {
        catalogue: "openai",
        model: "gpt-6.2-astra",
        // Its page does not tell the price of a long write; it is Sol's multiple of the input.
        bands: &[
            band(0, [8_000, 400, 10_000, 20_000, 40_000, 10]),
            band(272_000, [16_000, 800, 20_000, 40_000, 60_000, 10]),
        ],
        source: "https://developers.openai.com/api/docs/pricing",
        date: NEWEST,
    },
    Row {
        catalogue: "anthropic",
        model: "claude-fable-5-2",
        bands: &[band(0, [8_000, 200, 10_000, 16_000, 40_000, 10])],
        source: "https://platform.claude.com/docs/en/about-claude/pricing",
        date: NEWEST,
    },
    Row {
        catalogue: "google",
        model: "gemini-4-neon",
        bands: &[band(0, [3_000, 150, 3_000, 3_000, 15_000, 14])],
        source: GOOGLE,
        date: NEWEST,
    },
    Row {
        catalogue: "google",
        model: "gemini-4-hydrogen",
        bands: &[band(0, [1_500, 75, 1_500, 1_500, 7_500, 14])],
        source: GOOGLE,
        date: NEWEST,
    },
];

/// Rates in thousandths of a dollar per million tokens: input, cache read, short cache write, long cache write, output;
/// and per search.
const fn band(above_tokens: u64, rates: [u64; 6]) -> Band {
    let [input, cache_read, cache_write, cache_write_1h, output, search] = rates;
    Band {
        above_tokens,
        price: Price {
            input: PicoUsdPerToken::new(input * 1_000),
            cache_read: PicoUsdPerToken::new(cache_read * 1_000),
            cache_write: PicoUsdPerToken::new(cache_write * 1_000),
            cache_write_1h: PicoUsdPerToken::new(cache_write_1h * 1_000),
            output: PicoUsdPerToken::new(output * 1_000),
            web_search: NanoUsd::new(search * 1_000_000),
        },
    }
}

/// Names of the models that a vendor has here.
pub(super) fn models(catalogue: &str) -> impl Iterator<Item = &'static str> {
    ROWS.iter().filter(move |row| row.catalogue == catalogue).map(|row| row.model)
}

/// The row of a model, by its name or by a snapshot of it: `name-20261117`, `name-2026-11-17`.
pub(super) fn row(catalogue: &str, model: &str) -> Option<&'static Row> {
    let is_date = |rest: &str| rest.starts_with('-') && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let named = |row: &&Row| {
        row.catalogue == catalogue && model.strip_prefix(row.model).is_some_and(|rest| rest.is_empty() || is_date(rest))
    };
    ROWS.iter().find(named)
}
