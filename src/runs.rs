//! The record of every finished run, kept for [`KEPT`]: receipts and lists are read from here.

mod jobs;
mod kept;
mod redis;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::ids::RunId;
use crate::domain::record::RunRecord;
use crate::store::{Backend, Store, StoreError};

pub use self::jobs::{Claimed, Jobs, Queued};
pub use self::kept::{KeptRuns, Opened, Opening, PROCESS_LEASE};
use self::redis::RedisRuns;
use self::sqlite::{Archive, FileRuns};

/// How long a record can be read.
pub const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// This process, as the owner of runs: no other one, before or after it, has its name.
#[derive(Clone, Debug)]
pub struct Process(Arc<str>);

impl Process {
    pub fn mint() -> Self {
        Process(Uuid::new_v4().simple().to_string().into())
    }

    fn as_str(&self) -> &str {
        &self.0
    }

    fn as_bytes(&self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }
}

/// Run records. Clones share them.
#[derive(Clone)]
pub struct Runs {
    shelf: Shelf,
}

#[derive(Clone)]
enum Shelf {
    Sqlite(Arc<Archive>),
    File(FileRuns),
    Redis(Arc<RedisRuns>),
}

impl Runs {
    pub fn new(store: &Store) -> Self {
        let shelf = match store.backend() {
            Backend::Sqlite(sqlite) => Shelf::Sqlite(Arc::new(Archive::start(sqlite.clone(), store.clock().clone()))),
            Backend::SqliteFile(file) => Shelf::File(FileRuns::new(file.clone())),
            Backend::Redis(redis) => Shelf::Redis(Arc::new(RedisRuns::new(redis.clone()))),
        };
        Runs { shelf }
    }

    /// Hands a finished run over to be stored; never waits. A record is no money: it is written behind, within half a
    /// second, and lost if the process is killed before that or the store can't take it.
    ///
    /// On Redis it must be called inside a tokio runtime.
    pub fn finish(&self, record: RunRecord) {
        match &self.shelf {
            Shelf::Sqlite(archive) => archive.finish(record),
            Shelf::File(_) => {}
            Shelf::Redis(runs) => runs.finish(&record),
        }
    }

    /// The record of `run`, for its own key only: a foreign run answers exactly like an unknown one.
    pub async fn get(&self, run: RunId, key: &str) -> Result<Option<RunRecord>, StoreError> {
        Ok(self.find(run).await?.filter(|record| record.key == key))
    }

    /// The record of `run`, whoever it belongs to; for operators.
    pub async fn find(&self, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(archive) => archive.find(run).await,
            Shelf::File(file) => file.find(run).await,
            Shelf::Redis(runs) => runs.find(run).await,
        }
    }

    /// The newest records first, at most `limit` (and at most [`RECENT_MAX`]).
    pub async fn recent(&self, limit: usize) -> Result<Vec<RunRecord>, StoreError> {
        let limit = limit.min(RECENT_MAX);
        match &self.shelf {
            Shelf::Sqlite(archive) => archive.recent(limit).await,
            Shelf::File(file) => file.recent(limit).await,
            Shelf::Redis(runs) => runs.recent(limit).await,
        }
    }

    /// Waits until everything handed over so far is stored or given up; the last act of a drain.
    pub async fn flush(&self) {
        match &self.shelf {
            Shelf::Sqlite(archive) => archive.flush().await,
            Shelf::File(_) => {}
            Shelf::Redis(runs) => runs.flush().await,
        }
    }
}

/// The longest list that [`Runs::recent`] gives.
pub const RECENT_MAX: usize = 1_000;

/// A record as stored. One that a newer release wrote in a shape we can't read counts as absent.
fn decode(text: &str) -> Option<RunRecord> {
    serde_json::from_str(text).inspect_err(|error| tracing::debug!(%error, "a stored run record can't be read")).ok()
}

fn encode(record: &RunRecord) -> Option<String> {
    serde_json::to_string(record).inspect_err(|error| tracing::error!(%error, "a run record can't be written")).ok()
}
