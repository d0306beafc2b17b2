//! OpenAI counts cached tokens inside the prompt and reasoning inside the completion; most followers do, too.

use serde_json::Value;

use super::wire::Answer;
use crate::domain::usage::Usage;
use crate::providers::tokens::{count, readable};

/// None when prompt or completion can't be believed: half a count would be billed as a whole one.
pub(super) fn of(answer: &Answer<'_>) -> Option<Usage> {
    let groq = || Some(readable(answer.x_groq?)["usage"].take());
    let usage = answer.usage.map(readable).or_else(groq)?;
    read(&usage)
}

fn read(usage: &Value) -> Option<Usage> {
    let prompt = count(&usage["prompt_tokens"])?;
    let mut output = count(&usage["completion_tokens"])?;
    // xAI counts reasoning outside the completion, but in the total and on the bill.
    if let Some(total) = count(&usage["total_tokens"]) {
        output = output.max(total.saturating_sub(prompt));
    }
    let details = &usage["prompt_tokens_details"];
    // The names that DeepSeek, Moonshot and Mistral have for it.
    let places = [
        &details["cached_tokens"],
        &usage["prompt_cache_hit_tokens"],
        &usage["cached_tokens"],
        &usage["num_cached_tokens"],
    ];
    let cached = places.into_iter().find_map(count).unwrap_or(0);
    let cache_read = cached.min(prompt);
    let cache_write = count(&details["cache_write_tokens"]).unwrap_or(0).min(prompt - cache_read);
    Some(Usage { input: prompt - cache_read - cache_write, cache_read, cache_write, output, ..Usage::default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cached_tokens_are_taken_out_of_the_prompt() {
        let usage = json!({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 15}});
        let parts = Usage { input: 10, cache_read: 60, cache_write: 30, output: 20, ..Usage::default() };
        assert_eq!(read(&usage), Some(parts));
    }

    #[test]
    fn cached_tokens_are_found_under_every_name() {
        for name in ["prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens"] {
            let usage = json!({"prompt_tokens": 10, "completion_tokens": 2, name: 4});
            assert_eq!(read(&usage).map(|u| (u.input, u.cache_read)), Some((6, 4)), "{name}");
        }
    }

    #[test]
    fn reasoning_outside_the_completion_is_billed_through_the_total() {
        let usage = json!({"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 354});
        assert_eq!(read(&usage).map(|u| (u.input, u.output)), Some((12, 342)));
    }

    #[test]
    fn a_count_that_can_not_be_believed_makes_the_usage_unreadable() {
        for usage in [
            json!({"prompt_tokens": -1, "completion_tokens": 2}),
            json!({"prompt_tokens": 1}),
            json!({"prompt_tokens": 1, "completion_tokens": 99_999_999_999u64}),
            json!("12"),
        ] {
            assert_eq!(read(&usage), None, "{usage}");
        }
    }

    #[test]
    fn more_cached_than_prompted_never_goes_below_zero() {
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}});
        assert_eq!(read(&usage).map(|u| (u.input, u.cache_read)), Some((0, 5)));
    }
}
