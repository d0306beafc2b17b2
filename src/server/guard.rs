//! Host and Origin: which names this listener answers to, and which web pages may call it.
//!
//! CORS by hand instead of a middleware: the list hangs on the caller's key and changes with the config, and a
//! preflight comes without a key.

use actix_web::http::header::{HOST, ORIGIN};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::config::{Config, Key};
use crate::domain::error::GatewayError;

use super::Door;

/// Refuses names that are not ours: a page of another site that rebinds its name to our address must get nothing.
pub(super) fn host(request: &HttpRequest, config: &Config) -> Result<(), GatewayError> {
    let server = &config.server;
    let keyless = config.keys.is_empty();
    if !keyless && server.hosts.is_empty() {
        // Behind a proxy any name may reach us, and without its key a foreign page gets nothing.
        return Ok(());
    }
    let header = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let Some(name) = authority.or(header).map(host_name) else {
        return Err(GatewayError::Forbidden { message: "The request names no Host.".to_owned() });
    };
    let listens = server.listen.ip().to_string();
    if is_loopback(name) || name == listens || server.hosts.iter().any(|host| host.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    let message = "This Host is not served here. Operators add names under server.hosts.".to_owned();
    Err(GatewayError::Forbidden { message })
}

/// The origin of a browser's request, when the caller's key allows it. Other clients send none.
pub(super) fn origin(request: &HttpRequest, key: Option<&Key>) -> Result<Option<String>, GatewayError> {
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(None) };
    let origin = origin.to_str().unwrap_or_default();
    let allowed = match key {
        Some(key) => key.cors.iter().any(|listed| listed == origin),
        None => is_loopback_origin(origin),
    };
    if allowed {
        return Ok(Some(origin.to_owned()));
    }
    let message = "This web page's origin may not use this key. Operators list origins under keys[].cors.".to_owned();
    Err(GatewayError::Forbidden { message })
}

/// The origin of a browser's request, when any key allows it: what is answered to a caller that is not known yet.
pub(super) fn listed_origin(request: &HttpRequest, config: &Config) -> Option<String> {
    let origin = request.headers().get(ORIGIN)?.to_str().ok()?;
    let keys = &config.keys;
    let listed = if keys.is_empty() {
        is_loopback_origin(origin)
    } else {
        keys.iter().any(|key| key.cors.iter().any(|listed| listed == origin))
    };
    listed.then(|| origin.to_owned())
}

/// Tells a page that it may read the answer.
pub(super) fn allow(response: &mut HttpResponse, origin: Option<&str>) {
    use actix_web::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue, VARY};
    let Some(value) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) else { return };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    headers.append(VARY, HeaderValue::from_static("origin"));
}

/// Request headers that a page may set: those that are read here, and those that SDKs send from a browser without being
/// asked (OpenAI's and Anthropic's, AI SDK, tracing). One that is missing here makes the browser drop the whole call.
/// They are named one by one because `*` does not cover `authorization`.
const ALLOWED_HEADERS: &str = "\
    accept, anthropic-beta, anthropic-dangerous-direct-browser-access, anthropic-version, anthropic-workspace-id, \
    api-key, authorization, baggage, cache-control, content-type, idempotency-key, last-event-id, openai-beta, \
    openai-organization, openai-project, prefer, traceparent, tracestate, user-agent, x-api-key, x-request-id, \
    x-stainless-arch, x-stainless-async, x-stainless-custom-poll-interval, x-stainless-helper, \
    x-stainless-helper-method, x-stainless-lang, x-stainless-os, x-stainless-package-version, \
    x-stainless-poll-helper, x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, \
    x-stainless-timeout, x-user-id";

/// `OPTIONS`, before a browser's call. It comes without a key, so any key's list will do; the call itself is checked
/// against its own. Who is no browser asks what the path answers, which is `allow`.
pub(super) async fn preflight(allow: String, request: HttpRequest, door: web::Data<Door>) -> HttpResponse {
    let mut reply = HttpResponse::NoContent();
    reply.insert_header(("allow", allow)).insert_header(("cache-control", "no-store"));
    if !request.headers().contains_key(ORIGIN) {
        return reply.finish();
    }
    let now = door.hall.snapshot();
    let Some(origin) = listed_origin(&request, &now.config) else {
        return HttpResponse::Forbidden().insert_header(("cache-control", "no-store")).finish();
    };
    let mut response = reply
        .insert_header(("access-control-allow-methods", "GET, POST, DELETE"))
        .insert_header(("access-control-allow-headers", ALLOWED_HEADERS))
        .insert_header(("access-control-max-age", "600"))
        .finish();
    self::allow(&mut response, Some(&origin));
    response
}

/// Host without port and brackets.
fn host_name(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_loopback_origin(origin: &str) -> bool {
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|authority| is_loopback(host_name(authority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_pages_are_at_home_in_keyless_mode() {
        for ours in ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443"] {
            assert!(is_loopback_origin(ours), "{ours}");
        }
        for foreign in ["null", "", "http://example.com", "http://localhost.example.com", "http://127.0.0.1.example"] {
            assert!(!is_loopback_origin(foreign), "{foreign}");
        }
    }
}
