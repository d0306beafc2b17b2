//! `POST /v1/messages/count_tokens`: an estimate of our own, so that it costs no provider's call and is the same for
//! every target of a tier. See [`tokens::input_estimate`] for how it is made.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::dialects::{ANTHROPIC_MESSAGES, Decoded, countable_messages};
use crate::domain::error::GatewayError;
use crate::pricing::tokens;

use super::{Door, body, caller, guard, reply, unread};

#[derive(Serialize)]
struct Count {
    input_tokens: u64,
}

pub(super) async fn count(request: HttpRequest, mut payload: web::Payload, door: web::Data<Door>) -> HttpResponse {
    let request_id = reply::request_id(&request);
    let mut origin = None;
    let mut response = match read(&request, &mut payload, &door, &mut origin).await {
        Err(error) => unread::drained(reply::error(ANTHROPIC_MESSAGES, &error, &request_id), payload),
        Ok(call) => HttpResponse::Ok()
            .insert_header(("cache-control", "no-store"))
            .insert_header(("x-request-id", request_id.as_str()))
            .insert_header(("request-id", request_id.as_str()))
            .json(Count { input_tokens: estimate(&call) }),
    };
    guard::allow(&mut response, origin.as_deref());
    response
}

async fn read(
    request: &HttpRequest,
    payload: &mut web::Payload,
    door: &Door,
    origin: &mut Option<String>,
) -> Result<Decoded, GatewayError> {
    let now = door.hall.snapshot();
    let config = &now.config;
    guard::host(request, config)?;
    let (_, key) = caller::identify(request, config)?;
    *origin = guard::origin(request, key.as_deref())?;
    let body = body::read(request, payload, config.server.max_body_bytes, config.timeouts.client_body).await?;
    countable_messages(body)
}

fn estimate(call: &Decoded) -> u64 {
    let bytes = call.billed.iter().filter_map(|span| call.body.get(span.clone()));
    let fields: Vec<&str> = bytes.filter_map(|bytes| std::str::from_utf8(bytes).ok()).collect();
    tokens::input_estimate(&fields)
}
