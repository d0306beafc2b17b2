//! The journal: encoded frames of a run, numbered from 0 without a gap, durable before anyone sees them.
//!
//! It knows frames and numbers. What they mean, and whether more will come, is known elsewhere.

mod redis;
mod sqlite;

use std::time::Duration;

use bytes::Bytes;

use crate::domain::ids::RunId;
use crate::domain::kept::Pen;
use crate::store::{Backend, Store, StoreError};

use self::redis::RedisJournal;
use self::sqlite::SqliteJournal;

/// Frames that one reading gives at most.
pub const PAGE: usize = 512;

/// Clones share it.
#[derive(Clone)]
pub struct Journal {
    shelf: Shelf,
}

#[derive(Clone)]
enum Shelf {
    Sqlite(SqliteJournal),
    Redis(RedisJournal),
    ReadOnly,
}

impl Journal {
    pub fn new(store: &Store) -> Self {
        let shelf = match store.backend() {
            Backend::Sqlite(sqlite) => Shelf::Sqlite(SqliteJournal::new(sqlite.clone(), store.clock().clone())),
            Backend::SqliteFile(_) => Shelf::ReadOnly,
            Backend::Redis(redis) => Shelf::Redis(RedisJournal::new(redis.clone())),
        };
        Journal { shelf }
    }

    /// Appends `frames`, the first of them as number `first`. Durable when it returns. Safe to repeat: what is there
    /// already is left alone.
    /// Errors: `Corrupt` when the frames before `first` are not all there; `Superseded` where the run is a job and the
    /// pen is not its newest.
    pub async fn append(&self, pen: Pen, first: u64, frames: Vec<Bytes>, keep: Duration) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Sqlite(journal) => journal.append(pen, first, frames).await,
            Shelf::Redis(journal) => journal.append(pen, first, frames, keep).await,
            Shelf::ReadOnly => Err(StoreError::Refused("the store was opened for reading only".to_owned())),
        }
    }

    /// The frames from number `from` on, at most [`PAGE`]; none when there is none yet.
    pub async fn read(&self, run: RunId, from: u64) -> Result<Vec<Bytes>, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(journal) => journal.read(run, from).await,
            Shelf::Redis(journal) => journal.read(run, from).await,
            Shelf::ReadOnly => Ok(Vec::new()),
        }
    }

    /// All frames of `run` so far.
    pub async fn read_all(&self, run: RunId) -> Result<Vec<Bytes>, StoreError> {
        let mut frames: Vec<Bytes> = Vec::new();
        loop {
            let page = self.read(run, frames.len() as u64).await?;
            let is_last = page.len() < PAGE;
            frames.extend(page);
            if is_last {
                return Ok(frames);
            }
        }
    }

    /// Deletes all frames of `run`.
    pub async fn forget(&self, run: RunId) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Sqlite(journal) => journal.forget(run).await,
            Shelf::Redis(journal) => journal.forget(run).await,
            Shelf::ReadOnly => Ok(()),
        }
    }

    /// Deletes what is older than `keep`. Redis does that by itself.
    pub async fn purge(&self, keep: Duration) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Sqlite(journal) => journal.purge(keep).await,
            Shelf::Redis(_) | Shelf::ReadOnly => Ok(()),
        }
    }
}

fn gap(run: RunId, first: u64) -> StoreError {
    StoreError::Corrupt(format!("the journal of {run} has a gap before frame {first}"))
}
