//! One connection: requests in, answers out, until one side has had enough.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::book::Book;
use super::call::{self, Connection};
use super::control;
use super::format::{Anthropic, Embeddings, Format, Gemini, GeminiEmbeddings, Moderations, OpenAi, Responses};
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
    let format: Option<&'static dyn Format> = match path {
        _ if request.head.method != "POST" => None,
        _ if path.ends_with("/chat/completions") => Some(&OpenAi),
        _ if path.ends_with("/responses") => Some(&Responses),
        _ if path.ends_with("/messages") => Some(&Anthropic),
        _ if path.ends_with("/embeddings") => Some(&Embeddings),
        _ if path.ends_with("/moderations") => Some(&Moderations),
        _ if Gemini::is_path(path) => Some(&Gemini),
        _ if GeminiEmbeddings::is_path(path) => Some(&GeminiEmbeddings),
        _ => None,
    };
    if let Some(format) = format {
        return call::serve(peer, book, format, request).await;
    }
    peer.write(&control::answer(book, request)).await?;
    Ok(Connection::Usable)
}
