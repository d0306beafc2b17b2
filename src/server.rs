//! The client listener: connections, callers, the route table. Handlers decode, call the hall and copy bytes.

mod body;
mod caller;
mod chat;
mod count_tokens;
mod guard;
mod hangup;
mod keeping;
mod models;
mod probes;
mod receipt;
mod reply;
mod responses;
mod resume;
mod unread;

use std::any::Any;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Extensions, Server};
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};
use socket2::SockRef;
use tokio_util::sync::CancellationToken;

use crate::dialects::{ANTHROPIC_MESSAGES, Dialect, OPENAI_CHAT, UI_MESSAGES};
use crate::domain::error::GatewayError;
use crate::pipeline::Hall;

use hangup::{Hangups, Watched};

/// What handlers share.
struct Door {
    hall: Arc<Hall>,
}

/// One client connection; its token is cancelled when the peer closes.
struct Connection {
    gone: CancellationToken,
    _watched: Option<Watched>,
}

/// Starts the client listener on an open socket. Ends when the returned server is stopped.
pub fn start(listener: TcpListener, hall: Arc<Hall>) -> io::Result<Server> {
    let settings = hall.snapshot();
    let (server, timeouts) = (&settings.config.server, &settings.config.timeouts);
    let hangups = Hangups::start()?;
    let write_timeout = timeouts.write;
    let door = web::Data::new(Door { hall });
    let built = HttpServer::new(move || App::new().app_data(door.clone()).configure(routes))
        .workers(server.threads)
        // A thousand clients that connect at once must not wait for a retransmitted SYN.
        .backlog(4_096)
        .client_request_timeout(timeouts.client_headers)
        .client_disconnect_timeout(Duration::from_secs(1))
        .keep_alive(timeouts.client_idle)
        .shutdown_timeout(server.drain.as_secs().max(1))
        .disable_signals()
        .on_connect(move |io, extensions| connected(&hangups, write_timeout, io, extensions))
        .listen(listener)?;
    Ok(built.run())
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/v1/chat/completions")
                .route(web::post().to(chat::openai_chat))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/v1/embeddings")
                .route(web::post().to(chat::embeddings))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/v1/messages")
                .route(web::post().to(chat::messages))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/v1/messages/count_tokens")
                .route(web::post().to(count_tokens::messages))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/v1/responses")
                .route(web::post().to(chat::response))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/v1/responses/input_tokens")
                .route(web::post().to(count_tokens::response))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/v1/responses/compact")
                .route(web::post().to(chat::compaction))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/v1/responses/{id}")
                .route(web::get().to(responses::show))
                .route(web::delete().to(responses::delete))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/v1/responses/{id}/input_items")
                .route(web::get().to(responses::input_items))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/v1/responses/{id}/cancel")
                .route(web::post().to(responses::cancel))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/api/chat")
                .route(web::post().to(chat::ui_messages))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/api/chat/{chat}/stream")
                .route(web::get().to(resume::stream))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/api/chat/{chat}/stop")
                .route(web::post().to(resume::stop))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/v1/models")
                .route(web::get().to(models::list))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/v1/requests/{id}")
                .route(web::get().to(receipt::show))
                .route(web::method(actix_web::http::Method::OPTIONS).to(guard::preflight))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/healthz")
                .route(web::get().to(probes::alive))
                .route(web::head().to(probes::alive))
                .default_service(web::to(wrong_method)),
        )
        .service(
            web::resource("/readyz")
                .route(web::get().to(probes::ready))
                .route(web::head().to(probes::ready))
                .default_service(web::to(wrong_method)),
        )
        .default_service(web::to(unknown_route));
}

/// The format of a client that called no chat route: Anthropic's name themselves on every call.
fn spoken(request: &actix_web::HttpRequest) -> &'static dyn Dialect {
    if request.path().starts_with("/api/chat") {
        return UI_MESSAGES;
    }
    let anthropic = request.headers().contains_key("anthropic-version") || request.path().starts_with("/v1/messages");
    if anthropic { ANTHROPIC_MESSAGES } else { OPENAI_CHAT }
}

async fn wrong_method(request: actix_web::HttpRequest, payload: web::Payload) -> actix_web::HttpResponse {
    let error =
        GatewayError::MethodNotAllowed { method: request.method().to_string(), path: request.path().to_owned() };
    unread::drained(reply::error(spoken(&request), &error, &reply::request_id(&request)), payload)
}

async fn unknown_route(request: actix_web::HttpRequest, payload: web::Payload) -> actix_web::HttpResponse {
    let error = GatewayError::RouteNotFound { path: request.path().to_owned() };
    unread::drained(reply::error(spoken(&request), &error, &reply::request_id(&request)), payload)
}

/// A connection was accepted: small writes leave at once, a reader that takes nothing for `write_timeout` loses it, and
/// its end is watched.
fn connected(hangups: &Hangups, write_timeout: Duration, io: &dyn Any, extensions: &mut Extensions) {
    let Some(stream) = io.downcast_ref::<TcpStream>() else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection refused TCP_NODELAY");
    }
    // The kernel's timer, because actix asks nobody while a connection takes no bytes: neither the run, which has
    // given up by then, nor a timer of its own.
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(write_timeout)) {
        tracing::debug!(%error, "a connection refused TCP_USER_TIMEOUT");
    }
    let gone = CancellationToken::new();
    let watched = hangups.watch(stream, gone.clone());
    extensions.insert(Connection { gone, _watched: watched });
}
