//! Calls that nobody waits for: their client is told a name, and comes back with it.

use actix_web::HttpResponse;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::pipeline::{Call, Enqueued, Follower, Journaled};

use super::chat::Started;
use super::{Door, responses};

/// Queues the call. A client that wants to read along is led to the journal, any other is told how things stand.
/// `body` is what the client sent; what is run may hold the dialogue before it as well.
pub(super) async fn start(
    call: Call,
    how: Journaled,
    body: Bytes,
    door: &Door,
    connection: &CancellationToken,
) -> Result<Started, GatewayError> {
    let follower = Follower { dialect: call.dialect, request_id: call.request_id.clone() };
    let (stream, caller) = (call.decoded.stream, call.caller.clone());
    let work = (call.decoded.body != body).then(|| call.decoded.body.clone());
    let enqueued = door.hall.enqueue(call, how, work).await?;
    if stream {
        let (Enqueued::New { run, .. } | Enqueued::Same(run)) = enqueued;
        return Ok(Started::Run(door.hall.reattach(run, 0, follower, connection)));
    }
    let (run, body) = match enqueued {
        Enqueued::New { run, body } => (run, body),
        Enqueued::Same(run) => (run, responses::as_it_stands(door, &caller, run).await?),
    };
    Ok(Started::Told(told(run, body, &follower.request_id)))
}

fn told(run: RunId, body: Bytes, request_id: &str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-request-id", request_id))
        .insert_header(("x-headgate-run", run.to_string()))
        .content_type("application/json")
        .body(body)
}
