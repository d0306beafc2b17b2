//! The one error table: what every refusal and failure looks like to a client. Dialects only dress it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::domain::error::{GatewayError, UpstreamError};
use crate::domain::limit::{LimitView, Unit, Window};
use crate::domain::money::NanoUsd;

/// Above this the SDKs fall back to waits of their own, give up, or sleep for as long as they are told.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Characters of a client's own text that an error repeats.
const ECHO_CHARS: usize = 120;

/// Names a not-found error lists.
const LISTED_NAMES: usize = 20;

/// Class of an error; every dialect has a word of its own for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    InvalidRequest,
    Authentication,
    Permission,
    NotFound,
    TooLarge,
    /// Money or quota is used up.
    Quota,
    RateLimit,
    Unavailable,
    Timeout,
    Server,
}

/// One row of the table, filled in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ErrorFacts {
    pub(super) status: u16,
    pub(super) class: Class,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) param: Option<String>,
    /// What was hit, for programs.
    pub(super) limit: Option<Map<String, Value>>,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Whether the same call may succeed later.
enum Retry {
    /// As the client's SDK sees fit.
    Free,
    /// Not before this; later than a minute counts as never.
    After(Duration),
    Never,
    /// Our own attempts are spent, and a client that adds its own would multiply them; a human may still wait.
    Spent(Option<Duration>),
}

pub(super) fn facts(error: &GatewayError) -> ErrorFacts {
    match error {
        GatewayError::InvalidRequest { message, param } => {
            row(400, Class::InvalidRequest, "invalid_request", message.clone(), Retry::Never).at(param.clone())
        }
        GatewayError::DuplicateField { field } => {
            let message = format!("`{}` is given more than once; send it once.", echo(field));
            row(400, Class::InvalidRequest, "duplicate_field", message, Retry::Never).at(Some(echo(field)))
        }
        GatewayError::UnsupportedMediaType { message } => {
            row(415, Class::InvalidRequest, "unsupported_media_type", message.clone(), Retry::Never)
        }
        GatewayError::BodyTooLarge { limit_bytes } => {
            let message = format!(
                "The request body is larger than the {limit_bytes} bytes accepted here; send a shorter conversation or \
                 smaller attachments."
            );
            row(413, Class::TooLarge, "request_too_large", message, Retry::Never)
        }
        GatewayError::RequestTimeout => {
            let message = "The request did not arrive in time; send it again.".to_owned();
            row(408, Class::Timeout, "request_timeout", message, Retry::Free)
        }
        GatewayError::InvalidApiKey => {
            // One constant text: a missing, a mistyped and a revoked key must not look different.
            let message = "Unknown or missing API key; send `Authorization: Bearer <key>`.".to_owned();
            row(401, Class::Authentication, "invalid_api_key", message, Retry::Never)
        }
        GatewayError::Forbidden { message } => row(403, Class::Permission, "forbidden", message.clone(), Retry::Never),
        GatewayError::RouteNotFound { path } => {
            let message = format!("There is no route `{}`; check the base URL and its /v1.", echo(path));
            row(404, Class::NotFound, "route_not_found", message, Retry::Never)
        }
        GatewayError::MethodNotAllowed { method, path, allowed } => {
            let message = format!("`{}` does not answer {}; it answers {allowed}.", echo(path), echo(method));
            let mut facts = row(405, Class::InvalidRequest, "method_not_allowed", message, Retry::Never);
            facts.headers.push(("allow", allowed.clone()));
            facts
        }
        GatewayError::ResponseNotFound { id } => {
            let message = format!(
                "No stored response has the id `{}`; it was never stored, was deleted, or is older than the gateway keeps \
                 them.",
                echo(id)
            );
            row(404, Class::NotFound, "response_not_found", message, Retry::Never)
        }
        GatewayError::ModelNotFound { model, known } => {
            let message = model_not_found(model, known);
            row(404, Class::NotFound, "model_not_found", message, Retry::Never).at(Some("model".into()))
        }
        GatewayError::UnpricedModel { model } => {
            let message = format!(
                "Model `{}` has no price, so its cost can't be limited; ask the gateway's operator to add it under \
                 `prices`.",
                echo(model)
            );
            row(400, Class::InvalidRequest, "unpriced_model", message, Retry::Never).at(Some("model".into()))
        }
        GatewayError::Denied { status, code, message } => {
            row(*status, class_of(*status), code, message.clone(), Retry::Never)
        }
        GatewayError::PolicyFailed { hook } => {
            let message = format!(
                "The `{hook}` policy of this gateway could not decide, so nothing is admitted; try again later or tell \
                 its operator."
            );
            row(503, Class::Unavailable, "policy_failed", message, Retry::Free)
        }
        GatewayError::CostCapExceeded { estimate, cap } => {
            let message = format!(
                "This call may cost up to ${estimate}, above the cap of ${cap} per call; lower max_tokens or shorten the \
                 input."
            );
            row(402, Class::Quota, "cost_cap_exceeded", message, Retry::Never)
        }
        GatewayError::BudgetExceeded { view, asked, retry_after } => {
            let retry = wait(view, asked.get(), *retry_after);
            row(402, Class::Quota, "budget_exceeded", budget_exceeded(view, *asked), retry).hit(view, asked.get())
        }
        GatewayError::RateLimited { view, asked, retry_after } => {
            let (message, retry) = (rate_limited(view, *asked, *retry_after), wait(view, *asked, *retry_after));
            row(429, Class::RateLimit, "rate_limit_exceeded", message, retry).hit(view, *asked)
        }
        GatewayError::LoopDetected { view, retry_after } => {
            let retry = Retry::Spent(Some(*retry_after));
            row(429, Class::RateLimit, "loop_detected", loop_detected(view, *retry_after), retry).hit(view, 1)
        }
        GatewayError::IdempotencyKeyReused => {
            let message = "This Idempotency-Key was used with another request body; use a new key for a new request.";
            row(422, Class::InvalidRequest, "idempotency_key_reused", message.into(), Retry::Never)
        }
        GatewayError::RunLost => {
            let message = "The gateway process that worked on this answer is gone, and with it the rest; ask again.";
            row(502, Class::Unavailable, "run_lost", message.into(), Retry::Free)
        }
        GatewayError::WorkerDied { times } => {
            let message = format!("The worker died {times} times over this job, so it is not tried again.");
            row(500, Class::Server, "worker_died", message, Retry::Never)
        }
        GatewayError::Flagged { categories } => {
            let message = format!(
                "Blocked by the moderation of this tier ({}). Change the prompt and try again.",
                echo(&categories.join(", "))
            );
            row(400, Class::InvalidRequest, "content_policy_violation", message, Retry::Never)
        }
        GatewayError::ModerationUnavailable => {
            let message = "The moderation of this tier does not answer, and nothing is admitted without it; try again in \
                           a few seconds.";
            let wait = Retry::After(Duration::from_secs(2));
            row(503, Class::Unavailable, "moderation_unavailable", message.into(), wait)
        }
        GatewayError::StoreUnavailable => {
            let message =
                "The gateway can't reach its store and admits nothing without it; try again in a few seconds.";
            row(503, Class::Unavailable, "store_unavailable", message.into(), Retry::After(Duration::from_secs(2)))
        }
        GatewayError::ShuttingDown => {
            let message = "This gateway is shutting down; try again, another one will answer.".to_owned();
            row(503, Class::Unavailable, "shutting_down", message, Retry::After(Duration::from_secs(1)))
        }
        GatewayError::Upstream(error) => upstream(error),
        GatewayError::Internal => {
            let message = "The gateway failed; give the operator the x-headgate-run of this reply.".to_owned();
            row(500, Class::Server, "internal_error", message, Retry::Never)
        }
    }
}

/// An error in one sentence, for whoever sits before the screen: the table's text, without the accounts of a budget.
pub fn sentence(error: &GatewayError) -> String {
    match error {
        GatewayError::BudgetExceeded { view, .. } => {
            format!("{}; it resets at {}.", budget_reached(view), instant(view.resets_at_ms))
        }
        other => facts(other).message,
    }
}

fn upstream(error: &UpstreamError) -> ErrorFacts {
    let class = class_of(error.status);
    row(error.status, class, &error.code, error.message.clone(), Retry::Spent(error.retry_after))
        .at(error.param.clone())
}

fn row(status: u16, class: Class, code: &str, message: String, retry: Retry) -> ErrorFacts {
    let headers = retry_headers(&retry);
    ErrorFacts { status, class, code: code.to_owned(), message, param: None, limit: None, headers }
}

impl ErrorFacts {
    fn at(self, param: Option<String>) -> Self {
        ErrorFacts { param, ..self }
    }

    fn hit(self, view: &LimitView, asked: u64) -> Self {
        ErrorFacts { limit: Some(limit_facts(view, asked)), ..self }
    }
}

fn retry_headers(retry: &Retry) -> Vec<(&'static str, String)> {
    let wait = |after: &Duration| {
        // Rounded up: a client that comes a moment early is refused again.
        let ms = after.as_micros().div_ceil(1_000).max(1);
        [("retry-after", ms.div_ceil(1_000).to_string()), ("retry-after-ms", ms.to_string())]
    };
    let never = ("x-should-retry", "false".to_owned());
    match retry {
        Retry::Free => Vec::new(),
        Retry::After(after) if *after <= LONGEST_RETRY_AFTER => wait(after).into(),
        Retry::Spent(Some(after)) if *after <= LONGEST_RETRY_AFTER => wait(after).into_iter().chain([never]).collect(),
        Retry::After(_) | Retry::Never | Retry::Spent(_) => vec![never],
    }
}

fn class_of(status: u16) -> Class {
    match status {
        401 => Class::Authentication,
        402 => Class::Quota,
        403 | 451 => Class::Permission,
        404 => Class::NotFound,
        408 | 504 => Class::Timeout,
        413 => Class::TooLarge,
        429 => Class::RateLimit,
        503 | 529 => Class::Unavailable,
        400..=499 => Class::InvalidRequest,
        _ => Class::Server,
    }
}

fn model_not_found(model: &str, known: &[String]) -> String {
    let model = echo(model);
    if known.is_empty() {
        return format!("Model `{model}` is not served to this key; ask the gateway's operator which ones are.");
    }
    let listed: Vec<String> = known.iter().take(LISTED_NAMES).map(|name| echo(name)).collect();
    let more = if known.len() > LISTED_NAMES { ", …" } else { "" };
    format!("Model `{model}` is not served to this key; use one of: {}{more}", listed.join(", "))
}

/// A call that is larger than its limit never fits.
fn wait(view: &LimitView, asked: u64, retry_after: Duration) -> Retry {
    if asked > view.max() { Retry::Never } else { Retry::After(retry_after) }
}

fn budget_reached(view: &LimitView) -> String {
    let (scope, most) = (capitalized(&view.limit.scope.to_string()), NanoUsd::new(view.max()));
    let what = if view.unit() == Unit::SpendRate { "spend guard (usd_per_hour)" } else { "budget" };
    format!("{scope} {what} ${most}{} reached", per(&view.limit.quota.window))
}

fn loop_detected(view: &LimitView, retry_after: Duration) -> String {
    format!(
        "This same request was sent more than {} times{}, which looks like a retry loop, so the loop guard stops it. Find \
         out why it is repeated; it is served again after a pause of {} s, and a different request at once.",
        view.max(),
        per(&view.limit.quota.window).replace("per", "in"),
        retry_after.as_millis().div_ceil(1_000).max(1),
    )
}

fn budget_exceeded(view: &LimitView, asked: NanoUsd) -> String {
    format!(
        "{}: ${} used or held, this call may cost ${asked}; resets at {}. Wait until then, ask for less (max_tokens), or \
         have the limit raised.",
        budget_reached(view),
        NanoUsd::new(view.before),
        instant(view.resets_at_ms),
    )
}

fn rate_limited(view: &LimitView, asked: u64, retry_after: Duration) -> String {
    let (scope, most) = (capitalized(&view.limit.scope.to_string()), view.max());
    let per = per(&view.limit.quota.window);
    let seconds = retry_after.as_millis().div_ceil(1_000).max(1);
    match view.unit() {
        Unit::Tokens if asked > most => format!(
            "This call may take {asked} tokens, and the {} limit is {most}{per}; ask for less (max_tokens) or shorten the \
             input.",
            view.limit.scope
        ),
        Unit::Tokens => format!(
            "{scope} limit of {most} tokens{per} reached: {} used or held, this call may take {asked}; try again in \
             {seconds} s, or ask for less (max_tokens).",
            view.before
        ),
        Unit::Concurrent => {
            format!("{scope} limit of {most} concurrent requests reached; try again when one of them has ended.")
        }
        Unit::Usd | Unit::SpendRate | Unit::Requests | Unit::Identical => {
            format!("{scope} limit of {most} requests{per} reached; try again in {seconds} s.")
        }
    }
}

fn limit_facts(view: &LimitView, asked: u64) -> Map<String, Value> {
    let mut facts = Map::new();
    let mut put = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    let window = &view.limit.quota.window;
    put("scope", view.limit.scope.to_string().into());
    put("id", view.subject.as_str().into());
    let unit = if view.unit().is_money() { Unit::Usd } else { view.unit() };
    put("unit", unit.as_str().into());
    if let Some(guard) = view.unit().guard() {
        put("guard", guard.into());
    }
    if let Some(per) = window.per() {
        put("per", per.into());
    }
    if let Some(zone) = window.foreign_zone() {
        put("tz", zone.into());
    }
    match view.unit() {
        Unit::Usd | Unit::SpendRate => {
            put("limit_nano", view.max().into());
            put("used_nano", view.before.into());
            put("asked_nano", asked.into());
        }
        Unit::Requests | Unit::Tokens | Unit::Concurrent | Unit::Identical => {
            put("limit", view.max().into());
            put("used", view.before.into());
        }
    }
    if view.unit() == Unit::Tokens {
        put("asked", asked.into());
    }
    if *window != Window::Open {
        put("resets_at", instant(view.resets_at_ms).into());
    }
    facts
}

/// ` per day`, ` per 1m`, ` per day (Europe/Berlin)`.
fn per(window: &Window) -> String {
    match (window.per(), window.foreign_zone()) {
        (Some(per), Some(zone)) => format!(" per {per} ({zone})"),
        (Some(per), None) => format!(" per {per}"),
        (None, _) => String::new(),
    }
}

/// RFC 3339 in UTC.
fn instant(ms: u64) -> String {
    let timestamp = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    timestamp.unwrap_or(Timestamp::MAX).to_string()
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A client's text as far as an error repeats it.
fn echo(text: &str) -> String {
    let mut short: String = text.chars().take(ECHO_CHARS).filter(|c| !c.is_control()).collect();
    if text.chars().nth(ECHO_CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
