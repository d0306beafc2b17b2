//! The queue: tickets that wake workers, through apalis.
//!
//! A ticket names no run. Whoever gets one claims runs from [`Jobs`] until none is queued, so a ticket that is lost,
//! late or delivered twice changes nothing but a delay, and nothing depends on what a backend keeps of it. That is why
//! the embedded store has its tickets in memory: they die with the only process that could use them, and the sweep
//! writes new ones at the next start.
//!
//! [`Jobs`]: crate::runs::Jobs

mod memory;
mod redis;

use std::fmt;
use std::sync::Arc;

use apalis::prelude::{BoxDynError, Data};
use futures_util::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::store::{Backend, Store};

use self::memory::MemoryQueue;
use self::redis::RedisQueue;

/// "Some run is queued."
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ticket {
    /// Two neighbouring releases must be able to read each other's tickets.
    version: u16,
}

const TICKET: Ticket = Ticket { version: 1 };

/// What a worker does for a ticket.
#[derive(Clone)]
pub struct Work(Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>);

impl Work {
    pub fn new(work: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        Work(Arc::new(work))
    }
}

/// Why a worker stopped, or a ticket was not written. The text is for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueError(String);

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the queue failed: {}", self.0)
    }
}

impl std::error::Error for QueueError {}

/// Clones share it.
#[derive(Clone)]
pub struct Queue {
    shelf: Shelf,
}

#[derive(Clone)]
enum Shelf {
    Memory(MemoryQueue),
    Redis(Arc<RedisQueue>),
}

impl Queue {
    /// Opens no connection yet.
    /// Errors: a Redis URL that no client can be made of.
    pub fn new(store: &Store) -> Result<Self, QueueError> {
        let shelf = match store.backend() {
            Backend::Sqlite(_) | Backend::SqliteFile(_) => Shelf::Memory(MemoryQueue::default()),
            Backend::Redis(redis) => Shelf::Redis(Arc::new(RedisQueue::new(redis.connection_info())?)),
        };
        Ok(Queue { shelf })
    }

    /// Writes one ticket.
    pub async fn push(&self) -> Result<(), QueueError> {
        match &self.shelf {
            Shelf::Memory(queue) => {
                queue.push();
                Ok(())
            }
            Shelf::Redis(queue) => queue.push().await,
        }
    }

    /// Starts `work` for every ticket, until `stop`. `worker` is a name that no other worker has or had. How much work is
    /// under way at a time is for the work to say; it goes on when this ends.
    /// Errors: the backend failed; serve again, under a new name and not at once.
    pub fn serve(
        &self,
        worker: String,
        work: Work,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<(), QueueError>> {
        match self.shelf.clone() {
            Shelf::Memory(queue) => async move { queue.serve(&worker, work, stop).await }.boxed(),
            Shelf::Redis(queue) => async move { queue.serve(&worker, work, stop).await }.boxed(),
        }
    }

    /// Forgets tickets that were used; apalis keeps them.
    pub async fn tidy(&self) -> Result<(), QueueError> {
        match &self.shelf {
            Shelf::Memory(_) => Ok(()),
            Shelf::Redis(queue) => queue.tidy().await,
        }
    }
}

/// The handler of every backend. The work has a task of its own and is not waited for: apalis drops its handlers when
/// a backend fails, and tickets must not pile up behind long work.
async fn handle(_: Ticket, work: Data<Work>) -> Result<(), BoxDynError> {
    let Work(begin) = &*work;
    tokio::spawn(begin());
    Ok(())
}

async fn until(stop: CancellationToken) -> Result<(), std::io::Error> {
    stop.cancelled().await;
    Ok(())
}
