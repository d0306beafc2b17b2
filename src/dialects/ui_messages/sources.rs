//! Sources of an answer. A page lists each once; an answer may cite it many times.

#[derive(Default)]
pub(super) struct Sources {
    urls: Vec<String>,
}

impl Sources {
    /// An id for a source that was not named before.
    pub(super) fn id(&mut self, url: &str) -> Option<String> {
        if self.urls.iter().any(|known| known == url) {
            return None;
        }
        self.urls.push(url.to_owned());
        Some(format!("source-{}", self.urls.len()))
    }
}
