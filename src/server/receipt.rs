//! `GET /v1/requests/{id}`: the receipt of a run, for the key that made it.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::dialects::OPENAI_CHAT;
use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::domain::record::RunRecord;
use crate::pipeline::Receipt;

use super::{Door, caller, guard, reply};

pub(super) async fn show(request: HttpRequest, door: web::Data<Door>) -> HttpResponse {
    let request_id = reply::request_id(&request);
    let mut origin = None;
    let mut response = match find(&request, &door, &mut origin).await {
        Err(error) => reply::error(OPENAI_CHAT, &error, &request_id),
        Ok(record) => HttpResponse::Ok()
            .insert_header(("cache-control", "no-store"))
            .insert_header(("x-request-id", request_id))
            .json(Receipt::of(&record)),
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
