//! Gemini counts cached tokens inside the prompt, thoughts and tool prompts beside everything.

use serde_json::Value;

use crate::domain::usage::Usage;
use crate::providers::tokens::count;

/// None when a count can't be believed. Counts of zero are left out by the provider, so the prompt alone is a usage.
pub(super) fn of(metadata: &Value) -> Option<Usage> {
    let part = |name: &str| match &metadata[name] {
        Value::Null => Some(0),
        value => count(value),
    };
    let prompt = count(&metadata["promptTokenCount"])?;
    let input = prompt + part("toolUsePromptTokenCount")?;
    let cache_read = part("cachedContentTokenCount")?.min(prompt);
    // The total is what is billed, whatever the parts leave out.
    let beyond_input = part("totalTokenCount")?.saturating_sub(input);
    let output = (part("candidatesTokenCount")? + part("thoughtsTokenCount")?).max(beyond_input);
    Some(Usage { input: input - cache_read, cache_read, output, ..Usage::default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thoughts_are_output_and_cached_tokens_are_taken_out_of_the_prompt() {
        let metadata = json!({"promptTokenCount": 100, "cachedContentTokenCount": 60, "toolUsePromptTokenCount": 5,
            "candidatesTokenCount": 20, "thoughtsTokenCount": 30, "totalTokenCount": 155});
        assert_eq!(of(&metadata), Some(Usage { input: 45, cache_read: 60, output: 50, ..Usage::default() }));
    }

    #[test]
    fn a_count_that_is_left_out_is_zero_and_one_that_can_not_be_believed_is_no_usage() {
        assert_eq!(of(&json!({"promptTokenCount": 9})), Some(Usage { input: 9, ..Usage::default() }));
        assert_eq!(of(&json!({"trafficType": "ON_DEMAND"})), None);
        assert_eq!(of(&json!({"promptTokenCount": 9, "candidatesTokenCount": -1})), None);
        assert_eq!(of(&json!({"promptTokenCount": 9, "thoughtsTokenCount": 99_999_999_999u64})), None);
    }

    #[test]
    fn the_total_tells_of_output_that_no_part_names() {
        let metadata = json!({"promptTokenCount": 10, "candidatesTokenCount": 2, "totalTokenCount": 42});
        assert_eq!(of(&metadata).map(|usage| usage.output), Some(32));
    }
}
