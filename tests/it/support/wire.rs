//! A client that sees the wire: chunks as they were sent, comments, and how a connection ends.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{KEY, TestGateway};

/// A read that takes longer than this means that the peer is stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// One client connection.
pub struct Wire {
    pub socket: TcpStream,
    inbox: Vec<u8>,
}

pub struct WireHead {
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
}

/// What comes next of a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Chunk(Vec<u8>),
    /// The chunk of length 0: the body is whole.
    Last,
    /// The connection closed or was reset before that.
    Cut,
}

/// A chunked body to its end.
pub struct Body {
    pub chunks: Vec<Vec<u8>>,
    /// It ended with the chunk of length 0.
    pub whole: bool,
}

impl Wire {
    pub async fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.expect("a listener"))
    }

    pub fn over(socket: TcpStream) -> Self {
        Wire { socket, inbox: Vec::new() }
    }

    /// Connects to the client listener of `gw` and sends a chat call of the test key.
    pub async fn chat(gw: &TestGateway, body: &Value, headers: &[(&str, &str)]) -> Self {
        let mut wire = Self::connect(gw.gateway.client).await;
        wire.ask("/v1/chat/completions", &body.to_string(), headers).await;
        wire
    }

    pub async fn ask(&mut self, path: &str, body: &str, headers: &[(&str, &str)]) {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.extend([*name, ": ", value, "\r\n"]);
        }
        request.extend(["\r\n", body]);
        self.socket.write_all(request.as_bytes()).await.expect("an open connection");
    }

    /// The next response head.
    pub async fn head(&mut self) -> WireHead {
        let end = loop {
            if let Some(at) = find(&self.inbox, b"\r\n\r\n") {
                break at;
            }
            assert!(self.read().await, "the connection ended before a head: {}", String::from_utf8_lossy(&self.inbox));
        };
        let head = String::from_utf8(self.inbox.drain(..end + 4).collect()).expect("a head is text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let headers = lines.filter_map(|line| line.split_once(": "));
        WireHead {
            status: status.parse().expect("a number"),
            headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
        }
    }

    /// The body of an answer that told its length.
    pub async fn sized(&mut self, head: &WireHead) -> Vec<u8> {
        let length: usize = head.header("content-length").parse().expect("a length");
        while self.inbox.len() < length {
            assert!(self.read().await, "the body broke off");
        }
        self.inbox.drain(..length).collect()
    }

    /// The next piece of a chunked body.
    pub async fn piece(&mut self) -> Piece {
        loop {
            if let Some(at) = find(&self.inbox, b"\r\n") {
                let size = std::str::from_utf8(&self.inbox[..at]).expect("a chunk size is text");
                let size = usize::from_str_radix(size, 16).expect("a chunk size is hexadecimal");
                let (start, end) = (at + 2, at + 2 + size);
                if self.inbox.len() >= end + 2 {
                    assert_eq!(&self.inbox[end..end + 2], b"\r\n", "a chunk ends with a line break");
                    let chunk = self.inbox[start..end].to_vec();
                    self.inbox.drain(..end + 2);
                    return if size == 0 { Piece::Last } else { Piece::Chunk(chunk) };
                }
            }
            if !self.read().await {
                return Piece::Cut;
            }
        }
    }

    /// Reads chunks until `wanted` says so, and returns the text so far.
    pub async fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        while !wanted(&text) {
            match self.piece().await {
                Piece::Chunk(chunk) => text.push_str(&String::from_utf8(chunk).expect("UTF-8")),
                end => panic!("{end:?} after: {text}"),
            }
        }
        text
    }

    /// All chunks that are left.
    pub async fn rest(&mut self) -> Body {
        let mut chunks = Vec::new();
        loop {
            match self.piece().await {
                Piece::Chunk(chunk) => chunks.push(chunk),
                end => return Body { chunks, whole: end == Piece::Last },
            }
        }
    }

    /// False at the end of the connection.
    async fn read(&mut self) -> bool {
        self.inbox.reserve(16 << 10);
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.inbox)).await;
        read.expect("the peer goes on within 20 s").is_ok_and(|length| length > 0)
    }
}

impl WireHead {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

impl Body {
    pub fn text(&self) -> String {
        String::from_utf8(self.chunks.concat()).expect("UTF-8")
    }

    pub fn frames(&self) -> Vec<String> {
        frames(&self.text())
    }
}

/// Events and comments of a stream with LF line ends, without the blank lines between them.
pub fn frames(text: &str) -> Vec<String> {
    text.split_terminator("\n\n").map(str::to_owned).collect()
}

/// The JSON of all `data:` frames that hold some.
pub fn data(frames: &[String]) -> Vec<Value> {
    let data = frames.iter().filter_map(|frame| frame.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

/// The text that a stream's deltas add up to.
pub fn said(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
