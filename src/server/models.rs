//! `GET /v1/models`: what this caller may put into `model`, in the shape of the client's own format.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;

use crate::config::{Aim, Config, Key};
use crate::dialects::Dialect;
use crate::domain::chat::Wire;

use super::routes::spoken;
use super::{Door, caller, guard, reply};

#[derive(Serialize)]
#[serde(untagged)]
enum Models<'a> {
    OpenAi {
        object: &'static str,
        data: Vec<OpenAiModel<'a>>,
    },
    /// One page that holds all there are.
    Anthropic {
        data: Vec<AnthropicModel<'a>>,
        has_more: bool,
        first_id: Option<&'a str>,
        last_id: Option<&'a str>,
    },
}

#[derive(Serialize)]
struct OpenAiModel<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

#[derive(Serialize)]
struct AnthropicModel<'a> {
    r#type: &'static str,
    id: &'a str,
    display_name: &'a str,
    /// A tier has no release date; the format wants an epoch then.
    created_at: &'static str,
    lifecycle: &'static str,
}

pub(super) async fn list(request: HttpRequest, door: web::Data<Door>) -> HttpResponse {
    let request_id = reply::request_id(&request);
    let dialect = spoken(&request);
    let now = door.hall.snapshot();
    let mut origin = None;
    let mut response = match caller::enter(&request, &door, &now.config, &mut origin).await {
        Err(error) => reply::error(dialect, &error, &request_id),
        Ok((_, key)) => HttpResponse::Ok()
            .insert_header(("cache-control", "no-store"))
            .insert_header(("x-request-id", request_id))
            .json(models(dialect, names(&now.config, key.as_deref()))),
    };
    guard::allow(&mut response, origin.as_deref());
    response
}

/// Tiers and aliases the key may use, and `auto`.
fn names<'a>(config: &'a Config, key: Option<&Key>) -> Vec<&'a str> {
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
    tiers.chain(std::iter::once("auto")).chain(aliases).collect()
}

fn models<'a>(dialect: &dyn Dialect, names: Vec<&'a str>) -> Models<'a> {
    if dialect.wire() == Wire::AnthropicMessages {
        let (first_id, last_id) = (names.first().copied(), names.last().copied());
        let model = |id| AnthropicModel {
            r#type: "model",
            id,
            display_name: id,
            created_at: "1970-01-01T00:00:00Z",
            lifecycle: "active",
        };
        return Models::Anthropic { data: names.into_iter().map(model).collect(), has_more: false, first_id, last_id };
    }
    let model = |id| OpenAiModel { id, object: "model", created: 0, owned_by: "headgate" };
    Models::OpenAi { object: "list", data: names.into_iter().map(model).collect() }
}
