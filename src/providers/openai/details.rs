//! Sources, probabilities, and what ended or served an answer.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::wire::{self, Answer, Choice};
use crate::domain::chat::{Citation, Detail, Logprob};

/// What a whole answer, or the first chunk of one, says about how it was served.
pub(super) fn of_answer(answer: &Answer<'_>) -> Option<Detail> {
    wire::text(answer.service_tier).map(|tier| Detail::ServiceTier(tier.into()))
}

/// What stands beside the words of a choice, in the order in which they belong to them.
pub(super) fn of_choice(choice: &Choice<'_>, out: &mut Vec<Detail>) {
    let logprobs = choice.logprobs.and_then(logprobs).filter(|tokens| !tokens.is_empty());
    out.extend(logprobs.map(Detail::Logprobs));
    out.extend(choice.said().and_then(|said| said.annotations).into_iter().flat_map(citations).map(Detail::Citation));
    // vLLM's word; a token's number instead of a text is no stop of the client's.
    out.extend(wire::text(choice.stop_reason).map(|stop| Detail::StopSequence(stop.into())));
}

fn logprobs(raw: &RawValue) -> Option<Vec<Logprob>> {
    #[derive(Deserialize)]
    struct Logprobs {
        content: Option<Vec<Token>>,
    }
    let logprobs: Logprobs = serde_json::from_str(raw.get()).ok()?;
    Some(logprobs.content?.into_iter().map(Token::into).collect())
}

#[derive(Deserialize)]
struct Token {
    token: String,
    logprob: f64,
    bytes: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "or_none")]
    top_logprobs: Vec<Token>,
}

fn or_none<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<Token>, D::Error> {
    Ok(Option::deserialize(list)?.unwrap_or_default())
}

impl From<Token> for Logprob {
    fn from(token: Token) -> Self {
        let Token { token, logprob, bytes, top_logprobs } = token;
        Logprob { token, logprob, bytes, top: top_logprobs.into_iter().map(Token::into).collect() }
    }
}

fn citations(raw: &RawValue) -> Vec<Citation> {
    let list: Vec<Value> = serde_json::from_str(raw.get()).unwrap_or_default();
    let citation = |annotation: &Value| {
        let about = annotation.get("url_citation").filter(|_| annotation["type"] == "url_citation")?;
        let text = |name: &str| about[name].as_str().map(str::to_owned);
        let place = |name: &str| usize::try_from(about[name].as_u64()?).ok();
        let start = place("start_index").unwrap_or_default();
        let end = place("end_index").unwrap_or_default().max(start);
        Some(Citation { passage: start..end, url: text("url"), title: text("title"), quote: None })
    };
    list.iter().filter_map(citation).collect()
}
