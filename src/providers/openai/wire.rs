//! What a chat completion and its chunks look like, read leniently: a field of the wrong type counts as absent,
//! because compatible servers differ in everything that SDKs happen not to read.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::chat::{Finish, InBandError};
use crate::providers::errors;

#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    pub(super) model: Option<&'a RawValue>,
    pub(super) choices: Option<Vec<Choice<'a>>>,
    pub(super) usage: Option<&'a RawValue>,
    pub(super) error: Option<&'a RawValue>,
    pub(super) x_groq: Option<&'a RawValue>,
    pub(super) service_tier: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    pub(super) index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Said<'a>>,
    message: Option<Said<'a>>,
    pub(super) finish_reason: Option<&'a RawValue>,
    pub(super) stop_reason: Option<&'a RawValue>,
    pub(super) logprobs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    pub(super) refusal: Option<&'a RawValue>,
    pub(super) annotations: Option<&'a RawValue>,
    reasoning_content: Option<&'a RawValue>,
    /// The other name some servers have for it; OpenRouter and newer vLLM.
    reasoning: Option<&'a RawValue>,
    pub(super) tool_calls: Option<Vec<Call<'a>>>,
    /// The legacy form of a call.
    pub(super) function_call: Option<Called<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Call<'a> {
    pub(super) index: Option<u64>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    pub(super) function: Option<Called<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Called<'a> {
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    pub(super) arguments: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    pub(super) fn said(&self) -> Option<&Said<'a>> {
        self.delta.as_ref().or(self.message.as_ref())
    }
}

impl<'a> Said<'a> {
    pub(super) fn reasoning(&self) -> Option<Cow<'a, str>> {
        text(self.reasoning_content).or_else(|| text(self.reasoning))
    }
}

/// A piece of `content`: a text, or one of a list of typed parts.
pub(super) enum Piece<'a> {
    Text(Cow<'a, str>),
    Reasoning(Cow<'a, str>),
}

pub(super) fn pieces<'a>(content: Option<&'a RawValue>, take: &mut dyn FnMut(Piece<'a>)) {
    let Some(raw) = content else { return };
    if !raw.get().starts_with('[') {
        if let Some(text) = text(content) {
            take(Piece::Text(text));
        }
        return;
    }
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow)]
        text: Option<&'a RawValue>,
        thinking: Option<&'a RawValue>,
    }
    for part in serde_json::from_str::<Vec<Typed<'a>>>(raw.get()).unwrap_or_default() {
        if let Some(text) = text(part.text) {
            take(Piece::Text(text));
        }
        pieces(part.thinking, &mut |inner| {
            let (Piece::Text(text) | Piece::Reasoning(text)) = inner;
            take(Piece::Reasoning(text));
        });
    }
}

/// A text that says something; borrowed where nothing is escaped in it.
pub(super) fn text<'a>(raw: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
    #[derive(Deserialize)]
    struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
    let raw = raw?.get();
    if !raw.starts_with('"') {
        return None;
    }
    serde_json::from_str(raw).ok().map(|Borrowed(text)| text).filter(|text| !text.is_empty())
}

/// Arguments of a call: JSON in a text, or the bare object that some servers send.
pub(super) fn arguments<'a>(raw: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
    text(raw).or_else(|| raw.map(RawValue::get).filter(|raw| raw.starts_with('{')).map(Cow::Borrowed))
}

/// Why a choice ended; an error where the provider says that it failed.
pub(super) fn finish(raw: Option<&RawValue>) -> Option<Result<Finish, InBandError>> {
    let word = text(raw)?;
    Some(Ok(match word.as_ref() {
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolCalls,
        "content_filter" | "safety" | "refusal" => Finish::ContentFilter,
        "error" | "network_error" | "insufficient_system_resource" => {
            let message = "the provider broke its answer off".to_owned();
            return Some(Err(InBandError { message, code: Some(word.into_owned()), ..InBandError::default() }));
        }
        _ => Finish::Stop,
    }))
}

impl Answer<'_> {
    /// The error this answer or chunk is, if it is one. `whole` is its JSON text.
    pub(super) fn in_band_error(&self, whole: &[u8]) -> Option<InBandError> {
        let has_choices = self.choices.as_ref().is_some_and(|choices| !choices.is_empty());
        if self.error.is_none() && (has_choices || self.usage.is_some()) {
            return None;
        }
        serde_json::from_slice(whole).ok().and_then(|value| errors::read(&value))
    }
}
