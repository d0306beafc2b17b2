//! Where an answer comes from, and how likely its tokens were.

use serde::Deserialize;

use crate::domain::chat::{Citation, Logprob};

/// What a search found, and which passages of the answer rest on which finding.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Grounding {
    grounding_chunks: Vec<Finding>,
    grounding_supports: Vec<Support>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Finding {
    web: Option<Place>,
    retrieved_context: Option<Place>,
    maps: Option<Place>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Place {
    uri: Option<String>,
    title: Option<String>,
    text: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Support {
    segment: Segment,
    grounding_chunk_indices: Vec<usize>,
}

/// In bytes of the answer's text.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Segment {
    start_index: usize,
    end_index: usize,
}

impl Grounding {
    /// Frames that only say what was searched for name no findings.
    pub(super) fn is_empty(&self) -> bool {
        self.grounding_chunks.is_empty()
    }

    /// One citation per passage and finding. Findings that no passage names rest at the end of the text.
    pub(super) fn citations(&self, text: &str) -> Vec<Citation> {
        let characters = |bytes: usize| text[..text.floor_char_boundary(bytes)].chars().count();
        let mut citations = Vec::new();
        for support in &self.grounding_supports {
            let start = characters(support.segment.start_index);
            let end = characters(support.segment.end_index).max(start);
            let found = support.grounding_chunk_indices.iter().filter_map(|at| self.grounding_chunks.get(*at));
            citations.extend(found.filter_map(|finding| finding.citation(start..end)));
        }
        if self.grounding_supports.is_empty() {
            let end = text.chars().count();
            citations.extend(self.grounding_chunks.iter().filter_map(|finding| finding.citation(end..end)));
        }
        citations
    }
}

impl Finding {
    fn citation(&self, passage: std::ops::Range<usize>) -> Option<Citation> {
        let place = self.web.as_ref().or(self.retrieved_context.as_ref()).or(self.maps.as_ref())?;
        Some(Citation { passage, url: place.uri.clone(), title: place.title.clone(), quote: place.text.clone() })
    }
}

/// The tokens that were chosen, and beside each what might have stood there.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LogprobsResult {
    chosen_candidates: Vec<Token>,
    top_candidates: Vec<Top>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Top {
    candidates: Vec<Token>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Token {
    token: String,
    log_probability: f64,
}

impl LogprobsResult {
    pub(super) fn logprobs(self) -> Vec<Logprob> {
        let mut tops = self.top_candidates.into_iter().map(|top| top.candidates);
        let chosen = self.chosen_candidates.into_iter().map(|token| {
            let top = tops.next().unwrap_or_default();
            Logprob { top: top.into_iter().map(Token::alone).collect(), ..token.alone() }
        });
        chosen.collect()
    }
}

impl Token {
    fn alone(self) -> Logprob {
        let bytes = Some(self.token.bytes().collect());
        Logprob { token: self.token, logprob: self.log_probability, bytes, top: Vec::new() }
    }
}
