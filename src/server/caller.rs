//! Who is calling: a key's hash looked up in the config in force, or a token that stands in for a key.

use std::sync::Arc;

use actix_web::HttpRequest;
use sha2::{Digest, Sha256};

use crate::config::{Config, Key, UserFrom};
use crate::domain::caller::Caller;
use crate::domain::error::GatewayError;
use crate::jwt::is_token;

use super::{Door, guard};

/// Longest end-user id that is believed, in bytes.
const LONGEST_USER: usize = 256;

/// Everything that a request must pass before its body is read: Host, key or token, Origin. Gives the caller and its
/// key; no key in keyless mode, which serves loopback only.
///
/// `origin` is left as the page that may read the answer, whichever it is.
pub(super) async fn enter(
    request: &HttpRequest,
    door: &Door,
    config: &Config,
    origin: &mut Option<String>,
) -> Result<(Caller, Option<Arc<Key>>), GatewayError> {
    guard::host(request, config)?;
    // A page has to see that its token has expired. As at the preflight, any key's list will do for that.
    *origin = guard::listed_origin(request, config);
    let (caller, key) = identify(request, door, config).await?;
    *origin = None;
    *origin = guard::origin(request, key.as_deref())?;
    Ok((caller, key))
}

async fn identify(
    request: &HttpRequest,
    door: &Door,
    config: &Config,
) -> Result<(Caller, Option<Arc<Key>>), GatewayError> {
    if config.keys.is_empty() {
        let local: Arc<str> = "local".into();
        return Ok((Caller { key: Arc::clone(&local), team: "".into(), user: local, alone: false }, None));
    }
    let shown = presented(request).ok_or(GatewayError::InvalidApiKey)?;
    let hash: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
    let Some(key) = config.keys.find(&hash) else {
        let token =
            (!config.issuers.is_empty() && is_token(shown)).then_some(shown).ok_or(GatewayError::InvalidApiKey)?;
        let known = door.tokens.caller(token, &config.issuers).await;
        return known.map(|(caller, key)| (caller, Some(key))).ok_or(GatewayError::InvalidApiKey);
    };
    let user = match key.user_from {
        UserFrom::None | UserFrom::Jwt => None,
        UserFrom::Header => end_user(request)?,
    };
    let user = user.unwrap_or_else(|| Arc::clone(&key.name));
    Ok((Caller { key: Arc::clone(&key.name), team: Arc::clone(&key.team), user, alone: false }, Some(Arc::clone(key))))
}

/// The key or token as the SDKs send it: `Authorization: Bearer`, or `x-api-key`, or `api-key`.
fn presented(request: &HttpRequest) -> Option<&str> {
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    if let Some(authorization) = header("authorization") {
        let (scheme, key) = authorization.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| key.trim());
    }
    header("x-api-key").or_else(|| header("api-key"))
}

/// `x-user-id`, believed only because the key says so.
fn end_user(request: &HttpRequest) -> Result<Option<Arc<str>>, GatewayError> {
    let Some(value) = request.headers().get("x-user-id") else { return Ok(None) };
    let text = value.to_str().map(str::trim).unwrap_or_default();
    if text.is_empty() || text.len() > LONGEST_USER || text.chars().any(char::is_control) {
        let message = format!("x-user-id must be 1 to {LONGEST_USER} visible ASCII characters");
        return Err(GatewayError::invalid(message, Some("x-user-id")));
    }
    Ok(Some(text.into()))
}
