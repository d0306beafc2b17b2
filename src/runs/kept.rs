//! Journaled runs: request, head and result, for whoever asks again.

mod redis;
mod sqlite;

use std::time::Duration;

use bytes::Bytes;

use crate::domain::ids::RunId;
use crate::domain::kept::{Claim, KeptAbout, KeptHead, KeptName, KeptRun, KeptState};
use crate::store::{Backend, Store, StoreError};

use self::redis::RedisKept;
use self::sqlite::SqliteKept;
use super::{Process, Queued};

/// A process that has not shown itself for so long is dead, and so are the runs it owned.
pub const PROCESS_LEASE: Duration = Duration::from_secs(6);

/// Kept runs. Clones share them.
#[derive(Clone)]
pub struct KeptRuns {
    shelf: Shelf,
}

#[derive(Clone)]
enum Shelf {
    Sqlite(SqliteKept),
    Redis(RedisKept),
    /// Beside a running `serve`: it is not asked for kept runs.
    ReadOnly,
}

/// What became of an [`KeptRuns::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    New,
    /// The same request was claimed before, by this run.
    Same(RunId),
    /// The name was claimed for a request with another body.
    OtherBody,
}

/// A run that starts, or is queued.
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    pub about: &'a KeptAbout,
    pub request: &'a Bytes,
    pub claim: Option<Claim>,
    /// A name that leads to this run from now on, whatever it led to before.
    pub name: Option<KeptName>,
    /// The head of its answer, where that is known before the run.
    pub head: Option<&'a KeptHead>,
    /// None where this process runs it at once.
    pub queued: Option<&'a Queued>,
}

impl KeptRuns {
    pub fn new(store: &Store, process: &Process) -> Self {
        let process = process.clone();
        let shelf = match store.backend() {
            Backend::Sqlite(sqlite) => Shelf::Sqlite(SqliteKept::new(sqlite.clone(), store.clock().clone(), process)),
            Backend::SqliteFile(_) => Shelf::ReadOnly,
            Backend::Redis(redis) => Shelf::Redis(RedisKept::new(redis.clone(), process)),
        };
        KeptRuns { shelf }
    }

    /// Keeps a new run, durably, with its claim, its name and its place in the queue, all or nothing. A claim whose run is gone or died in the
    /// middle is free again.
    pub async fn open(&self, opening: Opening<'_>, keep: Duration) -> Result<Opened, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(runs) => runs.open(opening).await,
            Shelf::Redis(runs) => runs.open(opening, keep).await,
            Shelf::ReadOnly => Err(read_only()),
        }
    }

    /// Keeps the head of a stream.
    pub async fn set_head(&self, run: RunId, head: &KeptHead) -> Result<(), StoreError> {
        let head = encode(head)?;
        match &self.shelf {
            Shelf::Sqlite(runs) => runs.set_head(run, head).await,
            Shelf::Redis(runs) => runs.set_head(run, head).await,
            Shelf::ReadOnly => Err(read_only()),
        }
    }

    /// Lets `name` lead to `run`.
    pub async fn set_name(&self, run: RunId, name: KeptName, keep: Duration) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Sqlite(runs) => runs.set_name(run, name).await,
            Shelf::Redis(runs) => runs.set_name(run, name, keep).await,
            Shelf::ReadOnly => Err(read_only()),
        }
    }

    /// The run has ended. `whole` is the head and body of a plain answer.
    pub async fn close(
        &self,
        run: RunId,
        state: KeptState,
        whole: Option<(&KeptHead, &Bytes)>,
    ) -> Result<(), StoreError> {
        let whole = whole.map(|(head, body)| Ok((encode(head)?, body.clone()))).transpose()?;
        match &self.shelf {
            Shelf::Sqlite(runs) => runs.close(run, state, whole).await,
            Shelf::Redis(runs) => runs.close(run, state, whole).await,
            Shelf::ReadOnly => Err(read_only()),
        }
    }

    /// Forgets the run, and that anything was claimed for it. Its other names lead nowhere.
    pub async fn forget(&self, run: RunId, claim: Option<Claim>) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Sqlite(runs) => runs.forget(run).await,
            Shelf::Redis(runs) => runs.forget(run, claim).await,
            Shelf::ReadOnly => Err(read_only()),
        }
    }

    /// The run as it stands. One whose process died is `Lost`, unless it is a job: that will start again.
    pub async fn find(&self, run: RunId) -> Result<Option<KeptRun>, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(runs) => runs.find(run).await,
            Shelf::Redis(runs) => runs.find(run).await,
            Shelf::ReadOnly => Err(read_only()),
        }
    }

    /// The run that `name` leads to.
    pub async fn named(&self, name: KeptName) -> Result<Option<RunId>, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(runs) => runs.named(name).await,
            Shelf::Redis(runs) => runs.named(name).await,
            Shelf::ReadOnly => Err(read_only()),
        }
    }

    /// Asks the process that runs `run` to stop it; it looks every second.
    pub async fn ask_stop(&self, run: RunId) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Redis(runs) => runs.ask_stop(run).await,
            // Whatever runs, runs in this process.
            Shelf::Sqlite(_) | Shelf::ReadOnly => Ok(()),
        }
    }

    /// Those of this process's `runs` that another process was asked to stop.
    pub async fn to_stop(&self, runs: &[RunId]) -> Result<Vec<RunId>, StoreError> {
        match &self.shelf {
            Shelf::Redis(kept) if !runs.is_empty() => kept.to_stop(runs).await,
            Shelf::Redis(_) | Shelf::Sqlite(_) | Shelf::ReadOnly => Ok(Vec::new()),
        }
    }

    /// Shows that this process lives; to be called well within [`PROCESS_LEASE`].
    pub async fn show_life(&self) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Redis(runs) => runs.show_life().await,
            // The file has one writer: whoever else wrote to it is dead.
            Shelf::Sqlite(_) | Shelf::ReadOnly => Ok(()),
        }
    }

    /// Deletes what is older than `keep`. Redis does that by itself.
    pub async fn purge(&self, keep: Duration) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Sqlite(runs) => runs.purge(keep).await,
            Shelf::Redis(_) | Shelf::ReadOnly => Ok(()),
        }
    }
}

fn read_only() -> StoreError {
    StoreError::Refused("the store was opened for reading only".to_owned())
}

fn encode<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Refused(format!("can't be stored: {error}")))
}

/// A run as stored. One that a newer release wrote in a shape we can't read counts as absent.
fn decode(
    about: &str,
    state: KeptState,
    request: Vec<u8>,
    head: Option<String>,
    body: Option<Vec<u8>>,
) -> Option<KeptRun> {
    let unreadable = |error: &serde_json::Error| tracing::debug!(%error, "a kept run can't be read");
    let about = serde_json::from_str(about).inspect_err(unreadable).ok()?;
    let head = head.and_then(|head| serde_json::from_str(&head).inspect_err(unreadable).ok());
    Some(KeptRun { about, state, request: request.into(), head, body: body.map(Bytes::from) })
}
