//! Why a run has no answer, for its record: who said no, by which limit, in which words.

use crate::dialects;
use crate::domain::error::GatewayError;
use crate::domain::record::Refusal;

/// All empty where a provider is to blame.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub cause: Option<&'static str>,
    pub by: Option<Refusal>,
    /// The gateway's own words to the client.
    pub told: Option<String>,
}

pub(super) fn of(error: &GatewayError) -> Refused {
    let Some(cause) = cause(error) else { return Refused::default() };
    Refused { cause: Some(cause), by: by(error), told: Some(dialects::sentence(error)) }
}

/// Who said no. None for providers, whose words may repeat the prompt.
fn cause(error: &GatewayError) -> Option<&'static str> {
    Some(match error {
        GatewayError::Upstream(_) => return None,
        GatewayError::BudgetExceeded { view, .. } | GatewayError::RateLimited { view, .. } => {
            if view.unit().guard().is_some() { "guard" } else { "limit" }
        }
        GatewayError::LoopDetected { .. } => "guard",
        GatewayError::CostCapExceeded { .. } => "cost_cap",
        GatewayError::Denied { .. } => "policy",
        GatewayError::PolicyFailed { .. } => "policy_failed",
        GatewayError::Flagged { .. } => "moderation",
        GatewayError::ModerationUnavailable => "moderation_failed",
        GatewayError::InvalidApiKey | GatewayError::Forbidden { .. } => "key",
        GatewayError::InvalidRequest { .. }
        | GatewayError::DuplicateField { .. }
        | GatewayError::UnsupportedMediaType { .. }
        | GatewayError::BodyTooLarge { .. }
        | GatewayError::RequestTimeout
        | GatewayError::RouteNotFound { .. }
        | GatewayError::MethodNotAllowed { .. }
        | GatewayError::ResponseNotFound { .. }
        | GatewayError::ModelNotFound { .. }
        | GatewayError::UnpricedModel { .. }
        | GatewayError::IdempotencyKeyReused => "request",
        GatewayError::StoreUnavailable => "store",
        GatewayError::RunLost
        | GatewayError::WorkerDied { .. }
        | GatewayError::ShuttingDown
        | GatewayError::Internal => "gateway",
    })
}

fn by(error: &GatewayError) -> Option<Refusal> {
    let (view, asked, retry_after) = match error {
        GatewayError::BudgetExceeded { view, asked, retry_after } => (view, asked.get(), retry_after),
        GatewayError::RateLimited { view, asked, retry_after } => (view, *asked, retry_after),
        GatewayError::LoopDetected { view, retry_after } => (view, 1, retry_after),
        _ => return None,
    };
    let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
    Some(Refusal { view: (**view).clone(), asked, retry_after_ms })
}
