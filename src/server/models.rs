//! `GET /v1/models`: what this caller may put into `model`.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::config::{Aim, Config, Key};
use crate::dialects::OPENAI_CHAT;
use crate::domain::error::GatewayError;

use super::{Door, caller, guard, reply};

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

#[derive(Serialize)]
struct Models<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

pub(super) async fn list(request: HttpRequest, door: web::Data<Door>) -> HttpResponse {
    let request_id = reply::request_id(&request);
    let now = door.hall.snapshot();
    match check(&request, &now.config) {
        Err(error) => reply::error(OPENAI_CHAT, &error, &request_id),
        Ok((key, origin)) => {
            let mut response = HttpResponse::Ok()
                .insert_header(("cache-control", "no-store"))
                .insert_header(("x-request-id", request_id))
                .json(models(&now.config, key.as_deref()));
            guard::allow(&mut response, origin.as_deref());
            response
        }
    }
}

fn check(request: &HttpRequest, config: &Config) -> Result<(Option<Arc<Key>>, Option<String>), GatewayError> {
    guard::host(request, config)?;
    let (_, key) = caller::identify(request, config)?;
    let origin = guard::origin(request, key.as_deref())?;
    Ok((key, origin))
}

/// Tiers and aliases the key may use, and `auto`.
fn models<'a>(config: &'a Config, key: Option<&Key>) -> Models<'a> {
    let usable = |tier| key.is_none_or(|key| key.may_use_tier(tier));
    let tiers = config.tiers.iter().filter(|tier| usable(tier.id)).map(|tier| &*tier.name);
    let mut aliases: Vec<&str> = config
        .aliases
        .iter()
        .filter(|(_, aim)| match aim {
            Aim::Tier(tier) => usable(*tier),
            Aim::Target(_) => true,
        })
        .map(|(name, _)| name.as_str())
        .collect();
    aliases.sort_unstable();
    let data = tiers
        .chain(std::iter::once("auto"))
        .chain(aliases)
        .map(|id| Model { id, object: "model", created: 0, owned_by: "headgate" })
        .collect();
    Models { object: "list", data }
}
