//! Where state lives: one SQLite file of this process, or one Redis that many processes share.
//!
//! This room knows connections, transactions, scripts, time and health. It knows no budget and no run record: the
//! rooms above bring their own rows and scripts.

mod clock;
mod health;
pub mod redis;
pub mod sqlite;

use std::fmt;
use std::path::PathBuf;

use crate::domain::ids::RunId;

pub use clock::{Clock, Now, SteppedClock};
pub use health::Place;
use redis::Redis;
use sqlite::{Sqlite, SqliteFile};

/// Which store to open, as config names it.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreSpec {
    /// `full_sync` makes every commit survive a power loss as well; without it a commit survives any crash of the
    /// process, and a power loss may take the last ones.
    Sqlite { path: PathBuf, full_sync: bool },
    /// `relaxed` accepts a Redis that may lose what it acknowledged: an evicting one, or one without AOF.
    Redis { url: String, relaxed: bool },
}

/// Names the kind and the place; a Redis URL may hold a password and is not printed.
impl fmt::Debug for StoreSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreSpec::Sqlite { path, full_sync } => {
                f.debug_struct("Sqlite").field("path", path).field("full_sync", full_sync).finish()
            }
            StoreSpec::Redis { relaxed, .. } => {
                f.debug_struct("Redis").field("relaxed", relaxed).finish_non_exhaustive()
            }
        }
    }
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// No answer, or a failed write: nothing may be assumed of the operation. Later ones are tried again.
    Unavailable(String),
    /// Nothing was sent: the store is down and another call tries it, or so much is under way that more would only let
    /// all of it come too late.
    NotAsked(String),
    /// The store can't be used like this; the text says what to change.
    Refused(String),
    /// What is stored can't be trusted; nothing is admitted before someone has looked.
    Corrupt(String),
    /// The run has no open hold: it was settled, voided, has expired, or never had one.
    NoHold(RunId),
    /// Somebody else has taken over since: what is written now comes too late.
    Superseded(RunId),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Unavailable(why) => write!(f, "the store did not answer: {why}"),
            StoreError::NotAsked(why) => write!(f, "the store was not asked: {why}"),
            StoreError::Refused(why) => write!(f, "the store can't be used: {why}"),
            StoreError::Corrupt(why) => write!(f, "the store's content can't be trusted: {why}"),
            StoreError::NoHold(run) => write!(f, "{run} has no open hold; start a new run"),
            StoreError::Superseded(run) => write!(f, "{run} was cancelled, or is run by another process now"),
        }
    }
}

impl std::error::Error for StoreError {}

/// A handle to the store. Clones share it; the last one to go closes it.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    clock: Clock,
}

/// What the rooms above build on.
#[derive(Clone)]
pub enum Backend {
    Sqlite(Sqlite),
    /// Read only, beside a running `serve` or after a crash.
    SqliteFile(SqliteFile),
    Redis(Redis),
}

impl Store {
    /// Opens the store for serving and checks that it can keep its promises. Blocks, on Redis for some seconds at worst.
    pub fn open(spec: StoreSpec) -> Result<Self, StoreError> {
        Self::open_with_clock(spec, Clock::system())
    }

    /// Opens the store for readers. On SQLite it works beside a running `serve` and never writes.
    pub fn open_read_only(spec: StoreSpec) -> Result<Self, StoreError> {
        let backend = match spec {
            StoreSpec::Sqlite { path, .. } => Backend::SqliteFile(SqliteFile::existing(path)?),
            StoreSpec::Redis { url, .. } => Backend::Redis(Redis::open_read_only(&url)?),
        };
        Ok(Store { backend, clock: Clock::system() })
    }

    /// As [`Store::open`], on a clock that the caller steps; for tests of everything that depends on time. A Redis
    /// store then goes by this clock instead of the server's.
    pub fn open_with_clock(spec: StoreSpec, clock: Clock) -> Result<Self, StoreError> {
        let backend = match spec {
            StoreSpec::Sqlite { path, full_sync } => Backend::Sqlite(Sqlite::open(&path, full_sync)?),
            StoreSpec::Redis { url, relaxed } => Backend::Redis(Redis::open(&url, relaxed)?),
        };
        Ok(Store { backend, clock })
    }

    /// Goes on with a Redis that has lost what was spent: gateways that refuse to work with it take what it knows now for
    /// the truth. False where none has found a loss; nothing is changed then. Blocks, for some seconds at worst.
    pub fn accept_loss(spec: &StoreSpec) -> Result<bool, StoreError> {
        match spec {
            StoreSpec::Sqlite { .. } => {
                Err(StoreError::Refused("only a Redis can lose what gateways still know of".to_owned()))
            }
            StoreSpec::Redis { url, .. } => redis::accept_loss(url),
        }
    }

    /// `sqlite` or `redis`, for logs and probes.
    pub fn kind(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite(_) | Backend::SqliteFile(_) => "sqlite",
            Backend::Redis(_) => "redis",
        }
    }

    /// Whether the last write was taken, whoever asked for it. An idle process has to write now and then to
    /// know.
    pub fn is_up(&self) -> bool {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.is_up(),
            Backend::SqliteFile(_) => true,
            Backend::Redis(redis) => redis.is_up(),
        }
    }

    /// What went wrong since this was last asked, the first of it: for one line in the log, however often it failed.
    pub fn take_trouble(&self) -> Option<String> {
        match &self.backend {
            Backend::Sqlite(sqlite) => sqlite.health().take_trouble(),
            Backend::SqliteFile(_) => None,
            Backend::Redis(redis) => redis.health().take_trouble(),
        }
    }

    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}
