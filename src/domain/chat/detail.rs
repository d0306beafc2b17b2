//! What an answer says beside text, reasoning and calls.

use std::ops::Range;

/// A client format that has no word for one of these leaves it out: no dialogue needs it to go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    Citation(Citation),
    /// Of the next tokens of the answer's text, whose fragment stands before or behind it.
    Logprobs(Vec<Logprob>),
    /// Which of the request's stops ended the answer.
    StopSequence(String),
    /// How the call was served, in OpenAI's words: `default`, `priority`, `flex`, …
    ServiceTier(String),
}

/// Where a passage of the answer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// Characters of the answer's texts, taken together, that rest on the source.
    pub passage: Range<usize>,
    pub url: Option<String>,
    pub title: Option<String>,
    /// The source's own words.
    pub quote: Option<String>,
}

/// How likely a token was to the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprob {
    pub token: String,
    /// Natural logarithm of the probability.
    pub logprob: f64,
    /// The token's bytes, which may be a part of a character.
    pub bytes: Option<Vec<u8>>,
    /// What else might have stood here, likeliest first; empty inside of itself.
    pub top: Vec<Logprob>,
}
