//! Anthropic counts cached tokens beside the input, and reports running totals twice in a stream.

use serde_json::Value;

use crate::domain::usage::Usage;
use crate::providers::tokens::count;

/// What was reported so far. Numbers that can't be believed count as not reported.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    /// The part of `cache_write` with the long lifetime.
    cache_write_1h: Option<u64>,
    web_searches: Option<u64>,
}

impl Tally {
    /// Takes the totals of one event; a later one replaces what it names and leaves the rest.
    pub(super) fn update(&mut self, usage: &Value) {
        let replace = |part: &mut Option<u64>, value: &Value| *part = count(value).or(*part);
        replace(&mut self.input, &usage["input_tokens"]);
        replace(&mut self.cache_read, &usage["cache_read_input_tokens"]);
        replace(&mut self.cache_write, &usage["cache_creation_input_tokens"]);
        replace(&mut self.cache_write_1h, &usage["cache_creation"]["ephemeral_1h_input_tokens"]);
        replace(&mut self.web_searches, &usage["server_tool_use"]["web_search_requests"]);
        // Output only grows: a repeated `message_start` says 1 again. The 1 is no count, so that a 0 behind it is the
        // only thing that was said.
        self.output = match (count(&usage["output_tokens"]), self.output) {
            (Some(0), Some(1)) => Some(0),
            (told, before) => told.max(before),
        };
    }

    /// None until both input and output are known.
    pub(super) fn total(&self) -> Option<Usage> {
        let cache_write = self.cache_write.unwrap_or(0);
        let long = self.cache_write_1h.unwrap_or(0).min(cache_write);
        Some(Usage {
            input: self.input?,
            cache_read: self.cache_read.unwrap_or(0),
            cache_write: cache_write - long,
            cache_write_1h: long,
            output: self.output?,
            web_searches: self.web_searches.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(updates: &[Value]) -> Option<Usage> {
        let mut tally = Tally::default();
        for usage in updates {
            tally.update(usage);
        }
        tally.total()
    }

    #[test]
    fn cached_tokens_stand_beside_the_input() {
        let usage = json!({"input_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 9,
            "cache_creation": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 3}, "output_tokens": 2});
        let parts = Usage { input: 5, cache_read: 7, cache_write: 6, cache_write_1h: 3, output: 2, ..Usage::default() };
        assert_eq!(after(&[usage]), Some(parts));
    }

    #[test]
    fn later_totals_replace_earlier_ones() {
        let start = json!({"input_tokens": 43, "cache_read_input_tokens": 4, "output_tokens": 1});
        let end = json!({"input_tokens": 61, "output_tokens": 20});
        let again = json!({"input_tokens": 61, "output_tokens": 1});
        let parts = Usage { input: 61, cache_read: 4, output: 20, ..Usage::default() };
        assert_eq!(after(&[start, end, again]), Some(parts));
    }

    #[test]
    fn a_total_of_nothing_is_not_made_one_by_the_start() {
        let (start, end) = (json!({"input_tokens": 3, "output_tokens": 1}), json!({"output_tokens": 0}));
        assert_eq!(after(&[start, end]).map(|usage| usage.output), Some(0));
    }

    #[test]
    fn searches_at_the_provider_are_counted() {
        let start = json!({"input_tokens": 3, "output_tokens": 1});
        let end = json!({"input_tokens": 900, "output_tokens": 20, "server_tool_use": {"web_search_requests": 2}});
        assert_eq!(after(&[start, end]).map(|usage| usage.web_searches), Some(2));
    }

    #[test]
    fn what_can_not_be_believed_was_not_reported() {
        assert_eq!(after(&[json!({"input_tokens": -3, "output_tokens": 1})]), None);
        assert_eq!(after(&[json!({"output_tokens": 1})]), None);
        let bad_end = json!({"input_tokens": 99_999_999_999u64, "output_tokens": 5});
        let parts = Usage { input: 3, output: 5, ..Usage::default() };
        assert_eq!(after(&[json!({"input_tokens": 3, "output_tokens": 1}), bad_end]), Some(parts));
    }
}
