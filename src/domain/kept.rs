//! A journaled run as the store keeps it: what was asked, and what the client got, until `background.keep_results`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::caller::Caller;
use super::ids::RunId;

/// What never changes of a kept run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAbout {
    /// Version of the stored shape; two neighbouring releases must be able to read each other's runs.
    pub version: u16,
    pub id: RunId,
    pub key: String,
    pub user: String,
    pub dialect: String,
    pub stream: bool,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// None where a connection owns the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobAbout>,
}

/// What it takes to start a run without the request that asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobAbout {
    pub request_id: String,
    pub team: String,
    /// Headers that a provider of the client's format has to see.
    pub forwarded: Vec<(String, String)>,
}

/// The right to write the answer of a job. The newest claim has the highest fence; whoever writes under an older one
/// has been taken for dead, and is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pen {
    pub run: RunId,
    /// None for the run of a connection, whose process is its only writer.
    pub fence: Option<u64>,
}

impl Pen {
    /// Of a run that its connection owns.
    pub fn unfenced(run: RunId) -> Self {
        Pen { run, fence: None }
    }

    /// The id of the money that this claim sets aside: what a dead process held is not ours to spend.
    pub fn hold(&self) -> RunId {
        match self.fence {
            None | Some(0 | 1) => self.run,
            Some(fence) => self.run.again(fence),
        }
    }
}

pub const KEPT_VERSION: u16 = 1;

/// Where a kept run stands. It only ever moves on from `Running`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptState {
    Running,
    /// The client's answer is whole.
    Whole,
    /// It ended in the middle of its answer, and said why in its last frame.
    Broken,
    /// Its process died in the middle. Never stored: whoever looks finds it out.
    Lost,
}

impl KeptState {
    pub fn as_str(self) -> &'static str {
        match self {
            KeptState::Running => "running",
            KeptState::Whole => "whole",
            KeptState::Broken => "broken",
            KeptState::Lost => "lost",
        }
    }

    /// Anything unknown counts as lost: it must not be taken for an answer, and nobody is working on it.
    pub fn parse(text: &str) -> Self {
        match text {
            "running" => KeptState::Running,
            "whole" => KeptState::Whole,
            "broken" => KeptState::Broken,
            _ => KeptState::Lost,
        }
    }
}

/// The head of a reply, to be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptHead {
    pub status: u16,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRun {
    pub about: KeptAbout,
    pub state: KeptState,
    /// The client's body.
    pub request: Bytes,
    /// None until the head was sent.
    pub head: Option<KeptHead>,
    /// The whole body of a plain answer; a stream is in the journal.
    pub body: Option<Bytes>,
}

impl KeptRun {
    /// A foreign run must look exactly like an unknown one.
    pub fn belongs_to(&self, caller: &Caller) -> bool {
        caller.may_see(&self.about.key, &self.about.user)
    }
}

/// The right to run a request that its client marked with `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub name: KeptName,
    /// SHA-256 of the request's body.
    pub body: [u8; 32],
}

/// Another name of a kept run, as a SHA-256 over its parts: who owns it, what kind of name it is, and the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptName(pub [u8; 32]);

/// What a name is for. Names of different kinds never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// An `Idempotency-Key`, with the route it came on.
    Idempotency,
    /// A chat of one user, which leads to its newest answer.
    Chat,
    /// A response whose id its provider minted.
    Response,
}

impl KeptName {
    /// The name `parts` that the owner of `key` gave.
    pub fn new(kind: NameKind, key: &str, parts: &[&[u8]]) -> Self {
        let kind: &[u8] = match kind {
            NameKind::Idempotency => b"idempotency",
            NameKind::Chat => b"chat",
            NameKind::Response => b"response",
        };
        let mut hash = Sha256::new();
        for part in [kind, key.as_bytes()].iter().chain(parts) {
            // With its length, so that no two lists of parts are the same bytes.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        KeptName(hash.finalize().into())
    }
}
