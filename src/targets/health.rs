//! Health of one target as this process sees it.

use std::time::{Duration, Instant};

use super::board::{News, Pause, Standing};

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRule {
    /// Failures in a row.
    pub errors: u32,
    pub open: Duration,
}

/// State of one breaker as dashboards show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    HalfOpen,
    Open,
}

#[derive(Debug, Default)]
pub(super) struct Health {
    failures_in_a_row: u32,
    open_until: Option<Instant>,
    /// A call that has to find out is under way.
    pub probing: bool,
    pub pause: Pause,
    /// Moving average of output tokens per second.
    pub tokens_per_second: Option<f64>,
    /// Failures in a row that the fleet has counted, as last heard: a success is news only where there are any.
    fleet_failures: u32,
    /// The part of the news that is no time.
    untold: News,
    breaker_is_news: bool,
}

impl Health {
    /// Whether a call may be made, and if so whether it is the probe of a half-open breaker.
    pub(super) fn admit(&mut self, now: Instant) -> Result<bool, Instant> {
        if let Some(until) = self.pause.until(now) {
            return Err(until);
        }
        let Some(until) = self.open_until else { return Ok(false) };
        if now < until {
            return Err(until);
        }
        if self.probing {
            return Err(now + Duration::from_secs(1));
        }
        self.probing = true;
        Ok(true)
    }

    /// The same where only a rest stands in the way; such a call is always a probe.
    pub(super) fn admit_last_resort(&mut self, now: Instant) -> bool {
        let is_open = self.open_until.is_some_and(|until| now < until);
        let admitted = !is_open && !self.pause.is_cool(now) && !self.probing;
        self.probing |= admitted;
        admitted
    }

    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.open_until {
            None => BreakerState::Closed,
            Some(until) if now < until => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// True where the others must hear of it at once.
    pub(super) fn succeeded(&mut self) -> bool {
        self.failures_in_a_row = 0;
        self.untold.failures = 0;
        self.untold.succeeded |= self.fleet_failures > 0;
        let closed = self.open_until.take().is_some();
        self.breaker_is_news |= closed;
        self.pause.heal() || closed
    }

    /// True where the others must hear of it at once. `probe`: this call was to find out.
    pub(super) fn failed(&mut self, rule: BreakerRule, probe: bool, now: Instant) -> bool {
        // A straggler of the time before it opened says nothing new, and must not keep it open.
        if self.open_until.is_some() && !probe {
            return false;
        }
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.untold.failures = self.untold.failures.saturating_add(1);
        self.untold.rule = Some(rule);
        // A breaker that is half open opens again at once.
        let opens = self.open_until.is_some() || self.failures_in_a_row >= rule.errors;
        if opens {
            self.open_until = Some(now + rule.open);
            self.breaker_is_news = true;
        }
        opens
    }

    /// Another replica has closed the breaker.
    pub(super) fn close(&mut self) {
        self.open_until = None;
        self.failures_in_a_row = 0;
    }

    /// Another replica has opened the breaker.
    pub(super) fn open(&mut self, until: Instant) {
        self.open_until = Some(until);
    }

    pub(super) fn breaker_is_news(&self) -> bool {
        self.breaker_is_news
    }

    pub(super) fn take_news(&mut self, now: Instant) -> News {
        let open = || self.open_until.map(|until| until.saturating_duration_since(now));
        let breaker = self.breaker_is_news.then(open);
        self.breaker_is_news = false;
        let News { cool, rest, .. } = self.pause.take_news(now);
        News { breaker, cool, rest, ..std::mem::take(&mut self.untold) }
    }

    pub(super) fn keep(&mut self, news: &News) {
        self.pause.keep(news);
        self.breaker_is_news |= news.breaker.is_some();
        // A success that came since then has ended the older row.
        if !self.untold.succeeded {
            self.untold.failures = self.untold.failures.saturating_add(news.failures);
            self.untold.succeeded = news.succeeded;
        }
        self.untold.rule = self.untold.rule.or(news.rule);
    }

    pub(super) fn learn(&mut self, standing: &Standing, now: Instant) {
        self.fleet_failures = standing.failures;
        self.pause.learn(standing, now);
        if self.breaker_is_news {
            return;
        }
        match standing.open {
            Some(left) => self.open(now + left),
            None if self.is_open() => self.close(),
            None => {}
        }
    }
}
