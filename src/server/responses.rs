//! Kept responses: looked at, followed, deleted, gone on from.

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::dialects::{Decoded, Dialect, OPENAI_RESPONSES, Stored, continued_response, stored_response};
use crate::domain::caller::Caller;
use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::domain::kept::{KeptName, KeptRun, KeptState, NameKind};
use crate::pipeline::{Follower, Hall, said_while_waiting};
use crate::store::StoreError;

use super::{Connection, Door, caller, guard, reply};

/// Responses that one may go on from another, back to the first.
const LONGEST_CHAIN: usize = 256;

/// Items that a list gives when it is not told how many, and at most.
const LISTED: usize = 20;
const LISTED_MAX: usize = 100;

/// What of a kept response is asked for.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    stream: bool,
    /// The number of the last event that is known already; -1 = none.
    starting_after: Option<i64>,
}

#[derive(Deserialize)]
struct Page {
    limit: Option<usize>,
    after: Option<String>,
    order: Option<String>,
}

/// `GET /v1/responses/{id}`: the response as it stands, or with `stream=true` its events after `starting_after`.
pub(super) async fn show(request: HttpRequest, door: web::Data<Door>) -> HttpResponse {
    answered(&request, &door, async |kept, request_id| {
        let wanted = query::<Wanted>(&request)?;
        if !wanted.stream {
            return Ok(json_reply(&read(&door.hall, kept).await?.response, request_id));
        }
        if !kept.about.stream && kept.about.job.is_none() {
            let message = "This response was not streamed when it was made; get it without `stream`.";
            return Err(GatewayError::invalid(message, Some("stream")));
        }
        let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
        let after = wanted.starting_after.or(last).unwrap_or(-1);
        let connection = request.conn_data::<Connection>().map(|connection| connection.gone.clone());
        let follower = Follower { dialect: OPENAI_RESPONSES, request_id: request_id.to_owned() };
        let from = u64::try_from(after.saturating_add(1)).unwrap_or(0);
        let handle = door.hall.reattach(kept.about.id, from, follower, &connection.unwrap_or_default());
        Ok(reply::from_run(OPENAI_RESPONSES, handle, request_id).await)
    })
    .await
}

/// `DELETE /v1/responses/{id}`: forgotten with everything that was asked and answered; one that is being made is stopped.
pub(super) async fn delete(request: HttpRequest, door: web::Data<Door>) -> HttpResponse {
    answered(&request, &door, async |kept, request_id| {
        door.hall.delete(&kept).await.map_err(|_| GatewayError::StoreUnavailable)?;
        let id = request.match_info().get("id").unwrap_or_default();
        Ok(json_reply(&json!({ "id": id, "object": "response", "deleted": true }), request_id))
    })
    .await
}

/// `GET /v1/responses/{id}/input_items`: what was asked, the newest first unless `order=asc`.
pub(super) async fn input_items(request: HttpRequest, door: web::Data<Door>) -> HttpResponse {
    answered(&request, &door, async |kept, request_id| {
        let page = query::<Page>(&request)?;
        let mut items = read(&door.hall, kept).await?.input;
        if page.order.as_deref() != Some("asc") {
            items.reverse();
        }
        if let Some(after) = &page.after {
            let place = items.iter().position(|item| item["id"] == after.as_str());
            items.drain(..place.map_or(items.len(), |place| place + 1));
        }
        let limit = page.limit.unwrap_or(LISTED).clamp(1, LISTED_MAX);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let id = |item: Option<&Value>| item.map(|item| item["id"].clone());
        let list = json!({
            "object": "list",
            "first_id": id(items.first()),
            "last_id": id(items.last()),
            "has_more": has_more,
            "data": items,
        });
        Ok(json_reply(&list, request_id))
    })
    .await
}

/// `POST /v1/responses/{id}/cancel`: only a response that nobody waits for can be cancelled; of others the connection
/// is simply closed.
pub(super) async fn cancel(request: HttpRequest, door: web::Data<Door>) -> HttpResponse {
    answered(&request, &door, async |kept, request_id| {
        if kept.about.job.is_none() {
            let message = "Only background responses can be cancelled; to end this one, close its connection.";
            return Err(GatewayError::invalid(message, None));
        }
        door.hall.cancel(&kept).await.map_err(|_| GatewayError::StoreUnavailable)?;
        let now = door.hall.kept().find(kept.about.id).await.map_err(|_| GatewayError::StoreUnavailable)?;
        Ok(json_reply(&read(&door.hall, now.unwrap_or(kept)).await?.response, request_id))
    })
    .await
}

/// The response that `run` makes, as it stands.
pub(super) async fn as_it_stands(door: &Door, caller: &Caller, run: RunId) -> Result<Bytes, GatewayError> {
    let kept = door.hall.kept().find(run).await.map_err(|_| GatewayError::StoreUnavailable)?;
    let kept = kept.filter(|kept| kept.belongs_to(caller)).ok_or(GatewayError::RunLost)?;
    let response = read(&door.hall, kept).await?.response;
    serde_json::to_vec(&response).map(Bytes::from).map_err(|_| GatewayError::Internal)
}

/// The call with the whole dialogue in its input, where it goes on from a kept response.
/// Errors: `InvalidRequest` where a response on the way is unknown, not the caller's, or not ended; `BodyTooLarge`.
pub(super) async fn continued(
    hall: &Hall,
    caller: &Caller,
    dialect: &dyn Dialect,
    call: Decoded,
    cap: usize,
) -> Result<Decoded, GatewayError> {
    let Some(id) = call.keeping.as_ref().and_then(|keeping| keeping.previous_response_id.as_deref()) else {
        return Ok(call);
    };
    let before = dialogue(hall, caller, id).await?;
    let missing = || GatewayError::invalid("`input` is missing; send a text or a list of items.", Some("input"));
    let body = continued_response(&call.body, before).ok_or_else(missing)?;
    if body.len() > cap {
        return Err(GatewayError::BodyTooLarge { limit_bytes: u64::try_from(cap).unwrap_or(u64::MAX) });
    }
    Ok(Decoded { dropped: call.dropped, ..dialect.decode(body)? })
}

/// The dialogue that ends with the response `id`, as input items in order.
async fn dialogue(hall: &Hall, caller: &Caller, id: &str) -> Result<Vec<Value>, GatewayError> {
    let (mut turns, mut next) = (Vec::new(), Some(id.to_owned()));
    while let Some(id) = next {
        let refuse = |why: &str| {
            let id: String = id.chars().take(64).collect();
            GatewayError::invalid(format!("The response `{id}` {why}."), Some("previous_response_id"))
        };
        if turns.len() == LONGEST_CHAIN {
            return Err(refuse("has too many before it; send the dialogue in `input`"));
        }
        let kept = find(hall, caller, &id).await?;
        let kept = kept.ok_or_else(|| refuse("is not stored; send the dialogue in `input`"))?;
        let stored = read(hall, kept).await?;
        if !stored.is_ended() {
            return Err(refuse("is still being made; wait for its end"));
        }
        next = stored.previous.clone();
        turns.push(stored.turn());
    }
    Ok(turns.into_iter().rev().flatten().collect())
}

/// Finds the kept response of this path and answers with `act`. A foreign response looks exactly like an unknown one.
async fn answered(
    request: &HttpRequest,
    door: &Door,
    act: impl AsyncFnOnce(KeptRun, &str) -> Result<HttpResponse, GatewayError>,
) -> HttpResponse {
    let (request_id, mut origin) = (reply::request_id(request), None);
    let done = async {
        let now = door.hall.snapshot();
        let (caller, _) = caller::enter(request, door, &now.config, &mut origin).await?;
        let id = request.match_info().get("id").unwrap_or_default();
        let kept = find(&door.hall, &caller, id).await?;
        act(kept.ok_or_else(|| GatewayError::ResponseNotFound { id: id.to_owned() })?, &request_id).await
    };
    let mut response = done.await.unwrap_or_else(|error| reply::error(OPENAI_RESPONSES, &error, &request_id));
    guard::allow(&mut response, origin.as_deref());
    response
}

async fn find(hall: &Hall, caller: &Caller, id: &str) -> Result<Option<KeptRun>, GatewayError> {
    let kept = hall.kept();
    let found = async {
        // Ours carries the run's own name; one that a provider minted was noted when it was first told.
        let run = match id.strip_prefix("resp_").and_then(|hex| RunId::parse(&format!("run_{hex}"))) {
            Some(run) => Some(run),
            None => kept.named(KeptName::new(NameKind::Response, &caller.key, &[id.as_bytes()])).await?,
        };
        match run {
            Some(run) => kept.find(run).await,
            None => Ok(None),
        }
    };
    let found: Result<Option<KeptRun>, StoreError> = found.await;
    let run = found.map_err(|_| GatewayError::StoreUnavailable)?;
    Ok(run.filter(|run| run.belongs_to(caller) && run.about.dialect == OPENAI_RESPONSES.name() && is_stored(run)))
}

/// A call with `store: false` is kept only while an `Idempotency-Key` needs it.
fn is_stored(run: &KeptRun) -> bool {
    #[derive(Deserialize)]
    struct Asked {
        store: Option<bool>,
    }
    serde_json::from_slice::<Asked>(&run.request).is_ok_and(|asked| asked.store != Some(false))
}

/// What a kept response says. One that has said nothing yet is being made.
async fn read(hall: &Hall, kept: KeptRun) -> Result<Stored, GatewayError> {
    let is_journaled = kept.about.stream || kept.about.job.is_some();
    let mut frames = Vec::new();
    if is_journaled {
        frames = hall.journal().read_all(kept.about.id).await.map_err(|_| GatewayError::StoreUnavailable)?;
    }
    if frames.is_empty() && kept.about.job.is_some() {
        frames = said_while_waiting(&kept);
    }
    stored_response(&kept, &frames).ok_or_else(|| match kept.state {
        KeptState::Running => GatewayError::ResponseNotFound { id: kept.about.id.to_string() },
        KeptState::Whole | KeptState::Broken | KeptState::Lost => GatewayError::RunLost,
    })
}

fn query<T: serde::de::DeserializeOwned>(request: &HttpRequest) -> Result<T, GatewayError> {
    web::Query::<T>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|error| GatewayError::invalid(format!("The query can't be read: {error}."), None))
}

fn json_reply(body: &impl serde::Serialize, request_id: &str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-request-id", request_id))
        .json(body)
}
