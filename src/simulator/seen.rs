//! A request as it arrived, for tests to look at.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;

use super::request::{self, Request};

/// Headers that carry a credential: not shown by `Debug` and not served over HTTP.
const CREDENTIALS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// A request that asked something of a model.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct SeenRequest {
    /// Without the query.
    pub path: String,
    pub query: String,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl SeenRequest {
    /// The first header of that name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn without_credentials(&self) -> SeenRequest {
        let mut shown = self.clone();
        for (name, value) in &mut shown.headers {
            if CREDENTIALS.contains(&name.as_str()) {
                "***".clone_into(value);
            }
        }
        shown
    }
}

impl fmt::Debug for SeenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.without_credentials();
        f.debug_struct("SeenRequest")
            .field("path", &shown.path)
            .field("query", &shown.query)
            .field("headers", &shown.headers)
            .field("body", &shown.body)
            .finish()
    }
}

/// The bytes of a request; read only when someone asks, because under load nobody does.
#[derive(Clone)]
pub(super) struct Seen {
    head: Bytes,
    body: Bytes,
    path: String,
    query: String,
}

impl Seen {
    pub(super) fn new(request: &Request) -> Seen {
        let request::RequestHead { raw, path, query, .. } = &request.head;
        Seen { head: raw.clone(), body: request.body.clone(), path: path.clone(), query: query.clone() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.head.len() + self.body.len()
    }

    pub(super) fn read(&self) -> SeenRequest {
        SeenRequest {
            path: self.path.clone(),
            query: self.query.clone(),
            headers: request::headers(&self.head),
            body: String::from_utf8_lossy(&self.body).into_owned(),
        }
    }
}
