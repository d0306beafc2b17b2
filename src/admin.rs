//! The admin listener: metrics, usage and the effective config, for operators with the token. Never on the client port.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::http::header::{AUTHORIZATION, HOST, ORIGIN};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::pipeline::{Hall, Spend};

struct Desk {
    hall: Arc<Hall>,
    /// Hash of the token: comparing hashes tells a clock nothing about the token.
    token_sha256: [u8; 32],
}

/// Starts the admin listener on an open socket.
pub fn start(listener: TcpListener, hall: Arc<Hall>, token: &str) -> io::Result<Server> {
    let timeouts = hall.snapshot().config.timeouts;
    let token_sha256: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let desk = web::Data::new(Desk { hall, token_sha256 });
    let built = HttpServer::new(move || App::new().app_data(desk.clone()).configure(routes))
        .workers(1)
        .client_request_timeout(timeouts.client_headers)
        .keep_alive(timeouts.client_idle)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?;
    Ok(built.run())
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/metrics").route(web::get().to(metrics)))
        .service(web::resource("/api/usage").route(web::get().to(usage)))
        .service(web::resource("/api/config").route(web::get().to(effective_config)))
        .default_service(web::to(unknown));
}

async fn metrics(request: HttpRequest, desk: web::Data<Desk>) -> HttpResponse {
    if let Some(refused) = desk.refuse(&request) {
        return refused;
    }
    no_store(HttpResponse::Ok())
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(desk.hall.metrics().render())
}

async fn usage(request: HttpRequest, desk: web::Data<Desk>) -> HttpResponse {
    if let Some(refused) = desk.refuse(&request) {
        return refused;
    }
    match desk.hall.money().ledger().usage().await {
        Ok(report) => no_store(HttpResponse::Ok()).json(Spend::new(&report, &desk.hall.snapshot().config)),
        Err(error) => problem(503, &format!("The store does not answer: {error}")),
    }
}

async fn effective_config(request: HttpRequest, desk: web::Data<Desk>) -> HttpResponse {
    if let Some(refused) = desk.refuse(&request) {
        return refused;
    }
    no_store(HttpResponse::Ok()).content_type("application/yaml").body(desk.hall.snapshot().config.effective_yaml())
}

async fn unknown(request: HttpRequest, desk: web::Data<Desk>) -> HttpResponse {
    match desk.refuse(&request) {
        Some(refused) => refused,
        None => problem(404, "There is nothing here. This listener has /metrics, /api/usage and /api/config."),
    }
}

impl Desk {
    /// The token, and no foreign page: a browser must not be able to use an operator's network place.
    fn refuse(&self, request: &HttpRequest) -> Option<HttpResponse> {
        let header = |name| {
            request.headers().get(name).and_then(|value: &actix_web::http::header::HeaderValue| value.to_str().ok())
        };
        let host = header(HOST).unwrap_or_default();
        let same_origin = |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| authority == host);
        if header(ORIGIN).is_some_and(|origin| !same_origin(origin)) {
            return Some(problem(403, "Pages of other origins can't use the admin listener."));
        }
        let listen = self.hall.snapshot().config.server.admin_listen.ip();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        let known = name.eq_ignore_ascii_case("localhost")
            || name
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback() || ip == listen || listen.is_unspecified());
        if !known {
            return Some(problem(403, "Ask the admin listener by its address, not by a name."));
        }
        let shown = header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        if <[u8; 32]>::from(Sha256::digest(shown.as_bytes())) != self.token_sha256 {
            return Some(problem(401, "Send the admin token as `Authorization: Bearer TOKEN`."));
        }
        None
    }
}

fn no_store(mut builder: actix_web::HttpResponseBuilder) -> actix_web::HttpResponseBuilder {
    builder.insert_header(("cache-control", "no-store"));
    builder
}

/// Problem details (RFC 9457), as admin interfaces use them.
fn problem(status: u16, detail: &str) -> HttpResponse {
    let code = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
    let body = json!({ "title": code.canonical_reason(), "status": status, "detail": detail });
    no_store(HttpResponse::build(code)).content_type("application/problem+json").body(body.to_string())
}
