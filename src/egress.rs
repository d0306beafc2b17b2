//! The way out: the only room that knows the HTTP client. Sends one request to one provider under its clocks and
//! hands back the answer's head and a capped body. It judges nothing. Calls to anything else are [`guarded`].

mod addresses;
pub mod guarded;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Url;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout_at};

/// One request to one provider. Destination and credentials come from config, never from a caller.
#[derive(Debug)]
pub struct Outbound {
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub request_id: String,
    pub body: Bytes,
    /// Ask for an event stream instead of one JSON body.
    pub stream: bool,
}

/// How long each phase may take.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    pub connect: Duration,
    /// Latest moment for the response head.
    pub head_by: Instant,
}

/// Why there is no response head, or why its body broke off. Texts never hold the URL's query or a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Nothing was sent: the provider can't have billed anything.
    Connect(String),
    /// Sent, and the connection broke before the head was complete.
    Broken(String),
    /// Sent, and no head came in time.
    Timeout,
    /// Config gives something that is no URL or no header value.
    Unsendable(String),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Connect(why) => write!(f, "could not connect: {why}"),
            SendError::Broken(why) => write!(f, "the connection broke: {why}"),
            SendError::Timeout => f.write_str("no answer in time"),
            SendError::Unsendable(why) => write!(f, "the request can't be sent: {why}"),
        }
    }
}

/// Why a body ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    Broken(String),
    Timeout,
    TooLarge,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Broken(why) => write!(f, "the connection broke in the middle of the answer: {why}"),
            BodyError::Timeout => f.write_str("the answer stalled"),
            BodyError::TooLarge => f.write_str("the answer is larger than the gateway accepts"),
        }
    }
}

/// A response head with its body still on the wire. Dropping it closes the connection, which is how a provider
/// learns that nobody wants the rest.
pub struct Answer {
    response: reqwest::Response,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header's value, when it is there and is text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.response.headers().get(name)?.to_str().ok().map(str::to_owned)
    }

    pub fn is_event_stream(&self) -> bool {
        let kind = self.response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        kind.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
    }

    /// We ask for `identity`; anything else would have to be unpacked, and a small body may unpack to gigabytes.
    pub fn is_encoded(&self) -> bool {
        self.response
            .headers()
            .get(CONTENT_ENCODING)
            .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
    }

    /// Lets go of the headers. Their values are slices of the connection's read buffer and would keep its 8 KiB in
    /// memory beside a second one for as long as a stream lasts.
    pub fn drop_headers(&mut self) {
        self.response.headers_mut().clear();
    }

    /// The next bytes, or none at the end. Fails when nothing comes before `by`.
    pub async fn chunk(&mut self, by: Instant) -> Result<Option<Bytes>, BodyError> {
        match timeout_at(by, self.response.chunk()).await {
            Err(_) => Err(BodyError::Timeout),
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(e)) => Err(BodyError::Broken(describe(e))),
        }
    }

    /// The whole body, at most `cap` bytes.
    pub async fn whole(&mut self, cap: usize, by: Instant) -> Result<Bytes, BodyError> {
        let Some(first) = self.chunk(by).await? else { return Ok(Bytes::new()) };
        if first.len() > cap {
            return Err(BodyError::TooLarge);
        }
        // Most answers arrive in one read: no copy then.
        let Some(second) = self.chunk(by).await? else { return Ok(first) };
        let mut body = BytesMut::from(&first[..]);
        let mut next = Some(second);
        while let Some(bytes) = next {
            if body.len() + bytes.len() > cap {
                return Err(BodyError::TooLarge);
            }
            body.extend_from_slice(&bytes);
            next = self.chunk(by).await?;
        }
        Ok(body.freeze())
    }
}

thread_local! {
    /// One client per thread: a pool shared by threads costs more per call, and its connections live on whichever
    /// runtime opened them.
    static CLIENT: RefCell<Option<(Duration, reqwest::Client)>> = const { RefCell::new(None) };
    /// Parsed URLs by their text: config names few, and parsing one takes 3 us of every call.
    static URLS: RefCell<HashMap<String, Url>> = RefCell::default();
}

/// URLs that a thread remembers. Reloads leave old ones behind, so all are forgotten when there are more.
const URLS_MAX: usize = 256;

/// Sends `out` and waits for the response head.
pub async fn send(out: Outbound, clocks: Clocks) -> Result<Answer, SendError> {
    let client = client(clocks.connect)?;
    let url = url(&out.url)?;
    let mut headers = HeaderMap::with_capacity(out.headers.len() + 5);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let accept = if out.stream { "text/event-stream" } else { "application/json" };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    if let Ok(id) = HeaderValue::from_str(&out.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    for (name, value) in &out.headers {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| SendError::Unsendable(format!("the value for {name} has characters no header may have")))?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    let request = client.post(url).headers(headers).body(out.body).send();
    match timeout_at(clocks.head_by, request).await {
        Err(_) => Err(SendError::Timeout),
        Ok(Ok(response)) => Ok(Answer { response }),
        Ok(Err(e)) if e.is_connect() => Err(SendError::Connect(describe(e))),
        Ok(Err(e)) => Err(SendError::Broken(describe(e))),
    }
}

fn url(text: &str) -> Result<Url, SendError> {
    URLS.with_borrow_mut(|known| {
        if let Some(url) = known.get(text) {
            return Ok(url.clone());
        }
        let url = Url::parse(text).map_err(|e| SendError::Unsendable(format!("base_url: {e}")))?;
        if known.len() >= URLS_MAX {
            known.clear();
        }
        known.insert(text.to_owned(), url.clone());
        Ok(url)
    })
}

fn client(connect: Duration) -> Result<reqwest::Client, SendError> {
    CLIENT.with_borrow_mut(|slot| {
        if let Some((timeout, client)) = slot
            && *timeout == connect
        {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .connect_timeout(connect)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_keepalive(Duration::from_secs(30))
            .user_agent(concat!("headgate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| SendError::Unsendable(describe(e)))?;
        *slot = Some((connect, client.clone()));
        Ok(client)
    })
}

/// The innermost cause in words, without the URL (some providers carry the key in its query).
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
