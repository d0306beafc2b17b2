//! `GET /v1/requests/{id}`: the receipt of a run, for the key that made it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::dialects::OPENAI_CHAT;
use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::domain::limit::{LimitView, Scope};
use crate::domain::record::{AttemptRecord, ModerationRecord, Outcome, RunRecord};
use crate::domain::usage::Usage;

use super::{Door, caller, guard, reply};

/// Amounts of money are nano-dollars, tokens are disjoint parts.
#[derive(Serialize)]
struct Receipt<'a> {
    id: RunId,
    status: u16,
    outcome: Outcome,
    generation: u64,
    tier: &'a str,
    tier_cause: &'a str,
    estimate_nano: u64,
    hold_nano: u64,
    price_nano: u64,
    price_book: &'a str,
    limits: Vec<LimitRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moderation: Option<&'a ModerationRecord>,
    attempts: &'a [AttemptRecord],
    usage: Usage,
    /// Part of the usage is our own count.
    counted: bool,
}

/// One limit before and after the call, in its unit; money is nano-dollars.
#[derive(Serialize)]
struct LimitRow<'a> {
    scope: &'a Scope,
    id: &'a str,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    per: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tz: Option<&'a str>,
    max: u64,
    before: u64,
    after: u64,
}

pub(super) async fn show(request: HttpRequest, door: web::Data<Door>) -> HttpResponse {
    let request_id = reply::request_id(&request);
    let mut origin = None;
    let mut response = match find(&request, &door, &mut origin).await {
        Err(error) => reply::error(OPENAI_CHAT, &error, &request_id),
        Ok(record) => HttpResponse::Ok()
            .insert_header(("cache-control", "no-store"))
            .insert_header(("x-request-id", request_id))
            .json(receipt(&record)),
    };
    guard::allow(&mut response, origin.as_deref());
    response
}

/// A foreign run answers exactly like an unknown one.
async fn find(request: &HttpRequest, door: &Door, origin: &mut Option<String>) -> Result<RunRecord, GatewayError> {
    let now = door.hall.snapshot();
    let (caller, _) = caller::enter(request, door, &now.config, origin).await?;
    let unknown = || GatewayError::RouteNotFound { path: request.path().to_owned() };
    let run = request.match_info().get("id").and_then(RunId::parse).ok_or_else(unknown)?;
    let found = door.hall.runs().get(run, &caller.key).await.map_err(|_| GatewayError::StoreUnavailable)?;
    found.filter(|record| caller.may_see(&record.key, &record.user)).ok_or_else(unknown)
}

fn receipt(record: &RunRecord) -> Receipt<'_> {
    Receipt {
        id: record.id,
        status: record.status,
        outcome: record.outcome,
        generation: record.generation,
        tier: &record.tier,
        tier_cause: &record.tier_cause,
        estimate_nano: record.estimate.get(),
        hold_nano: record.hold.get(),
        price_nano: record.price.get(),
        price_book: &record.price_book,
        limits: record.limits.iter().map(row).collect(),
        moderation: record.moderation.as_ref(),
        attempts: &record.attempts,
        usage: record.usage,
        counted: record.counted,
    }
}

fn row(view: &LimitView) -> LimitRow<'_> {
    LimitRow {
        scope: &view.limit.scope,
        id: &view.subject,
        unit: view.unit().as_str(),
        per: view.limit.quota.window.per(),
        tz: view.limit.quota.window.foreign_zone(),
        max: view.max(),
        before: view.before,
        after: view.after,
    }
}
