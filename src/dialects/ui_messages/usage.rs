//! The SDK's words for how an answer ended and what it took.

use serde_json::{Value, json};

use crate::domain::chat::Finish;
use crate::domain::usage::Usage;

pub(super) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool-calls",
        Finish::ContentFilter => "content-filter",
    }
}

/// Tokens by the names that the SDK has for them.
pub(super) fn usage(usage: &Usage) -> Value {
    let input = usage.total_input();
    json!({
        "inputTokens": input,
        "outputTokens": usage.output,
        "totalTokens": input.saturating_add(usage.output),
        "cachedInputTokens": usage.cache_read,
    })
}
