//! `POST /v1/messages/count_tokens` and `POST /v1/responses/input_tokens`: an estimate of our own, so that it costs no provider's call and is the same for
//! every target of a tier. See [`tokens::input_estimate`] for how it is made.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Serialize;

use crate::dialects::{ANTHROPIC_MESSAGES, Decoded, Dialect, OPENAI_RESPONSES, countable_messages, countable_response};
use crate::domain::error::GatewayError;
use crate::pricing::tokens;

use super::{Door, body, caller, guard, reply, responses, unread};

#[derive(Serialize)]
struct Count {
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'static str>,
    input_tokens: u64,
}

/// How a format asks for its count.
struct Asked {
    dialect: &'static dyn Dialect,
    decode: fn(Bytes) -> Result<Decoded, GatewayError>,
    object: Option<&'static str>,
}

pub(super) async fn messages(request: HttpRequest, payload: web::Payload, door: web::Data<Door>) -> HttpResponse {
    count(Asked { dialect: ANTHROPIC_MESSAGES, decode: countable_messages, object: None }, &request, payload, &door)
        .await
}

pub(super) async fn response(request: HttpRequest, payload: web::Payload, door: web::Data<Door>) -> HttpResponse {
    let object = Some("response.input_tokens");
    count(Asked { dialect: OPENAI_RESPONSES, decode: countable_response, object }, &request, payload, &door).await
}

async fn count(asked: Asked, request: &HttpRequest, mut payload: web::Payload, door: &Door) -> HttpResponse {
    let request_id = reply::request_id(request);
    let mut origin = None;
    let mut response = match read(&asked, request, &mut payload, door, &mut origin).await {
        Err(error) => unread::drained(reply::error(asked.dialect, &error, &request_id), payload),
        Ok(call) => {
            let mut reply = HttpResponse::Ok();
            reply.insert_header(("cache-control", "no-store")).insert_header(("x-request-id", request_id.as_str()));
            if let Some(name) = asked.dialect.request_id_header() {
                reply.insert_header((name, request_id.as_str()));
            }
            reply.json(Count { object: asked.object, input_tokens: estimate(&call) })
        }
    };
    guard::allow(&mut response, origin.as_deref());
    response
}

async fn read(
    asked: &Asked,
    request: &HttpRequest,
    payload: &mut web::Payload,
    door: &Door,
    origin: &mut Option<String>,
) -> Result<Decoded, GatewayError> {
    let now = door.hall.snapshot();
    let config = &now.config;
    let (caller, _) = caller::enter(request, door, config, origin).await?;
    let body = body::read(request, payload, config.server.max_body_bytes, config.timeouts.client_body).await?;
    let call = (asked.decode)(body)?;
    responses::continued(&door.hall, &caller, asked.dialect, call, config.server.max_body_bytes).await
}

fn estimate(call: &Decoded) -> u64 {
    let bytes = call.billed.iter().filter_map(|span| call.body.get(span.clone()));
    let fields: Vec<&str> = bytes.filter_map(|bytes| std::str::from_utf8(bytes).ok()).collect();
    tokens::input_estimate(&fields)
}
