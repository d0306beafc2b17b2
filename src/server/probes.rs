//! Probes: is the process there, and may traffic be sent to it?

use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::Door;

#[derive(Serialize)]
struct Ready {
    ready: bool,
    generation: u64,
    /// Why the last edit of config or policies is not in force.
    config_error: Option<String>,
    store: &'static str,
}

pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().insert_header(("cache-control", "no-store")).content_type("text/plain").body("ok\n")
}

/// A bad edit leaves the process ready: the last good config goes on serving.
pub(super) async fn ready(door: web::Data<Door>) -> HttpResponse {
    let hall = &door.hall;
    let store_up = hall.money().is_store_up();
    let ready = store_up && !hall.status().is_draining();
    let body = Ready {
        ready,
        generation: hall.snapshot().generation,
        config_error: hall.status().config_error().map(|error| error.to_string()),
        store: if store_up { "ok" } else { "unavailable" },
    };
    let mut response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header(("cache-control", "no-store")).json(body)
}
