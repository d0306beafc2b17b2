//! Sources in Anthropic's shape.

use serde::Serialize;

use crate::domain::chat::{ChatReply, Citation, Detail, Part};

/// The one shape with a place on the web.
#[derive(Serialize)]
#[serde(tag = "type", rename = "web_search_result_location")]
pub(super) struct CitationBody<'a> {
    url: &'a str,
    title: Option<&'a str>,
    cited_text: &'a str,
    /// What only Anthropic's own search can write. An empty one comes back with the client's history and is cut out then,
    /// see `unreadable.rs`.
    encrypted_index: &'static str,
}

impl<'a> CitationBody<'a> {
    /// None for a source without a place on the web.
    pub(super) fn new(citation: &'a Citation) -> Option<Self> {
        let url = citation.url.as_deref()?;
        let cited_text = citation.quote.as_deref().unwrap_or_default();
        Some(CitationBody { url, title: citation.title.as_deref(), cited_text, encrypted_index: "" })
    }
}

/// Sources of each text of an answer: each goes to the text that its passage begins in, and one behind all of them to the
/// last.
pub(super) fn by_text(reply: &ChatReply) -> Vec<Vec<CitationBody<'_>>> {
    let mut characters = 0;
    let mut ends = Vec::new();
    for part in &reply.parts {
        if let Part::Text(text) = part {
            characters += text.chars().count();
            ends.push(characters);
        }
    }
    let mut by_text: Vec<Vec<CitationBody<'_>>> = ends.iter().map(|_| Vec::new()).collect();
    for detail in &reply.details {
        let Detail::Citation(citation) = detail else { continue };
        let at = ends.iter().position(|end| citation.passage.start < *end).unwrap_or(ends.len().saturating_sub(1));
        if let Some(citations) = by_text.get_mut(at) {
            citations.extend(CitationBody::new(citation));
        }
    }
    by_text
}
