//! Sources and probabilities in OpenAI's shapes.

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::chat::{Citation, Logprob};

/// None for a source without a place on the web: this format knows no other.
pub(super) fn annotation(citation: &Citation) -> Option<Value> {
    let url = citation.url.as_ref()?;
    let passage = &citation.passage;
    let title = citation.title.as_deref().unwrap_or_default();
    let about = json!({ "start_index": passage.start, "end_index": passage.end, "title": title, "url": url });
    Some(json!({ "type": "url_citation", "url_citation": about }))
}

#[derive(Serialize)]
pub(super) struct LogprobsBody<'a> {
    content: Vec<TokenBody<'a>>,
    refusal: Option<()>,
}

#[derive(Serialize)]
struct TokenBody<'a> {
    token: &'a str,
    logprob: f64,
    bytes: Option<&'a [u8]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<Vec<TokenBody<'a>>>,
}

impl<'a> LogprobsBody<'a> {
    pub(super) fn new(tokens: impl IntoIterator<Item = &'a Logprob>) -> Self {
        let with_top = |token: &'a Logprob| TokenBody {
            top_logprobs: Some(token.top.iter().map(alone).collect()),
            ..alone(token)
        };
        LogprobsBody { content: tokens.into_iter().map(with_top).collect(), refusal: None }
    }
}

fn alone(token: &Logprob) -> TokenBody<'_> {
    TokenBody { token: &token.token, logprob: token.logprob, bytes: token.bytes.as_deref(), top_logprobs: None }
}
