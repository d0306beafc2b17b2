//! What a passage rests on: a search result, a page or a document that the request brought along.

use std::ops::Range;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::domain::chat::Citation;

#[derive(Debug, Deserialize)]
pub(super) struct Source {
    cited_text: Option<String>,
    url: Option<String>,
    /// The place of a search result that the request brought along.
    source: Option<String>,
    title: Option<String>,
    document_title: Option<String>,
}

impl Source {
    pub(super) fn of(self, passage: Range<usize>) -> Citation {
        Citation {
            passage,
            url: self.url.or(self.source),
            title: self.title.or(self.document_title),
            quote: self.cited_text,
        }
    }
}

/// Those that can be read: an answer is worth more than its sources.
pub(super) fn lenient<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<Source>, D::Error> {
    let Value::Array(list) = Value::deserialize(list)? else { return Ok(Vec::new()) };
    Ok(list.into_iter().filter_map(|source| Source::deserialize(source).ok()).collect())
}
