//! Reads HTTP/1.1 requests off a connection.
//!
//! By hand over httparse: a web framework can't reset a connection, cut it inside a chunk, stall it or write it byte by
//! byte, and a test provider exists to do just that. Reading comes along, because both share the socket.

use bytes::{Buf, Bytes, BytesMut};
use httparse::Status;

use super::peer::{Gone, Peer};

const HEAD_BYTES: usize = 64 << 10;
const BODY_BYTES: usize = 64 << 20;
const MAX_HEADERS: usize = 100;

pub(super) struct Request {
    pub(super) head: RequestHead,
    pub(super) body: Bytes,
}

pub(super) struct RequestHead {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    pub(super) query: String,
    /// The head as it came: the headers are read from it when someone asks.
    pub(super) raw: Bytes,
    pub(super) keep_alive: bool,
    pub(super) anthropic: bool,
    length: Length,
    expects_continue: bool,
}

enum Length {
    Known(usize),
    Chunked,
}

pub(super) enum ReadError {
    Gone,
    /// Status and what was wrong; the connection can't be used further.
    Refused(u16, &'static str),
}

impl From<Gone> for ReadError {
    fn from(Gone: Gone) -> ReadError {
        ReadError::Gone
    }
}

pub(super) async fn read(peer: &mut Peer) -> Result<Request, ReadError> {
    let head = loop {
        if let Some(head) = parse_head(&mut peer.inbox)? {
            break head;
        }
        peer.receive().await?;
    };
    if head.expects_continue {
        peer.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body = match head.length {
        Length::Known(length) => read_known(peer, length).await?,
        Length::Chunked => read_chunked(peer).await?,
    };
    Ok(Request { head, body })
}

fn parse_head(inbox: &mut BytesMut) -> Result<Option<RequestHead>, ReadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let size = match parsed.parse(inbox) {
        Ok(Status::Complete(size)) => size,
        Ok(Status::Partial) if inbox.len() > HEAD_BYTES => {
            return Err(ReadError::Refused(431, "the request head is larger than 64 KiB"));
        }
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(ReadError::Refused(400, "this is not an HTTP/1.1 request")),
    };
    let (path, query) = parsed.path.unwrap_or("/").split_once('?').unwrap_or((parsed.path.unwrap_or("/"), ""));
    let mut head = RequestHead {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        raw: Bytes::new(),
        keep_alive: parsed.version == Some(1),
        anthropic: false,
        length: Length::Known(0),
        expects_continue: false,
    };
    for header in parsed.headers.iter() {
        note_header(&mut head, header)?;
    }
    head.raw = inbox.split_to(size).freeze();
    Ok(Some(head))
}

fn note_header(head: &mut RequestHead, header: &httparse::Header<'_>) -> Result<(), ReadError> {
    let is = |name| header.name.eq_ignore_ascii_case(name);
    let says = |word| header.value.eq_ignore_ascii_case(word);
    if is("content-length") {
        let length = std::str::from_utf8(header.value).ok().and_then(|value| value.trim().parse().ok());
        let length = length.ok_or(ReadError::Refused(400, "content-length is not a number"))?;
        if length > BODY_BYTES {
            return Err(ReadError::Refused(413, "the request body is larger than 64 MiB"));
        }
        head.length = Length::Known(length);
    } else if is("transfer-encoding") {
        head.length = Length::Chunked;
    } else if is("connection") {
        head.keep_alive = !says(b"close") && (head.keep_alive || says(b"keep-alive"));
    } else if is("expect") {
        head.expects_continue = says(b"100-continue");
    } else if is("anthropic-version") {
        head.anthropic = true;
    }
    Ok(())
}

async fn read_known(peer: &mut Peer, length: usize) -> Result<Bytes, ReadError> {
    // One growth to the full size instead of many doublings.
    peer.inbox.reserve(length.saturating_sub(peer.inbox.len()));
    while peer.inbox.len() < length {
        peer.receive().await?;
    }
    Ok(peer.inbox.split_to(length).freeze())
}

async fn read_chunked(peer: &mut Peer) -> Result<Bytes, ReadError> {
    let mut body = BytesMut::new();
    loop {
        let (line, size) = match httparse::parse_chunk_size(&peer.inbox) {
            Ok(Status::Complete((line, size))) => (line, usize::try_from(size).unwrap_or(usize::MAX)),
            Ok(Status::Partial) => {
                peer.receive().await?;
                continue;
            }
            Err(_) => return Err(ReadError::Refused(400, "a chunk size is not a number")),
        };
        if body.len().saturating_add(size) > BODY_BYTES {
            return Err(ReadError::Refused(413, "the request body is larger than 64 MiB"));
        }
        // The blank line after the last chunk has the same two bytes as the end of any chunk; no client sends trailers.
        while peer.inbox.len() < line + size + 2 {
            peer.receive().await?;
        }
        peer.inbox.advance(line);
        body.extend_from_slice(&peer.inbox.split_to(size));
        peer.inbox.advance(2);
        if size == 0 {
            return Ok(body.freeze());
        }
    }
}

/// The headers of a raw request head, in order; values that are no UTF-8 keep what can be read of them.
pub(super) fn headers(raw: &[u8]) -> Vec<(String, String)> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(raw) {
        Ok(_) => parsed
            .headers
            .iter()
            .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
            .collect(),
        Err(_) => Vec::new(),
    }
}
