//! Response heads, written by hand so that they may be wrong in any way a script asks for.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::errors::error_row;

pub(super) struct Reply<'a> {
    status: u16,
    headers: Vec<(&'a str, String)>,
}

impl<'a> Reply<'a> {
    pub(super) fn new(status: u16, content_type: &str) -> Reply<'a> {
        // A gateway needs our date to read a Retry-After that is one.
        let date = httpdate::fmt_http_date(SystemTime::now());
        Reply { status, headers: vec![("content-type", content_type.to_owned()), ("date", date)] }
    }

    pub(super) fn header(mut self, name: &'a str, value: impl Into<String>) -> Reply<'a> {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds the script's headers; one of the same name as ours takes its place.
    pub(super) fn scripted(mut self, headers: &'a BTreeMap<String, String>) -> Reply<'a> {
        self.headers.retain(|(ours, _)| !headers.keys().any(|theirs| theirs.eq_ignore_ascii_case(ours)));
        self.headers.extend(headers.iter().map(|(name, value)| (name.as_str(), value.clone())));
        self
    }

    /// Head and body in one piece, to leave in one write.
    pub(super) fn with(self, body: &[u8]) -> Vec<u8> {
        self.announcing(body.len() as u64, body)
    }

    /// A head that promises `length` bytes, and what is sent of them at once.
    pub(super) fn announcing(self, length: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = self.header("content-length", length.to_string()).head();
        bytes.extend_from_slice(body);
        bytes
    }

    pub(super) fn chunked(self) -> Vec<u8> {
        self.header("transfer-encoding", "chunked").head()
    }

    fn head(self) -> Vec<u8> {
        let row = error_row(self.status);
        let reason = match self.status {
            200 => "OK",
            302 => "Found",
            status if status == row.status => row.reason,
            _ => "",
        };
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        for (name, value) in &self.headers {
            head.extend([*name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// One chunk of a chunked body.
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
