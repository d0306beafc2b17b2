//! One connection: requests in, answers out, until one side has had enough.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::book::Book;
use super::call::{self, Connection};
use super::control;
use super::format::{Anthropic, Gemini, OpenAi};
use super::peer::{Gone, Peer};
use super::reply::Reply;
use super::request::{self, ReadError, Request};

pub(super) async fn run(socket: TcpStream, book: Arc<Book>) {
    let _open = book.socket();
    let mut peer = Peer::new(socket);
    // Leaving is the peer's right, and already in the counts where they care.
    let _ = talk(&mut peer, &book).await;
}

async fn talk(peer: &mut Peer, book: &Book) -> Result<(), Gone> {
    loop {
        let request = match request::read(peer).await {
            Ok(request) => request,
            Err(ReadError::Gone) => return Err(Gone),
            Err(ReadError::Refused(status, why)) => {
                let reply = Reply::new(status, "text/plain").header("connection", "close");
                return peer.write(&reply.with(why.as_bytes())).await;
            }
        };
        let connection = route(peer, book, &request).await?;
        if connection == Connection::Broken || !request.head.keep_alive {
            return Ok(());
        }
    }
}

/// Providers put their paths under different prefixes, so only the end of a path counts.
async fn route(peer: &mut Peer, book: &Book, request: &Request) -> Result<Connection, Gone> {
    let path = request.head.path.as_str();
    if request.head.method == "POST" && path.ends_with("/chat/completions") {
        return call::serve(peer, book, &OpenAi, request).await;
    }
    if request.head.method == "POST" && path.ends_with("/messages") {
        return call::serve(peer, book, &Anthropic, request).await;
    }
    if request.head.method == "POST" && Gemini::is_path(path) {
        return call::serve(peer, book, &Gemini, request).await;
    }
    peer.write(&control::answer(book, request)).await?;
    Ok(Connection::Usable)
}
