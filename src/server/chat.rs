//! Routes of model calls: read, identify, decode, hand over, copy back.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use crate::dialects::{
    ANTHROPIC_MESSAGES, Dialect, OPENAI_CHAT, OPENAI_COMPACTION, OPENAI_EMBEDDINGS, OPENAI_RESPONSES, UI_MESSAGES,
};
use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::pipeline::{Call, RunHandle};

use super::{Connection, Door, background, body, caller, guard, keeping, reply, responses, unread};

pub(super) async fn openai_chat(request: HttpRequest, payload: web::Payload, door: web::Data<Door>) -> HttpResponse {
    chat(OPENAI_CHAT, &request, payload, &door).await
}

pub(super) async fn messages(request: HttpRequest, payload: web::Payload, door: web::Data<Door>) -> HttpResponse {
    chat(ANTHROPIC_MESSAGES, &request, payload, &door).await
}

pub(super) async fn response(request: HttpRequest, payload: web::Payload, door: web::Data<Door>) -> HttpResponse {
    chat(OPENAI_RESPONSES, &request, payload, &door).await
}

pub(super) async fn ui_messages(request: HttpRequest, payload: web::Payload, door: web::Data<Door>) -> HttpResponse {
    chat(UI_MESSAGES, &request, payload, &door).await
}

pub(super) async fn embeddings(request: HttpRequest, payload: web::Payload, door: web::Data<Door>) -> HttpResponse {
    chat(OPENAI_EMBEDDINGS, &request, payload, &door).await
}

pub(super) async fn compaction(request: HttpRequest, payload: web::Payload, door: web::Data<Door>) -> HttpResponse {
    chat(OPENAI_COMPACTION, &request, payload, &door).await
}

async fn chat(
    dialect: &'static dyn Dialect,
    request: &HttpRequest,
    mut payload: web::Payload,
    door: &Door,
) -> HttpResponse {
    let request_id = reply::request_id(request);
    let (mut dialect, mut origin) = (dialect, None);
    let started = start(&mut dialect, request, &mut payload, door, &request_id, &mut origin).await;
    let mut response = match started {
        Ok(Started::Run(handle)) => reply::from_run(dialect, handle, &request_id).await,
        Ok(Started::Told(told)) => told,
        Err(error) => unread::drained(reply::error(dialect, &error, &request_id), payload),
    };
    guard::allow(&mut response, origin.as_deref());
    response
}

/// What a call has led to.
pub(super) enum Started {
    Run(RunHandle),
    /// It is queued, and this says so.
    Told(HttpResponse),
}

/// Everything that needs no hold and no policy. A request that fails here never was a run. What is learnt on the way of
/// how to answer the client is left in `dialect` and `origin`.
async fn start(
    dialect: &mut &'static dyn Dialect,
    request: &HttpRequest,
    payload: &mut web::Payload,
    door: &Door,
    request_id: &str,
    origin: &mut Option<String>,
) -> Result<Started, GatewayError> {
    let now = door.hall.snapshot();
    let config = &now.config;
    let (caller, key) = caller::enter(request, door, config, origin).await?;
    if door.hall.status().is_draining() {
        return Err(GatewayError::ShuttingDown);
    }
    let body = body::read(request, payload, config.server.max_body_bytes, config.timeouts.client_body).await?;
    *dialect = dialect.variant(&body).unwrap_or(*dialect);
    let decoded = dialect.decode(body.clone())?;
    let in_background = keeping::in_background(decoded.keeping.as_ref())?;
    let journaled = keeping::journaled(request, &caller, &body, *dialect, &decoded)?;
    let decoded = responses::continued(&door.hall, &caller, *dialect, decoded, config.server.max_body_bytes).await?;
    let retries = request.headers().get("x-stainless-retry-count").and_then(|value| value.to_str().ok());
    let call = Call {
        run: RunId::mint(),
        request_id: request_id.to_owned(),
        caller,
        key,
        dialect: *dialect,
        decoded: Arc::new(decoded),
        forwarded: forwarded(*dialect, request),
        client_retries: retries.is_some_and(|count| count != "0"),
        job: None,
    };
    let connection = request.conn_data::<Connection>().map(|connection| connection.gone.clone());
    let connection = connection.unwrap_or_default();
    match journaled {
        Some(how) if in_background => background::start(call, how, body, door, &connection).await,
        journaled => Ok(Started::Run(door.hall.start(call, journaled, &connection))),
    }
}

/// The headers that this dialect hands on. One given in several lines is one list.
fn forwarded(dialect: &dyn Dialect, request: &HttpRequest) -> Vec<(&'static str, String)> {
    let value = |name: &&'static str| {
        let lines: Vec<&str> = request.headers().get_all(*name).filter_map(|line| line.to_str().ok()).collect();
        (!lines.is_empty()).then(|| (*name, lines.join(",")))
    };
    dialect.forwarded_headers().iter().filter_map(value).collect()
}
