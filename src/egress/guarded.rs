//! The guarded client: for calls to anything but providers (key sets today). It reaches the public internet over TLS,
//! and of everything else only the hosts that config lists.
//!
//! The address is judged after the name was resolved and for each connection anew, so a name that points inside leads
//! nowhere, whenever it begins to. Redirects are answers like any other: following one would leave the place that
//! config named.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, HeaderValue};
use tokio::time::timeout;

use super::addresses::is_public;

/// What one call may reach and cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// `host:port` in lower case, IPv6 in brackets: hosts that may be private and may be asked over plain http.
    pub allow: &'a [String],
    /// For the whole call, the name's lookup and the body included.
    pub timeout: Duration,
    /// Largest body that is taken.
    pub max_bytes: usize,
}

/// A whole answer, whatever its status; a redirect is one, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub status: u16,
    pub body: Bytes,
}

/// Why there is no answer. Texts never hold the URL's query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardedError {
    /// The guard said no: nothing was sent.
    Refused(String),
    Failed(String),
    Timeout,
    TooLarge,
}

impl fmt::Display for GuardedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuardedError::Refused(why) => write!(f, "not called: {why}"),
            GuardedError::Failed(why) => write!(f, "the call failed: {why}"),
            GuardedError::Timeout => f.write_str("no whole answer in time"),
            GuardedError::TooLarge => f.write_str("the answer is larger than the gateway accepts"),
        }
    }
}

/// Cheap to clone. It keeps no connection open, so it may be used from any runtime.
#[derive(Clone, Debug)]
pub struct Guarded {
    /// Its resolver hands out public addresses only.
    public: reqwest::Client,
    /// For hosts that config lists.
    listed: reqwest::Client,
}

impl Guarded {
    /// Errors: the system's TLS roots can't be read.
    pub fn new() -> Result<Self, GuardedError> {
        let client = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .pool_max_idle_per_host(0)
                .user_agent(concat!("headgate/", env!("CARGO_PKG_VERSION")))
        };
        let built = |builder: reqwest::ClientBuilder| builder.build().map_err(failed);
        Ok(Guarded { public: built(client().dns_resolver(PublicOnly))?, listed: built(client())? })
    }

    /// The answer of `url`, which comes from config and never from a caller.
    pub async fn get(&self, url: &str, bounds: Bounds<'_>) -> Result<Fetched, GuardedError> {
        let url = Url::parse(url).map_err(|error| GuardedError::Refused(format!("it is no URL: {error}")))?;
        let client = if is_listed(&url, bounds.allow) { &self.listed } else { self.unlisted(&url)? };
        let fetched = async {
            let request = client.get(url).header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            whole(request.send().await.map_err(failed)?, bounds.max_bytes).await
        };
        timeout(bounds.timeout, fetched).await.unwrap_or(Err(GuardedError::Timeout))
    }

    /// What can be told from the URL alone. Addresses in it never meet the resolver; the parser has brought every
    /// spelling of them (`0x7f.1`, `2130706433`) into the usual one.
    fn unlisted(&self, url: &Url) -> Result<&reqwest::Client, GuardedError> {
        let refused = |why: &str| Err(GuardedError::Refused(why.to_owned()));
        if url.scheme() != "https" {
            return refused("only https is used, unless config lists the host under allow");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("a URL must not hold a user or a password");
        }
        match literal(url.host_str().unwrap_or_default()) {
            Some(address) if !is_public(address) => Err(GuardedError::Refused(not_public(&address.to_string()))),
            _ => Ok(&self.public),
        }
    }
}

fn is_listed(url: &Url, allow: &[String]) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
    matches!(url.scheme(), "http" | "https") && allow.contains(&format!("{host}:{port}"))
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn not_public(host: &str) -> String {
    format!("{host} is not on the public internet; list its host:port under allow if it is meant")
}

async fn whole(mut response: reqwest::Response, max_bytes: usize) -> Result<Fetched, GuardedError> {
    let status = response.status().as_u16();
    let mut body = BytesMut::new();
    while let Some(bytes) = response.chunk().await.map_err(failed)? {
        if body.len() + bytes.len() > max_bytes {
            return Err(GuardedError::TooLarge);
        }
        body.extend_from_slice(&bytes);
    }
    Ok(Fetched { status, body: body.freeze() })
}

/// The guard's own refusal comes back inside the client's error.
fn failed(error: reqwest::Error) -> GuardedError {
    let mut cause: Option<&dyn Error> = Some(&error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<NotPublic>() {
            return GuardedError::Refused(refusal.to_string());
        }
        cause = error.source();
    }
    GuardedError::Failed(super::describe(error))
}

/// Resolves as the system does and refuses a name with any address inside: which of several is tried is not ours to say.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            if addresses.iter().any(|address| !is_public(address.ip())) {
                return Err(NotPublic(name.as_str().to_owned()).into());
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

#[derive(Debug)]
struct NotPublic(String);

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&not_public(&self.0))
    }
}

impl Error for NotPublic {}

#[cfg(test)]
mod tests;
