//! What a passage rests on: a search result, a page or a document that the request brought along.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

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

/// Those of a list that can be read: an answer is worth more than its sources.
pub(super) fn read(list: &RawValue) -> Vec<Source> {
    let list: Vec<&RawValue> = serde_json::from_str(list.get()).unwrap_or_default();
    list.into_iter().filter_map(one).collect()
}

pub(super) fn one(source: &RawValue) -> Option<Source> {
    serde_json::from_str(source.get()).ok()
}
