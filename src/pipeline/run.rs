//! What is known of one run while it lasts.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::config::Key;
use crate::dialects::{About, Decoded, Dialect, StreamEncoder};
use crate::domain::caller::Caller;
use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::domain::kept::Pen;
use crate::domain::limit::LimitView;
use crate::domain::money::NanoUsd;
use crate::domain::record::{AttemptRecord, ModerationRecord};
use crate::domain::usage::round_up;
use crate::ledger::{Amount, Bill};
use crate::providers::Adapter;

use super::refusal::Refused;
use super::snapshot::Snapshot;

/// What a door hands in: a decoded request of a known caller.
pub struct Call {
    pub run: RunId,
    /// Echoed or minted by the door; also sent upstream.
    pub request_id: String,
    pub caller: Caller,
    /// None in keyless mode.
    pub key: Option<Arc<Key>>,
    pub dialect: &'static dyn Dialect,
    pub decoded: Arc<Decoded>,
    /// Headers that a provider of the client's format has to see.
    pub forwarded: Vec<(&'static str, String)>,
    /// The client says that this is its own retry: the gateway adds none of its own.
    pub client_retries: bool,
    /// None where a connection owns the run.
    pub job: Option<Job>,
}

/// How a run goes on that the queue owns.
pub struct Job {
    pub(super) pen: Pen,
    /// The frames of its stream so far.
    pub(super) earlier: Vec<Bytes>,
    /// Why it is not run at all.
    pub(super) refused: Option<GatewayError>,
}

/// Why a run has no answer to deliver.
#[derive(Debug)]
pub(super) enum End {
    /// The client left; what was delivered is billed.
    Gone,
    Failed(GatewayError),
}

impl End {
    pub(super) fn panicked(run: &RunId, panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no text");
        tracing::error!(%run, panic = text, "a run panicked; this is a defect of the gateway");
        End::Failed(GatewayError::Internal)
    }
}

impl From<GatewayError> for End {
    fn from(error: GatewayError) -> Self {
        End::Failed(error)
    }
}

impl From<super::client::Gone> for End {
    fn from(_: super::client::Gone) -> Self {
        End::Gone
    }
}

/// The run's own notes; its record is made from them.
pub(super) struct Run {
    pub call: Call,
    pub now: Arc<Snapshot>,
    pub started: Instant,
    pub started_ms: u64,
    pub tier: String,
    pub tier_cause: &'static str,
    pub estimate: NanoUsd,
    /// Set aside; nothing while there is no hold.
    pub hold: Amount,
    pub held: bool,
    /// It was admitted without the store.
    pub store_away: bool,
    pub limits: Vec<LimitView>,
    /// None where the tier has no moderation.
    pub moderation: Option<ModerationRecord>,
    pub attempts: Vec<AttemptRecord>,
    /// Why no further attempt was made although one was left.
    pub gave_up: Option<&'static str>,
    /// Output cap of the answering target, when it is lower than what the client asked for or the cost cap lowered it.
    pub clamped_to: Option<u64>,
    pub first_content: Option<Instant>,
    pub cut_at_hold: bool,
    pub hold_expired: bool,
    pub refusal: Refused,
    pub dropped: Vec<String>,
    /// Of a stream that broke off after content: it knows how that is told.
    pub broken_off: Option<Box<dyn StreamEncoder>>,
}

impl Run {
    pub(super) fn new(call: Call, now: Arc<Snapshot>) -> Self {
        let dropped = call.decoded.dropped.clone();
        Run {
            call,
            now,
            started: Instant::now(),
            started_ms: unix_ms(),
            tier: String::new(),
            tier_cause: "",
            estimate: NanoUsd::ZERO,
            hold: Amount::default(),
            held: false,
            store_away: false,
            limits: Vec::new(),
            moderation: None,
            attempts: Vec::new(),
            gave_up: None,
            clamped_to: None,
            first_content: None,
            cut_at_hold: false,
            hold_expired: false,
            refusal: Refused::default(),
            dropped,
            broken_off: None,
        }
    }

    /// The id of the run's hold.
    pub(super) fn hold_id(&self) -> RunId {
        self.call.job.as_ref().map_or(self.call.run, |job| job.pen.hold())
    }

    /// Whether the provider's bytes go to the client as they are. A job's never do: its answer has an id before any
    /// provider is asked, and may have a beginning that another process wrote.
    pub(super) fn passes(&self, adapter: &dyn Adapter) -> bool {
        self.call.job.is_none() && adapter.wire() == self.call.dialect.wire()
    }

    /// An encoder for the client's stream, behind what was said before.
    pub(super) fn encoder(&self, about: &About) -> Box<dyn StreamEncoder> {
        match &self.call.job {
            None => self.call.dialect.encoder(about),
            Some(job) => self.call.dialect.resumed(about, &job.earlier),
        }
    }

    /// Pico-dollars of all attempts so far.
    pub(super) fn spent_pico(&self) -> u128 {
        self.attempts.iter().map(|a| u128::from(a.cost_pico)).sum()
    }

    /// What the run is charged once `more_pico` is booked as well: never above what was set aside.
    pub(super) fn price_with(&self, more_pico: u128) -> NanoUsd {
        round_up(self.spent_pico().saturating_add(more_pico)).min(self.hold.usd)
    }

    /// Input and output tokens of all attempts so far.
    pub(super) fn spent_tokens(&self) -> u64 {
        self.attempts.iter().fold(0, |sum, attempt| sum.saturating_add(attempt.usage.total()))
    }

    /// What the run is charged, as a whole and by target; no part is above what was set aside.
    pub(super) fn bill(&self) -> Bill {
        let amount = |pico: u128, tokens: u64| Amount {
            usd: round_up(pico).min(self.hold.usd),
            tokens: tokens.min(self.hold.tokens),
        };
        let mut targets: Vec<(String, u128, u64)> = Vec::new();
        for attempt in self.attempts.iter().filter(|attempt| attempt.was_sent()) {
            let (pico, tokens) = (u128::from(attempt.cost_pico), attempt.usage.total());
            match targets.iter_mut().find(|(target, ..)| *target == attempt.target) {
                Some((_, sum, all)) => (*sum, *all) = (*sum + pico, all.saturating_add(tokens)),
                None => targets.push((attempt.target.clone(), pico, tokens)),
            }
        }
        Bill {
            total: amount(self.spent_pico(), self.spent_tokens()),
            targets: targets.into_iter().map(|(target, pico, tokens)| (target, amount(pico, tokens))).collect(),
        }
    }
}

/// Unix milliseconds of this process's clock; for records only, limits go by the store's clock.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
