//! The receipt of a run as JSON: `GET /v1/requests/{id}` for its caller, `headgate explain --json` for operators.

use serde::Serialize;

use crate::domain::ids::RunId;
use crate::domain::limit::{LimitView, Scope, Unit};
use crate::domain::record::{AttemptRecord, Clamp, ModerationRecord, Outcome, Refusal, RunRecord};
use crate::domain::usage::Usage;

use super::spend::rfc3339;

/// Amounts of money are nano-dollars, tokens are disjoint parts.
#[derive(Debug, Serialize)]
pub struct Receipt<'a> {
    id: RunId,
    request_id: &'a str,
    status: u16,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    /// What the client was told, where the words are the gateway's.
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal_cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_by: Option<RefusalRow<'a>>,
    key: &'a str,
    team: &'a str,
    user: &'a str,
    dialect: &'a str,
    stream: bool,
    /// RFC 3339.
    started_at: String,
    ms: u64,
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<&'a str>,
    tier: &'a str,
    tier_cause: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    clamped: Option<Clamp>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    dropped: &'a [String],
    estimate_nano: u64,
    hold_nano: u64,
    hold_expired: bool,
    price_nano: u64,
    price_book: &'a str,
    limits: Vec<LimitRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moderation: Option<&'a ModerationRecord>,
    attempts: &'a [AttemptRecord],
    #[serde(skip_serializing_if = "Option::is_none")]
    gave_up: Option<&'a str>,
    usage: Usage,
    /// Part of the usage is our own count.
    counted: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    store_away: bool,
}

/// One limit before and after the call, in its unit; settled and held together.
#[derive(Debug, Serialize)]
struct LimitRow<'a> {
    scope: &'a Scope,
    id: &'a str,
    unit: &'static str,
    /// The runaway guard that counts here, by its key in config.
    #[serde(skip_serializing_if = "Option::is_none")]
    guard: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tz: Option<&'a str>,
    max: u64,
    before: u64,
    after: u64,
    /// RFC 3339; none for concurrent runs, whose ends nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct RefusalRow<'a> {
    #[serde(flatten)]
    limit: LimitRow<'a>,
    asked: u64,
    retry_after_ms: u64,
}

impl<'a> Receipt<'a> {
    pub fn of(record: &'a RunRecord) -> Self {
        Receipt {
            id: record.id,
            request_id: &record.request_id,
            status: record.status,
            outcome: record.outcome,
            error_code: record.error_code.as_deref(),
            told: record.told.as_deref(),
            refusal_cause: record.refusal_cause.as_deref(),
            refused_by: record.refused_by.as_ref().map(refusal_row),
            key: &record.key,
            team: &record.team,
            user: &record.user,
            dialect: &record.dialect,
            stream: record.stream,
            started_at: rfc3339(record.started_ms),
            ms: record.total_ms,
            generation: record.generation,
            asked: record.asked.as_deref(),
            tier: &record.tier,
            tier_cause: &record.tier_cause,
            clamped: record.clamped,
            dropped: &record.dropped,
            estimate_nano: record.estimate.get(),
            hold_nano: record.hold.get(),
            hold_expired: record.hold_expired,
            price_nano: record.price.get(),
            price_book: &record.price_book,
            limits: record.limits.iter().map(row).collect(),
            moderation: record.moderation.as_ref(),
            attempts: &record.attempts,
            gave_up: record.gave_up.as_deref(),
            usage: record.usage,
            counted: record.counted,
            store_away: record.store_away,
        }
    }
}

fn refusal_row(refusal: &Refusal) -> RefusalRow<'_> {
    RefusalRow { limit: row(&refusal.view), asked: refusal.asked, retry_after_ms: refusal.retry_after_ms }
}

fn row(view: &LimitView) -> LimitRow<'_> {
    LimitRow {
        scope: &view.limit.scope,
        id: &view.subject,
        unit: view.unit().as_str(),
        guard: view.unit().guard(),
        per: view.limit.quota.window.per(),
        tz: view.limit.quota.window.foreign_zone(),
        max: view.max(),
        before: view.before,
        after: view.after,
        resets_at: (view.unit() != Unit::Concurrent).then(|| rfc3339(view.resets_at_ms)),
    }
}
