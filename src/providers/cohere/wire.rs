//! What an answer and the events of a stream look like: an event holds a fragment of the message in the message's shape.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::usage::Usage;
use crate::providers::tokens::count;

/// A whole answer.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) id: Option<String>,
    pub(super) message: Message,
    #[serde(flatten)]
    pub(super) end: End,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Event {
    MessageStart {
        id: Option<String>,
    },
    #[serde(alias = "content-delta", alias = "tool-plan-delta", alias = "tool-call-start", alias = "tool-call-delta")]
    ContentStart {
        delta: Delta,
    },
    ToolCallEnd,
    MessageEnd {
        delta: End,
    },
    /// Citations, ends of contents, and what is still to come.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
pub(super) struct Delta {
    pub(super) message: Message,
}

#[derive(Deserialize)]
pub(super) struct Message {
    pub(super) content: Option<OneOrMore<Piece>>,
    pub(super) tool_plan: Option<String>,
    pub(super) tool_calls: Option<OneOrMore<Call>>,
}

/// Fragments come alone, whole messages have lists.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore<T> {
    More(Vec<T>),
    One(T),
}

impl<T> OneOrMore<T> {
    pub(super) fn each(this: Option<Self>) -> impl Iterator<Item = T> {
        let (one, more) = match this {
            None => (None, Vec::new()),
            Some(OneOrMore::One(one)) => (Some(one), Vec::new()),
            Some(OneOrMore::More(more)) => (None, more),
        };
        one.into_iter().chain(more)
    }
}

#[derive(Deserialize)]
pub(super) struct Piece {
    pub(super) text: Option<String>,
    pub(super) thinking: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Call {
    pub(super) id: Option<String>,
    pub(super) function: Option<Function>,
}

#[derive(Deserialize)]
pub(super) struct Function {
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
}

/// Why the answer ended and what it cost.
#[derive(Deserialize)]
pub(super) struct End {
    pub(super) finish_reason: Option<String>,
    #[serde(default)]
    usage: Value,
    /// Words for an end that is an error.
    pub(super) error: Option<String>,
}

impl End {
    /// The units that are on the bill; the tokens the model saw are a few more, and not paid for.
    pub(super) fn usage(&self) -> Option<Usage> {
        let pair = |part: &Value| Some((count(&part["input_tokens"])?, count(&part["output_tokens"])?));
        let (input, output) = pair(&self.usage["billed_units"]).or_else(|| pair(&self.usage["tokens"]))?;
        let cache_read = count(&self.usage["cached_tokens"]).unwrap_or(0).min(input);
        Some(Usage { input: input - cache_read, cache_read, output, ..Usage::default() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_billed_counts_and_not_what_the_model_saw() {
        let of = |usage: Value| End { finish_reason: None, usage, error: None }.usage();
        let seen = json!({ "input_tokens": 500.0, "output_tokens": 31.0 });
        let both = json!({ "billed_units": { "input_tokens": 12.0, "output_tokens": 30.0 }, "tokens": seen, "cached_tokens": 4 });
        assert_eq!(of(both), Some(Usage { input: 8, cache_read: 4, output: 30, ..Usage::default() }));
        assert_eq!(of(json!({ "tokens": seen })), Some(Usage { input: 500, output: 31, ..Usage::default() }));
        assert_eq!(of(json!({ "billed_units": { "search_units": 1 } })), None);
        assert_eq!(of(Value::Null), None);
    }
}
