//! The body of a call, as far as an answer depends on it.

mod task;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

pub(super) use task::{FLAGGED_WORD, Task};

#[derive(Deserialize)]
pub(super) struct Ask<'a> {
    #[serde(borrow)]
    pub(super) model: Cow<'a, str>,
    #[serde(default)]
    pub(super) stream: Option<bool>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
    stream_options: Option<StreamOptions>,
    messages: Words,
    system: Option<Words>,
    tools: Option<Words>,
    #[serde(skip, default = "chat")]
    pub(super) task: Task,
}

fn chat() -> Task {
    Task::Chat
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiAsk {
    contents: Words,
    system_instruction: Option<Words>,
    tools: Option<Words>,
    generation_config: Option<GenerationConfig>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig {
    max_output_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct ResponsesAsk<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    stream: Option<bool>,
    max_output_tokens: Option<u64>,
    input: Words,
    instructions: Option<Words>,
    tools: Option<Words>,
}

impl<'a> Ask<'a> {
    /// Errors: what is wrong with the body, in one sentence.
    pub(super) fn parse(body: &'a [u8]) -> Result<Ask<'a>, String> {
        let ask: Ask<'a> = serde_json::from_slice(body).map_err(|error| format!("the body is not valid: {error}"))?;
        if ask.max_tokens() == Some(0) {
            return Err("max_tokens must be at least 1".to_owned());
        }
        if !(1..=128).contains(&ask.choices()) {
            return Err("n must be between 1 and 128".to_owned());
        }
        Ok(ask)
    }

    /// Gemini names the model in the path, and everything else differently.
    pub(super) fn of_gemini(model: &'a str, stream: bool, body: &[u8]) -> Result<Ask<'a>, String> {
        let ask: GeminiAsk = serde_json::from_slice(body).map_err(|error| format!("the body is not valid: {error}"))?;
        let config = ask.generation_config.unwrap_or_default();
        if config.max_output_tokens == Some(0) {
            return Err("generationConfig.maxOutputTokens must be at least 1".to_owned());
        }
        Ok(Ask {
            model: Cow::Borrowed(model),
            stream: Some(stream),
            max_tokens: config.max_output_tokens,
            max_completion_tokens: None,
            n: None,
            stream_options: None,
            messages: ask.contents,
            system: ask.system_instruction,
            tools: ask.tools,
            task: Task::Chat,
        })
    }

    pub(super) fn of_responses(body: &'a [u8]) -> Result<Ask<'a>, String> {
        let ask: ResponsesAsk<'a> =
            serde_json::from_slice(body).map_err(|error| format!("the body is not valid: {error}"))?;
        if ask.max_output_tokens == Some(0) {
            return Err("max_output_tokens must be at least 1".to_owned());
        }
        Ok(Ask {
            model: ask.model,
            stream: ask.stream,
            max_tokens: ask.max_output_tokens,
            max_completion_tokens: None,
            n: None,
            stream_options: None,
            messages: ask.input,
            system: ask.instructions,
            tools: ask.tools,
            task: Task::Chat,
        })
    }

    pub(super) fn max_tokens(&self) -> Option<u64> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    pub(super) fn choices(&self) -> u64 {
        self.n.unwrap_or(1)
    }

    pub(super) fn include_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or(false)
    }

    /// One token per word of every string value in `messages`, `system` and `tools`; roles and types count too. At
    /// least 1, and never more than the body has bytes.
    pub(super) fn input_tokens(&self) -> u64 {
        let optional = |words: &Option<Words>| words.as_ref().map_or(0, |words| words.0);
        (self.messages.0 + optional(&self.system) + optional(&self.tools)).max(1)
    }
}

/// The text of the last user message.
pub(super) fn last_user_text(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let messages = ["messages", "contents", "input"].iter().find_map(|name| body.get(*name))?;
    if let Some(text) = messages.as_str() {
        return Some(text.to_owned());
    }
    let message = messages.as_array()?.iter().rev().find(|message| message["role"] == "user")?;
    match message.get("content").or_else(|| message.get("parts"))? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            Some(texts.join(" "))
        }
        _ => None,
    }
}

/// Counts the words of all strings in a JSON value without building it: this is the hot path of a load test.
struct Words(u64);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Words, E> {
        Ok(Words(text.split_whitespace().count() as u64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Words, A::Error> {
        let mut words = 0;
        while let Some(Words(more)) = items.next_element()? {
            words += more;
        }
        Ok(Words(words))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Words, A::Error> {
        let mut words = 0;
        while let Some((IgnoredAny, Words(more))) = members.next_entry()? {
            words += more;
        }
        Ok(Words(words))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Words, E> {
        Ok(Words(0))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Words, E> {
        Ok(Words(0))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Words, E> {
        Ok(Words(0))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Words, E> {
        Ok(Words(0))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Words, E> {
        Ok(Words(0))
    }
}
