//! The one error vocabulary. Rooms say what happened; only `dialects/errors.rs` knows status codes.

use std::time::Duration;

use super::failure::Category;
use super::limit::LimitView;
use super::money::NanoUsd;

/// Why a call has no answer. Texts are written for the caller: they say what to do, and hold no key and no prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum GatewayError {
    /// The request can't be read or is not allowed by its own protocol. `param` names the field at fault.
    InvalidRequest {
        message: String,
        param: Option<String>,
    },
    /// A field that the gateway owns was given twice.
    DuplicateField {
        field: String,
    },
    UnsupportedMediaType {
        message: String,
    },
    BodyTooLarge {
        limit_bytes: u64,
    },
    /// The client took too long to send its request.
    RequestTimeout,
    InvalidApiKey,
    /// The key is known, but not for this: a foreign origin, a tier or a model it may not use.
    Forbidden {
        message: String,
    },
    RouteNotFound {
        path: String,
    },
    /// `allowed` lists the methods that the path answers, as the `Allow` header does.
    MethodNotAllowed {
        method: String,
        path: String,
        allowed: String,
    },
    /// No kept response has this id, or it is someone else's.
    ResponseNotFound {
        id: String,
    },
    ModelNotFound {
        model: String,
        known: Vec<String>,
    },
    UnpricedModel {
        model: String,
    },
    /// A policy said no; `status` is one of 400, 402, 403, 404, 422, 429, 451, 503.
    Denied {
        status: u16,
        code: String,
        message: String,
    },
    /// A policy that must decide could not.
    PolicyFailed {
        hook: &'static str,
    },
    CostCapExceeded {
        estimate: NanoUsd,
        cap: NanoUsd,
    },
    /// A usd limit would be passed.
    BudgetExceeded {
        view: Box<LimitView>,
        asked: NanoUsd,
        retry_after: Duration,
    },
    /// A limit on requests, tokens or concurrent runs would be passed.
    RateLimited {
        view: Box<LimitView>,
        /// In the limit's unit.
        asked: u64,
        retry_after: Duration,
    },
    /// The caller sends one and the same request over and over.
    LoopDetected {
        view: Box<LimitView>,
        retry_after: Duration,
    },
    /// The same `Idempotency-Key` came with another body.
    IdempotencyKeyReused,
    /// The process that ran this run died in the middle of it.
    RunLost,
    /// Every process that worked on the job died over it.
    WorkerDied {
        times: u32,
    },
    /// The tier's moderation found something; a model never saw it.
    Flagged {
        categories: Vec<String>,
    },
    /// The tier's moderation could not judge, and the tier admits nothing without.
    ModerationUnavailable,
    StoreUnavailable,
    /// The gateway is going down; another replica will answer.
    ShuttingDown,
    /// The last attempt failed and no other is possible.
    Upstream(Box<UpstreamError>),
    /// A defect of ours; the log has the details under the run's id.
    Internal,
}

/// The final failure of a run, already judged by the `errors` policy.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamError {
    /// Status, code and text that the caller sees.
    pub status: u16,
    pub code: String,
    pub message: String,
    pub param: Option<String>,
    pub category: Category,
    /// Only when waiting would help.
    pub retry_after: Option<Duration>,
}

impl GatewayError {
    pub fn invalid(message: impl Into<String>, param: Option<&str>) -> Self {
        GatewayError::InvalidRequest { message: message.into(), param: param.map(str::to_owned) }
    }
}
