//! The client listener: connections, callers, the route table. Handlers decode, call the hall and copy bytes.

mod background;
mod body;
mod caller;
mod chat;
mod count_tokens;
mod guard;
mod hangup;
mod keeping;
mod models;
mod openapi;
mod probes;
mod receipt;
mod reply;
mod responses;
mod resume;
mod routes;
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

use crate::jwt::Tokens;
use crate::pipeline::Hall;

use hangup::{Hangups, Watched};

/// What handlers share.
struct Door {
    hall: Arc<Hall>,
    tokens: Tokens,
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
    let door = web::Data::new(Door { hall, tokens: Tokens::default() });
    let built = HttpServer::new(move || App::new().app_data(door.clone()).configure(routes::register))
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
