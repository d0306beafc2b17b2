//! Tokens of one call and what they cost.

use serde::{Deserialize, Serialize};

use super::money::{NanoUsd, PicoUsdPerToken};

/// Tokens of one answer in disjoint parts: every token is counted in exactly one field.
///
/// Providers report these differently (OpenAI counts cached tokens inside the prompt, Anthropic beside it);
/// each codec converts to this shape, so that a price is one sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens neither read from nor written to a cache.
    pub input: u64,
    pub cache_read: u64,
    /// Cache writes of the default (short) lifetime.
    pub cache_write: u64,
    /// Cache writes of the one-hour lifetime.
    pub cache_write_1h: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Searches that the provider did on the way, where its answer counts them. Beside the tokens they brought, they
    /// have a price of their own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub web_searches: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Usage {
    pub fn total_input(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write).saturating_add(self.cache_write_1h)
    }

    /// Input and output.
    pub fn total(&self) -> u64 {
        self.total_input().saturating_add(self.output)
    }

    /// Both together, for a run of several attempts.
    pub fn plus(&self, other: &Usage) -> Usage {
        Usage {
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            output: self.output.saturating_add(other.output),
            web_searches: self.web_searches.saturating_add(other.web_searches),
        }
    }
}

/// Price of one model, of tokens in pico-dollars each. Where a rate depends on the length of the context this is the
/// dearest band, so that an estimate is never too low.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    pub input: PicoUsdPerToken,
    pub output: PicoUsdPerToken,
    pub cache_read: PicoUsdPerToken,
    pub cache_write: PicoUsdPerToken,
    pub cache_write_1h: PicoUsdPerToken,
    /// Of one search at the provider; 0 = not known.
    #[serde(default)]
    pub web_search: NanoUsd,
}

impl Price {
    /// What `usage` costs in pico-dollars, before the one rounding of a run. Saturates instead of wrapping.
    pub fn pico(&self, usage: &Usage) -> u128 {
        let part = |tokens: u64, price: PicoUsdPerToken| u128::from(tokens) * u128::from(price.get());
        part(usage.input, self.input)
            + part(usage.output, self.output)
            + part(usage.cache_read, self.cache_read)
            + part(usage.cache_write, self.cache_write)
            + part(usage.cache_write_1h, self.cache_write_1h)
            + u128::from(usage.web_searches) * u128::from(self.web_search.get()) * 1_000
    }

    /// The most that a call with `input_tokens` and at most `output_tokens` can cost: the input at the dearest of
    /// its rates, since a provider may book it as a cache write. The one-hour lifetime counts where `kept_an_hour`
    /// says so: nothing is written for so long unless the request asks for it. Searches don't count: no request
    /// bounds them, and few calls let the provider search.
    pub fn worst(&self, input_tokens: u64, output_tokens: u64, kept_an_hour: bool) -> u128 {
        let dearest = self.input.max(self.cache_read).max(self.cache_write);
        let dearest = if kept_an_hour { dearest.max(self.cache_write_1h) } else { dearest };
        u128::from(input_tokens) * u128::from(dearest.get()) + u128::from(output_tokens) * u128::from(self.output.get())
    }
}

/// Pico-dollars of a whole run as nano-dollars, rounded up once.
pub fn round_up(pico: u128) -> NanoUsd {
    NanoUsd::new(u64::try_from(pico.div_ceil(1_000)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_rounds_up_once_and_only_at_the_end() {
        let price = Price { input: PicoUsdPerToken::new(1), output: PicoUsdPerToken::new(1), ..Price::default() };
        let one = Usage { input: 1, ..Usage::default() };
        assert_eq!(round_up(price.pico(&one)), NanoUsd::new(1));
        assert_eq!(round_up(price.pico(&one) * 2000), NanoUsd::new(2));
    }

    #[test]
    fn the_worst_case_has_the_long_lifetime_only_where_the_call_asks_for_it() {
        let rate = PicoUsdPerToken::new;
        let price = Price {
            input: rate(4),
            output: rate(20),
            cache_write: rate(5),
            cache_write_1h: rate(8),
            ..Price::default()
        };
        assert_eq!((price.worst(10, 1, false), price.worst(10, 1, true)), (70, 100));
    }

    #[test]
    fn absurd_token_counts_saturate() {
        let price = Price { output: PicoUsdPerToken::new(u64::MAX), ..Price::default() };
        let usage = Usage { output: u64::MAX, ..Usage::default() };
        assert_eq!(round_up(price.pico(&usage)), NanoUsd::new(u64::MAX));
    }
}
