use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::bundled::{self, VERSION, bands};
use super::{PriceBook, longest, newer};
use crate::domain::money::{NanoUsd, PicoUsdPerToken};
use crate::domain::usage::Price;

/// 2026-11-01, when the bundled list is in force as tested here.
fn november() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_793_491_200)
}

/// Dollars per million tokens: input, output, cache read, cache write, one-hour cache write.
fn price(rates: [&str; 5]) -> Price {
    let [input, output, cache_read, cache_write, cache_write_1h] =
        rates.map(|usd| PicoUsdPerToken::from_usd_per_million(usd).expect("a price"));
    Price { input, output, cache_read, cache_write, cache_write_1h, ..Price::default() }
}

fn steps(catalogue: &str, model: &str) -> Vec<(u64, Price)> {
    let tokens = |price| Price { web_search: NanoUsd::ZERO, ..price };
    bands(catalogue, model, november()).iter().map(|band| (band.above_tokens, tokens(band.price))).collect()
}

#[test]
fn rates_become_exact_integers() {
    assert_eq!(steps("openai", "gpt-4o-mini"), [(0, price(["0.15", "0.6", "0.075", "0.15", "0.15"]))]);
    assert_eq!(steps("anthropic", "claude-opus-5-5"), [(0, price(["4", "20", "0.2", "5", "8"]))]);
    assert_eq!(steps("mistral", "mistral-small-latest").len(), 1);
}

#[test]
fn a_rate_that_rises_with_the_context_has_its_step_where_the_list_has_it() {
    let expected =
        [(0, price(["1", "5", "0.05", "1.25", "1.25"])), (272_000, price(["2", "7.5", "0.1", "2.5", "2.5"]))];
    assert_eq!(steps("openai", "gpt-6.1-terra"), expected);
    let haiku: Vec<_> = steps("anthropic", "claude-haiku-5-5").iter().map(|(above, _)| *above).collect();
    assert_eq!(haiku, [0, 100_000]);
}

#[test]
fn a_list_that_is_cheaper_at_night_is_priced_by_day() {
    assert_eq!(steps("deepseek", "deepseek-chat"), [(0, price(["0.27", "1.1", "0.07", "0.27", "0.27"]))]);
}

#[test]
fn a_search_has_a_price_of_its_own_where_the_list_has_one() {
    let search = |catalogue, model| bands(catalogue, model, november()).first().map(|band| band.price.web_search.get());
    assert_eq!(search("anthropic", "claude-opus-5-5"), Some(10_000_000));
    assert_eq!((search("google", "gemini-3.8-flash"), search("groq", "qwen/qwen3-32b")), (Some(14_000_000), Some(0)));
}

#[test]
fn embeddings_are_priced_by_their_input() {
    for (catalogue, model, input) in [
        ("openai", "text-embedding-3-small", "0.02"),
        ("openai", "text-embedding-3-large", "0.13"),
        ("mistral", "mistral-embed", "0.1"),
        ("google", "gemini-embedding-001", "0.15"),
    ] {
        let rates: Vec<_> = steps(catalogue, model).iter().map(|(_, price)| price.input).collect();
        assert_eq!(rates, [price([input, "0", "0", "0", "0"]).input], "{model}");
    }
}

#[test]
fn what_has_no_token_price_is_not_free_but_unpriced() {
    for model in ["no-such-model", "tts-1", "whisper-1"] {
        assert_eq!(steps("openai", model), [], "{model}");
    }
    assert_eq!(steps("no-such-catalogue", "gpt-4o"), []);
}

#[test]
fn a_book_takes_the_config_first_then_the_list() {
    let own = price(["1", "2", "1", "1", "1"]);
    let book = PriceBook::new(HashMap::from([("work/gpt-4o".to_owned(), own)]));
    assert_eq!(book.price(Some("openai"), "work/gpt-4o", "gpt-4o"), Some(own));
    let listed = book.price(Some("openai"), "home/gpt-4o", "gpt-4o").expect("listed");
    assert_eq!(listed.output, price(["0", "10", "0", "0", "0"]).output);
    assert_eq!(book.price(None, "home/gpt-4o", "gpt-4o"), None);
}

#[test]
fn a_model_newer_than_the_list_has_its_own_row_under_its_name_and_its_snapshots() {
    let book = PriceBook::new(HashMap::new());
    let at = |model, tokens| book.price_at(Some("openai"), "o/x", model, tokens);
    let search = NanoUsd::new(10_000_000);
    let (short, long) = (price(["2", "10", "0.1", "2.5", "5"]), price(["4", "15", "0.2", "5", "10"]));
    let (short, long) = (Price { web_search: search, ..short }, Price { web_search: search, ..long });
    for model in ["gpt-6.2-sol", "gpt-6.2-sol-20261117", "gpt-6.2-sol-2026-11-17"] {
        assert_eq!((at(model, 272_000), at(model, 272_001)), (Some(short), Some(long)), "{model}");
    }
    assert_eq!(at("gpt-6.2-sol-mini", 0), None, "another model");
}

#[test]
fn a_row_goes_when_the_list_has_its_model() {
    for row in newer::ROWS {
        let listed = bands(row.catalogue, row.model, SystemTime::now());
        assert_eq!(listed, [], "{} is in {VERSION}: remove its row", row.model);
        assert!(row.date <= newer::NEWEST && row.source.starts_with("https://"), "{}", row.model);
    }
}

#[test]
fn every_vendor_of_ours_is_in_the_list() {
    for (catalogue, page) in bundled::PAGES {
        assert!(bundled::models(catalogue).count() > 0 && page.starts_with("https://"), "{catalogue}");
        let known = bundled::models(catalogue).filter(|model| longest::answer(catalogue, model).is_some()).count();
        assert!(known > 0, "no answer's length is known of {catalogue}");
    }
}

#[test]
fn the_longest_answer_is_that_of_the_longest_name_that_fits() {
    let longest = |model| longest::answer("openai", model);
    assert_eq!(longest("gpt-4o-2024-05-13"), Some(4_096));
    assert_eq!(
        [longest("gpt-4o-mini"), longest("gpt-4"), longest("o3-mini")],
        [Some(16_384), Some(8_192), Some(100_000)]
    );
    assert_eq!((longest("babbage"), longest::answer("nobody", "gpt-4")), (None, None));
}

#[test]
fn a_version_tells_two_books_apart_and_the_same_book_again() {
    let book = |usd| PriceBook::new(HashMap::from([("a/b".to_owned(), price([usd; 5]))])).version().to_owned();
    assert_eq!(book("1"), book("1"));
    assert_ne!(book("1"), book("1.000001"));
    let none = PriceBook::new(HashMap::new()).version().to_owned();
    let (day, rest) = none.split_once(' ').expect("a day");
    let (hash, parts) = rest.split_once(' ').expect("a hash");
    assert_eq!((day, hash.len(), parts), (newer::NEWEST, 8, "(genai-prices 0.2.1, 5 newer, 0 overrides)"));
    assert!(book("1").ends_with(", 1 override)"), "{}", book("1"));
}

#[test]
fn a_longer_context_never_costs_less_per_token() {
    let book = PriceBook::new(HashMap::new());
    let at = |tokens| book.price_at(Some("openai"), "o/gpt-6.1-terra", "gpt-6.1-terra", tokens).expect("listed");
    assert_eq!(at(272_000), at(0));
    assert_eq!(at(272_001), book.price(Some("openai"), "o/gpt-6.1-terra", "gpt-6.1-terra").expect("listed"));
    assert!(at(272_001).input > at(272_000).input);
}

#[test]
fn the_version_in_receipts_is_the_one_that_is_built_in() {
    let lock = include_str!("../../Cargo.lock");
    let (name, version) = VERSION.split_once(' ').expect("name and version");
    assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{VERSION} is not in Cargo.lock");
}
