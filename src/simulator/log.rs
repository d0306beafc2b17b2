//! One JSON line per call, for whoever wants to compute what the calls should have cost.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::answer::Usage;
use super::counts::End;

#[derive(Serialize)]
pub(super) struct Line<'a> {
    /// Counted from 0 over all models.
    pub(super) call: u64,
    /// As the caller names it in `x-request-id`.
    pub(super) request_id: Option<String>,
    pub(super) format: &'static str,
    /// Empty where the request could not be read.
    pub(super) model: &'a str,
    pub(super) status: u16,
    pub(super) end: End,
    /// What the answer reported, as it reported it; null where it was to report nothing, or there was no answer.
    pub(super) usage: Option<&'a Usage>,
}

pub(super) struct Log(Mutex<File>);

impl Log {
    pub(super) fn new(file: File) -> Log {
        Log(Mutex::new(file))
    }

    /// A line that can't be written is missed by its reader, who counts them.
    pub(super) fn write(&self, line: &Line<'_>) {
        let Ok(mut text) = serde_json::to_vec(line) else { return };
        text.push(b'\n');
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text);
    }
}
