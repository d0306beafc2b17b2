//! Jobs: runs that the queue owns. Who works on one, and under which fence; whose turn is next; what is owed.
//!
//! A job that a dead process was working on goes back to its lane, and the next claim gets a higher fence: the dead,
//! should it only have slept, is refused from then on. What was asked and answered is in [`KeptRuns`].
//!
//! [`KeptRuns`]: super::KeptRuns

mod redis;
mod sqlite;

use std::time::Duration;

use bytes::Bytes;

use crate::domain::ids::RunId;
use crate::domain::kept::{KeptState, Pen};
use crate::store::{Backend, Store, StoreError};

use self::redis::RedisJobs;
use self::sqlite::SqliteJobs;
pub(super) use self::sqlite::enqueue;
use super::Process;

/// Jobs that are looked at in one go where many wait to be paid.
const PAID_AT_ONCE: usize = 100;

/// Clones share them.
#[derive(Clone)]
pub struct Jobs {
    shelf: Shelf,
}

#[derive(Clone)]
enum Shelf {
    Sqlite(SqliteJobs),
    Redis(RedisJobs),
    /// Beside a running `serve`: it works on nothing.
    ReadOnly,
}

/// A job's place in the queue.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Jobs of one lane wait for one another; lanes take turns.
    pub lane: String,
    /// The request to run, where it is not the client's own.
    pub work: Option<Bytes>,
}

/// A job that this process is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub pen: Pen,
    /// This one included. The earlier ones ended with their processes.
    pub starts: u32,
    pub work: Option<Bytes>,
}

impl Jobs {
    pub fn new(store: &Store, process: &Process) -> Self {
        let shelf = match store.backend() {
            Backend::Sqlite(sqlite) => Shelf::Sqlite(SqliteJobs::new(sqlite.clone(), process.clone())),
            Backend::SqliteFile(_) => Shelf::ReadOnly,
            Backend::Redis(redis) => Shelf::Redis(RedisJobs::new(redis.clone(), process.clone())),
        };
        Jobs { shelf }
    }

    /// The next job, for this process alone; none when none is queued.
    pub async fn claim(&self) -> Result<Option<Claimed>, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(jobs) => jobs.claim().await,
            Shelf::Redis(jobs) => jobs.claim().await,
            Shelf::ReadOnly => Ok(None),
        }
    }

    /// The job has ended as `state`, and owes `bill`. Safe to repeat.
    /// Errors: [`StoreError::Superseded`] where somebody else has claimed or cancelled it since.
    pub async fn end(
        &self,
        pen: Pen,
        state: KeptState,
        bill: Option<String>,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let done = match &self.shelf {
            Shelf::Sqlite(jobs) => jobs.end(pen, state, bill).await?,
            Shelf::Redis(jobs) => jobs.end(pen, state, bill, keep).await?,
            Shelf::ReadOnly => false,
        };
        done.then_some(()).ok_or(StoreError::Superseded(pen.run))
    }

    /// Ends a job on its caller's wish; the pen writes its last frames. None where it has ended before, or is none.
    pub async fn cancel(&self, run: RunId, keep: Duration) -> Result<Option<Pen>, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(jobs) => jobs.cancel(run).await,
            Shelf::Redis(jobs) => jobs.cancel(run, keep).await,
            Shelf::ReadOnly => Ok(None),
        }
    }

    /// Whether the work under `pen` was cut short by its caller, and not by another claim.
    pub async fn was_cancelled(&self, pen: Pen) -> Result<bool, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(jobs) => jobs.was_cancelled(pen).await,
            Shelf::Redis(jobs) => jobs.was_cancelled(pen).await,
            Shelf::ReadOnly => Ok(false),
        }
    }

    /// The jobs that this process is to run. It may not know of one: the answer to its claim can get lost.
    pub async fn mine(&self) -> Result<Vec<Pen>, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(jobs) => jobs.mine().await,
            Shelf::Redis(jobs) => jobs.mine().await,
            Shelf::ReadOnly => Ok(Vec::new()),
        }
    }

    /// Gives a job back that this process can't finish: it did nothing wrong, so that start does not count.
    pub async fn hand_back(&self, pen: Pen) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Sqlite(jobs) => jobs.hand_back(pen).await,
            Shelf::Redis(jobs) => jobs.hand_back(pen).await,
            Shelf::ReadOnly => Ok(()),
        }
    }

    /// Puts the jobs of dead processes back into the queue. Answers how many.
    pub async fn revive(&self) -> Result<u64, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(jobs) => jobs.revive().await,
            Shelf::Redis(jobs) => jobs.revive().await,
            Shelf::ReadOnly => Ok(0),
        }
    }

    /// How many jobs wait to be claimed.
    pub async fn queued(&self) -> Result<u64, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(jobs) => jobs.queued().await,
            Shelf::Redis(jobs) => jobs.queued().await,
            Shelf::ReadOnly => Ok(0),
        }
    }

    /// Bills of ended jobs whose process died before it paid, at most a hundred.
    pub async fn unpaid(&self) -> Result<Vec<(RunId, String)>, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(jobs) => jobs.unpaid().await,
            Shelf::Redis(jobs) => jobs.unpaid().await,
            Shelf::ReadOnly => Ok(Vec::new()),
        }
    }

    /// The bill of the job is paid.
    pub async fn paid(&self, run: RunId) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Sqlite(jobs) => jobs.paid(run).await,
            Shelf::Redis(jobs) => jobs.paid(run).await,
            Shelf::ReadOnly => Ok(()),
        }
    }
}
