//! What each provider says with each error status: the one table.

/// Status, reason phrase, OpenAI type and code, Anthropic type, Gemini status, message.
pub(super) struct ErrorRow {
    pub(super) status: u16,
    pub(super) reason: &'static str,
    pub(super) openai_type: &'static str,
    pub(super) openai_code: Option<&'static str>,
    pub(super) anthropic_type: &'static str,
    pub(super) gemini_status: &'static str,
    pub(super) message: &'static str,
}

const fn row(
    status: u16,
    reason: &'static str,
    openai: (&'static str, Option<&'static str>),
    anthropic_type: &'static str,
    gemini_status: &'static str,
    message: &'static str,
) -> ErrorRow {
    ErrorRow { status, reason, openai_type: openai.0, openai_code: openai.1, anthropic_type, gemini_status, message }
}

const INVALID: &str = "invalid_request_error";

#[rustfmt::skip]
const ROWS: &[ErrorRow] = &[
    row(400, "Bad Request", (INVALID, None), INVALID, "INVALID_ARGUMENT", "The request is not valid."),
    row(401, "Unauthorized", (INVALID, Some("invalid_api_key")), "authentication_error", "UNAUTHENTICATED", "Incorrect API key provided."),
    row(402, "Payment Required", ("insufficient_quota", Some("credit_balance_exhausted")), "billing_error", "RESOURCE_EXHAUSTED", "The credit balance is too low."),
    row(403, "Forbidden", (INVALID, Some("unsupported_country_region_territory")), "permission_error", "PERMISSION_DENIED", "This key may not use this resource."),
    row(404, "Not Found", (INVALID, Some("model_not_found")), "not_found_error", "NOT_FOUND", "The model does not exist."),
    row(405, "Method Not Allowed", (INVALID, None), INVALID, "UNIMPLEMENTED", "This path does not take that method."),
    row(408, "Request Timeout", ("timeout", None), "timeout_error", "CANCELLED", "The request took too long."),
    row(409, "Conflict", ("conflict_error", None), "conflict_error", "ABORTED", "The resource is in use by another request."),
    row(413, "Content Too Large", (INVALID, None), "request_too_large", "INVALID_ARGUMENT", "The request is too large."),
    row(422, "Unprocessable Content", (INVALID, None), INVALID, "INVALID_ARGUMENT", "The request can't be processed."),
    row(429, "Too Many Requests", ("requests", Some("rate_limit_exceeded")), "rate_limit_error", "RESOURCE_EXHAUSTED", "Rate limit reached for requests."),
    row(500, "Internal Server Error", ("server_error", None), "api_error", "INTERNAL", "The server had an error."),
    row(502, "Bad Gateway", ("server_error", None), "api_error", "INTERNAL", "Bad gateway."),
    row(503, "Service Unavailable", ("service_unavailable_error", Some("server_is_overloaded")), "overloaded_error", "UNAVAILABLE", "The server is overloaded."),
    row(504, "Gateway Timeout", ("server_error", None), "timeout_error", "DEADLINE_EXCEEDED", "The upstream took too long."),
    row(529, "Overloaded", ("overloaded_error", Some("overloaded")), "overloaded_error", "UNAVAILABLE", "Overloaded."),
];

const CLIENT_ERROR: ErrorRow = row(400, "", (INVALID, None), INVALID, "INVALID_ARGUMENT", "The request was refused.");
const SERVER_ERROR: ErrorRow =
    row(500, "", ("server_error", None), "api_error", "INTERNAL", "The server had an error.");

/// The row of a status, or a general one.
pub(super) fn error_row(status: u16) -> &'static ErrorRow {
    let general = if status >= 500 { &SERVER_ERROR } else { &CLIENT_ERROR };
    ROWS.iter().find(|row| row.status == status).unwrap_or(general)
}
