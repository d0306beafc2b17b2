//! A chat page comes back for the answer it lost, or has it stopped.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::dialects::UI_MESSAGES;
use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::domain::kept::KeptState;
use crate::pipeline::Follower;

use super::{Connection, Door, caller, guard, keeping, reply};

/// `GET /api/chat/{chat}/stream`: the answer that is being made, from its start; 204 when none is. One that was lost with
/// its process is told as lost.
pub(super) async fn stream(request: HttpRequest, door: web::Data<Door>) -> HttpResponse {
    let request_id = reply::request_id(&request);
    let mut origin = None;
    let mut response = match unfinished(&request, &door, &mut origin).await {
        Err(error) => reply::error(UI_MESSAGES, &error, &request_id),
        Ok(None) => nothing_runs(&request_id),
        Ok(Some(run)) => {
            let connection = request.conn_data::<Connection>().map(|connection| connection.gone.clone());
            let follower = Follower { dialect: UI_MESSAGES, request_id: request_id.clone() };
            let handle = door.hall.reattach(run, 0, follower, &connection.unwrap_or_default());
            reply::from_run(UI_MESSAGES, handle, &request_id).await
        }
    };
    guard::allow(&mut response, origin.as_deref());
    response
}

/// `POST /api/chat/{chat}/stop`: ends the answer that is being made; 204 whether or not one was.
pub(super) async fn stop(request: HttpRequest, door: web::Data<Door>) -> HttpResponse {
    let request_id = reply::request_id(&request);
    let mut origin = None;
    let stopped = match unfinished(&request, &door, &mut origin).await {
        Ok(Some(run)) => door.hall.stop(run).await.map_err(|_| GatewayError::StoreUnavailable),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    let mut response = match stopped {
        Ok(()) => nothing_runs(&request_id),
        Err(error) => reply::error(UI_MESSAGES, &error, &request_id),
    };
    guard::allow(&mut response, origin.as_deref());
    response
}

/// The run of the caller's chat that has not told its end. A foreign chat looks exactly like an unknown one.
async fn unfinished(
    request: &HttpRequest,
    door: &Door,
    origin: &mut Option<String>,
) -> Result<Option<RunId>, GatewayError> {
    let now = door.hall.snapshot();
    let (caller, _) = caller::enter(request, door, &now.config, origin).await?;
    let chat = request.match_info().get("chat").unwrap_or_default();
    let kept = door.hall.kept();
    let found = async {
        match kept.named(keeping::chat_name(&caller, chat)).await? {
            Some(run) => kept.find(run).await,
            None => Ok(None),
        }
    };
    let run = found.await.map_err(|_| GatewayError::StoreUnavailable)?;
    let open = run.filter(|run| matches!(run.state, KeptState::Running | KeptState::Lost));
    Ok(open.map(|run| run.about.id))
}

fn nothing_runs(request_id: &str) -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-request-id", request_id))
        .finish()
}
