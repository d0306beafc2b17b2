//! A client that sees bytes: SDKs and HTTP crates hide just what these tests are about.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How the bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The HTTP body is whole.
    Whole,
    /// The connection was closed before that.
    Closed,
    Reset,
    /// Open, and silent for longer than we waited.
    Silent,
}

/// For whoever expects an end; a loaded machine may take its time.
const PATIENCE: Duration = Duration::from_secs(10);
/// For whoever expects silence.
pub const SILENCE: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub struct Received {
    pub status: u16,
    pub head: String,
    /// Without chunk framing.
    pub body: Vec<u8>,
    pub ending: Ending,
}

impl Received {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The payloads of the `data:` lines.
    pub fn payloads(&self) -> Vec<String> {
        let text = self.text();
        text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
    }

    pub fn events(&self) -> Vec<Value> {
        self.payloads().iter().filter_map(|payload| serde_json::from_str(payload).ok()).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    OpenAi,
    Anthropic,
}

/// A call in Gemini's format: what the others have in the body is in the path here.
pub fn gemini(model: &str, stream: bool, body: &Value) -> Vec<u8> {
    let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    post(&format!("/v1beta/models/{model}:{method}"), body)
}

impl Api {
    pub const BOTH: [Api; 2] = [Api::OpenAi, Api::Anthropic];

    pub fn path(self) -> &'static str {
        match self {
            Api::OpenAi => "/v1/chat/completions",
            Api::Anthropic => "/v1/messages",
        }
    }
}

pub fn chat(model: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "max_tokens": 100, "messages": [{ "role": "user", "content": "hi" }] })
}

pub fn post(path: &str, body: &Value) -> Vec<u8> {
    request("POST", path, &body.to_string())
}

pub fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: mock\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// One request on a connection of its own.
pub async fn exchange(addr: SocketAddr, request: &[u8]) -> Received {
    receive(&mut send(addr, request).await).await
}

pub async fn send(addr: SocketAddr, request: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(addr).await.expect("the simulator listens");
    socket.write_all(request).await.expect("the request is sent");
    socket
}

pub async fn call(addr: SocketAddr, api: Api, body: &Value) -> Received {
    exchange(addr, &post(api.path(), body)).await
}

pub async fn receive(socket: &mut TcpStream) -> Received {
    receive_within(socket, PATIENCE).await
}

/// Gives up when nothing comes for `patience`.
pub async fn receive_within(socket: &mut TcpStream, patience: Duration) -> Received {
    let mut bytes = Vec::new();
    let ending = loop {
        if let Some(received) = parse(&bytes).filter(|received| received.ending == Ending::Whole) {
            return received;
        }
        match tokio::time::timeout(patience, socket.read_buf(&mut bytes)).await {
            Err(_) => break Ending::Silent,
            Ok(Ok(0)) => break Ending::Closed,
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => break Ending::Reset,
            Ok(Err(error)) => panic!("{error}"),
        }
    };
    let nothing = Received { status: 0, head: String::new(), body: Vec::new(), ending };
    parse(&bytes).map_or(nothing, |received| Received { ending, ..received })
}

/// What has come so far; `Whole` if that is all, else `Silent`.
fn parse(bytes: &[u8]) -> Option<Received> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let rest = &bytes[end..];
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let (body, whole) = match field("content-length: ") {
        Some(length) => (rest.to_vec(), rest.len() == length.parse::<usize>().ok()?),
        None => dechunked(rest),
    };
    let ending = if whole { Ending::Whole } else { Ending::Silent };
    Some(Received { status, head, body, ending })
}

fn dechunked(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(&bytes[..end]).expect("a chunk size");
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        bytes = &bytes[end + 2..];
        if bytes.len() < size + 2 {
            body.extend_from_slice(bytes);
            return (body, false);
        }
        if size == 0 {
            return (body, true);
        }
        body.extend_from_slice(&bytes[..size]);
        bytes = &bytes[size + 2..];
    }
}
