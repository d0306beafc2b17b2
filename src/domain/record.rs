//! The record of a run: what its receipt, its log line and its metrics are made from.

use serde::{Deserialize, Serialize};

use super::ids::RunId;
use super::limit::LimitView;
use super::money::NanoUsd;
use super::usage::Usage;

/// Version of the stored shape. Two neighbouring releases must be able to read each other's records.
///
/// 2: what was asked for and told, who refused, what was lowered or left out, and how long attempts took. All of it may
/// be absent, so that 1 is read as well.
pub const RECORD_VERSION: u16 = 2;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Error,
    ClientGone,
    CutAtHold,
    Refused,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Error => "error",
            Outcome::ClientGone => "client_gone",
            Outcome::CutAtHold => "cut_at_hold",
            Outcome::Refused => "refused",
        }
    }
}

/// One call to one target inside a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// `provider/model`.
    pub target: String,
    /// Which of the provider's `api_keys`, from 1; none where there is no choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<u32>,
    /// HTTP status, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What failed, in a word or the provider's code; none = it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Category the `errors` policy gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Milliseconds waited before this attempt.
    pub wait_ms: u64,
    /// Milliseconds that it took itself.
    #[serde(default)]
    pub ms: u64,
    pub usage: Usage,
    /// Pico-dollars; a run is rounded up once, as a whole.
    pub cost_pico: u64,
    /// The usage is our own count, not the provider's.
    pub estimated: bool,
}

impl AttemptRecord {
    /// False where no connection came about, so that no provider can have seen the request.
    pub fn was_sent(&self) -> bool {
        self.error.as_deref() != Some("connect")
    }
}

/// How the judgement before the first attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    Passed,
    Flagged,
    /// Nobody judged; what that means is the tier's to say.
    Failed,
    ClientGone,
}

impl Judgement {
    pub fn as_str(self) -> &'static str {
        match self {
            Judgement::Passed => "passed",
            Judgement::Flagged => "flagged",
            Judgement::Failed => "failed",
            Judgement::ClientGone => "client_gone",
        }
    }

    /// The judge worked, and no model had to. Such a run costs nothing, but it was one: a flood of them would have the
    /// judge for free if they did not count as requests.
    pub fn ended_the_run(self) -> bool {
        matches!(self, Judgement::Flagged | Judgement::ClientGone)
    }
}

/// One judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModerationRecord {
    /// `provider/model` of the judge.
    pub target: String,
    pub judgement: Judgement,
    /// What was flagged, in the provider's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Why nobody judged, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Milliseconds that it took.
    pub ms: u64,
}

/// The limit or guard that said no.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// As it stood then.
    pub view: LimitView,
    /// What the run wanted, in the limit's unit.
    pub asked: u64,
    /// Milliseconds until the same would have fitted, if nobody else came first.
    pub retry_after_ms: u64,
}

/// Output caps in tokens, where the client got a lower one than it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clamp {
    pub asked: u64,
    pub to: u64,
}

/// The whole run. Holds no prompt and no answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    pub version: u16,
    pub id: RunId,
    pub request_id: String,
    pub key: String,
    pub team: String,
    pub user: String,
    pub dialect: String,
    pub stream: bool,
    /// Config generation that the whole run saw.
    pub generation: u64,
    /// The request's `model`, as far as it is shown; none where it named none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    pub tier: String,
    /// Why this tier: `asked`, `default`, `alias`, `policy`, `direct`.
    pub tier_cause: String,
    /// Target that answered, or the last one tried; empty before any attempt.
    pub target: String,
    /// HTTP status the client got (499 when it left first).
    pub status: u16,
    pub outcome: Outcome,
    /// Error code the client got, when it got one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What the client was told, where the words are the gateway's own and not a provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// Who said no, where it was the gateway: `limit`, `guard`, `cost_cap`, `policy`, `policy_failed`, `moderation`,
    /// `moderation_failed`, `key`, `request`, `store`, `gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal_cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<Refusal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clamped: Option<Clamp>,
    /// Fields of the request that the target has no place for, or that callers have no say in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moderation: Option<ModerationRecord>,
    pub attempts: Vec<AttemptRecord>,
    /// Why no further attempt was made although one was left: `retry_budget`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_up: Option<String>,
    pub limits: Vec<LimitView>,
    /// It was admitted while the store did not answer; the limits are those of what may be spent meanwhile.
    #[serde(default)]
    pub store_away: bool,
    pub estimate: NanoUsd,
    pub hold: NanoUsd,
    /// Nobody renewed the hold in time. Until the run ended after all, the operator paid for it.
    #[serde(default)]
    pub hold_expired: bool,
    pub price: NanoUsd,
    /// Version of the price book in force.
    pub price_book: String,
    pub usage: Usage,
    /// At least one part of `usage` is our own count.
    pub counted: bool,
    /// Unix milliseconds.
    pub started_ms: u64,
    pub total_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_content_ms: Option<u64>,
}
