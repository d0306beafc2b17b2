//! What replicas tell each other: news of one, and what the fleet knows.

use std::time::{Duration, Instant};

use crate::domain::ids::KeyId;

use super::health::BreakerRule;

/// Whom news are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// `provider/model`.
    Target(String),
    Key(KeyId),
}

impl Subject {
    /// `target:openai/gpt-4o`, `key:<hex>`.
    pub(super) fn name(&self) -> String {
        match self {
            Subject::Target(name) => format!("target:{name}"),
            Subject::Key(key) => format!("key:{key}"),
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        match name.split_once(':')? {
            ("target", name) => Some(Subject::Target(name.to_owned())),
            ("key", key) => KeyId::parse(key).map(Subject::Key),
            _ => None,
        }
    }
}

/// What happened to one subject in this process since it was last told. Times are what is left of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct News {
    /// Failures in a row, after the last success where there was one.
    pub failures: u32,
    pub succeeded: bool,
    /// By which the fleet's failures count; none where nothing failed.
    pub rule: Option<BreakerRule>,
    /// The breaker was opened for so long, or closed (`Some(None)`).
    pub breaker: Option<Option<Duration>>,
    pub cool: Option<Duration>,
    /// It rests for so long, or was healed (`Some(None)`).
    pub rest: Option<Option<Duration>>,
}

impl News {
    pub(super) fn is_empty(&self) -> bool {
        *self == News::default()
    }
}

/// What the fleet knows of one subject. Times are what is left of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Failures in a row over all replicas.
    pub failures: u32,
    /// None = closed; nothing left of it = half open.
    pub open: Option<Duration>,
    pub cool: Option<Duration>,
    pub rest: Option<Duration>,
}

/// The answer to who asks for a half-open breaker's one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    Yours,
    /// Another replica probes.
    Taken,
    /// Another replica has opened it again.
    Open(Duration),
    /// Another replica has closed it.
    Closed,
}

/// Times before which a subject is not used, and which of them the others have not heard of.
#[derive(Debug, Default)]
pub(super) struct Pause {
    pub cool_until: Option<Instant>,
    pub rest_until: Option<Instant>,
    cool_is_news: bool,
    rest_is_news: bool,
}

impl Pause {
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.cool_until.max(self.rest_until).filter(|until| now < *until)
    }

    pub(super) fn is_cool(&self, now: Instant) -> bool {
        self.cool_until.is_some_and(|until| now < until)
    }

    pub(super) fn cool(&mut self, until: Instant) {
        self.cool_until = self.cool_until.max(Some(until));
        self.cool_is_news = true;
    }

    pub(super) fn rest(&mut self, until: Instant) {
        self.rest_until = self.rest_until.max(Some(until));
        self.rest_is_news = true;
    }

    /// True where there was something to heal.
    pub(super) fn heal(&mut self) -> bool {
        let rested = self.rest_until.take().is_some();
        self.rest_is_news |= rested;
        rested
    }

    pub(super) fn has_news(&self) -> bool {
        self.cool_is_news || self.rest_is_news
    }

    pub(super) fn take_news(&mut self, now: Instant) -> News {
        let left = |until: Option<Instant>| until.map(|until| until.saturating_duration_since(now));
        let cool = left(self.cool_until).filter(|_| std::mem::take(&mut self.cool_is_news));
        let rest = std::mem::take(&mut self.rest_is_news).then(|| left(self.rest_until));
        News { cool, rest, ..News::default() }
    }

    pub(super) fn keep(&mut self, news: &News) {
        self.cool_is_news |= news.cool.is_some();
        self.rest_is_news |= news.rest.is_some();
    }

    pub(super) fn learn(&mut self, standing: &Standing, now: Instant) {
        if !self.has_news() {
            self.cool_until = standing.cool.map(|left| now + left);
            self.rest_until = standing.rest.map(|left| now + left);
        }
    }
}
