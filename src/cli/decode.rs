//! `headgate mock --decode`: a recorded answer, read as the gateway reads it and written for each kind of client.

mod answer;
mod kind;
mod recording;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::providers::{ADAPTERS, Adapter, adapter};

use super::Failure;
use answer::Read;
use recording::Recording;

#[derive(Args)]
pub(super) struct Decode {
    /// Read a recorded answer instead of running: a whole body, an error body, a raw event stream, or one data payload
    /// per line. Prints what it says, and the same answer as each kind of client gets it. Exit code 1: it can't be read
    #[arg(long = "decode", value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Provider format of the recording, where its contents don't tell
    #[arg(long, requires = "file")]
    kind: Option<String>,
    /// HTTP status that the recording came with, where its contents don't tell
    #[arg(long, requires = "file", value_parser = clap::value_parser!(u16).range(100..=599))]
    status: Option<u16>,
    /// Print JSON
    #[arg(long, requires = "file")]
    json: bool,
}

impl Decode {
    pub(super) fn run(&self, file: &std::path::Path) -> Result<ExitCode, Failure> {
        let bytes = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
        match self.read(&bytes) {
            Ok(read) => {
                let shown = if self.json { show::json(&read).to_string() } else { show::text(&read) };
                println!("{shown}");
                Ok(ExitCode::SUCCESS)
            }
            Err(why) => {
                eprintln!("headgate: {}: {why}", file.display());
                Ok(ExitCode::FAILURE)
            }
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<Read, String> {
        let recording = Recording::read(bytes)?;
        let adapter = self.adapter(&recording)?;
        Read::new(adapter, &recording, self.status)
            .map_err(|why| format!("{why}. It was read as kind {}; --kind names another.", adapter.kind()))
    }

    fn adapter(&self, recording: &Recording) -> Result<&'static dyn Adapter, String> {
        let name = match &self.kind {
            Some(name) => name,
            None => kind::of(recording).ok_or_else(|| format!("its kind can't be told; name it with {}", kinds()))?,
        };
        adapter(name).ok_or_else(|| format!("kind {name} can't be read; name another with {}", kinds()))
    }
}

/// The argument and its values.
fn kinds() -> String {
    let kinds: Vec<&str> = ADAPTERS.iter().map(|adapter| adapter.kind()).collect();
    format!("--kind: {}", kinds.join(", "))
}
