//! Holds and limits, nothing else: money and request slots are taken before anything is sent, and every hold ends
//! exactly once: settled, voided or expired.
//!
//! A *counter* is identified by scope, subject, unit and window, never by its maximum, so that a changed limit finds
//! what was consumed before. Dollars per UTC day are always counted for the user and for `global`. Both stores keep
//! the same rules: on SQLite they are the [`book`], on Redis one script per verb.
//!
//! A calendar window is charged what was admitted in it, whenever the run ends. A sliding window counts a run from
//! its admission, or its last extension, for its length: no stretch of that length holds more than the limit.

mod ask;
mod binding;
mod book;
mod counter;
mod held;
mod redis;
mod report;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::RunId;
use crate::domain::limit::LimitView;
use crate::domain::money::NanoUsd;
use crate::store::{Backend, Store, StoreError};

pub use ask::{Amount, Bill, Reserve, Subjects};
pub use held::{HeldCounter, HeldRun, HoldState};
pub use report::{CounterUsage, UsageReport, Used};

use self::redis::RedisLedger;
use self::sqlite::{FileLedger, SqliteLedger};

/// How long a hold lives without a renewal.
pub const HOLD_TTL: Duration = Duration::from_secs(60);

/// How often a process should renew the holds of its open runs.
pub const RENEW_EVERY: Duration = Duration::from_secs(15);

/// How often some process should sweep with [`Ledger::expire`].
pub const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The answer to [`Ledger::reserve`] and [`Ledger::extend`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Taken under every limit. One view for each counter that `limits` named, in their order; for an extension those
    /// in dollars and tokens only.
    Held { limits: Vec<LimitView> },
    /// Taken under none. The view is the limit that takes longest to heal among those that refuse. A retry after
    /// `retry_after_ms` fits, if nobody else comes first and the amount fits the limit at all. For concurrent runs, and
    /// where more than a thousand entries must leave a sliding window, it is only the time to ask again.
    Refused { view: LimitView, retry_after_ms: u64 },
}

/// What a settlement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The hold ended and the price is booked, in full even where it is above the hold.
    Booked,
    /// The hold had expired: its estimated booking is replaced by the price.
    Corrected,
    /// There is no such hold: settled or voided before, or never taken. Nothing changed.
    Nothing,
}

/// A hold that nobody renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    pub run: RunId,
    /// Charged to the operator's scopes (global, tier, model, provider) in full, as platform waste; the caller's own
    /// are charged nothing.
    pub amount: NanoUsd,
}

/// The ledger. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    shelf: Shelf,
}

#[derive(Clone)]
enum Shelf {
    Sqlite(SqliteLedger),
    File(FileLedger),
    Redis(Arc<RedisLedger>),
}

impl Ledger {
    pub fn new(store: &Store) -> Self {
        let clock = store.clock().clone();
        let shelf = match store.backend() {
            Backend::Sqlite(sqlite) => Shelf::Sqlite(SqliteLedger::new(sqlite.clone(), clock)),
            Backend::SqliteFile(file) => Shelf::File(FileLedger::new(file.clone(), clock)),
            Backend::Redis(redis) => Shelf::Redis(Arc::new(RedisLedger::new(redis.clone(), clock))),
        };
        Ledger { shelf }
    }

    /// Sets `amount` aside and counts one request, under every limit that binds or under none, in one step. The dollars
    /// of user and global are held whether limited or not. A limit on the team binds no caller without one; one on
    /// models or providers binds every target that the run may call, each with the whole amount.
    ///
    /// Errors: after [`StoreError::Unavailable`] the hold may or may not be taken; the asker must [`void`] the id until
    /// that succeeds. [`StoreError::NoHold`]: the id was voided or has expired; nothing was taken.
    ///
    /// [`void`]: Ledger::void
    pub async fn reserve(&self, ask: Reserve) -> Result<Reserved, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(ledger) => ledger.reserve(ask).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.reserve(&ask).await,
        }
    }

    /// Enlarges the hold under the same limits on dollars and tokens, all or nothing. It is no further request.
    ///
    /// Errors: [`StoreError::NoHold`] without an open hold. After [`StoreError::Unavailable`] the hold may be larger or
    /// not, until it ends.
    pub async fn extend(&self, run: RunId, more: impl Into<Amount>) -> Result<Reserved, StoreError> {
        let more = more.into();
        match &self.shelf {
            Shelf::Sqlite(ledger) => ledger.extend(run, more).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.extend(run, more).await,
        }
    }

    /// Ends the hold and books the bill into the windows in which the hold was taken. Safe to repeat.
    pub async fn settle(&self, run: RunId, bill: impl Into<Bill>) -> Result<Settled, StoreError> {
        let bill = bill.into();
        match &self.shelf {
            Shelf::Sqlite(ledger) => ledger.settle(run, bill).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.settle(run, &bill).await,
        }
    }

    /// Gives the hold and its requests back: nothing was sent. Safe to repeat. Where it comes before its reserve,
    /// the reserve will take nothing.
    pub async fn void(&self, run: RunId) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Sqlite(ledger) => ledger.void(run).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.void(run).await,
        }
    }

    /// Starts the [`HOLD_TTL`] of these holds anew; ids without an open hold are passed over.
    pub async fn renew(&self, runs: &[RunId]) -> Result<(), StoreError> {
        match &self.shelf {
            Shelf::Sqlite(ledger) => ledger.renew(runs.to_vec()).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.renew(runs).await,
        }
    }

    /// Ends every hold that was not renewed in time, and removes what no rule asks for any more. After a pause of the
    /// sweeps themselves (a stopped process, an outage of the store) the first ones end nothing, so that living
    /// processes can renew first.
    pub async fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(ledger) => ledger.expire().await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.expire().await,
        }
    }

    /// What is known of the hold of `run`; none once it is settled or voided, or where it never was.
    pub async fn held(&self, run: RunId) -> Result<Option<HeldRun>, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(ledger) => ledger.held(run).await,
            Shelf::File(ledger) => ledger.held(run).await,
            Shelf::Redis(ledger) => ledger.held(run).await,
        }
    }

    /// Looks after the store, about once a second: whether it takes writes, and on Redis whether it still is what it was.
    /// A Redis that has forgotten its last moments (restored from a copy, failed over to a replica that lagged) is told
    /// again what this process has written in them; nothing new is admitted before. Returns how many writes that were.
    ///
    /// Errors: [`StoreError::Corrupt`] for a loss that can't be mended like that; an operator has to decide.
    pub async fn check(&self) -> Result<usize, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(ledger) => ledger.check().await.map(|()| 0),
            Shelf::File(_) => Ok(0),
            Shelf::Redis(ledger) => ledger.check().await,
        }
    }

    /// Reads every live counter. Each is exact by itself; on Redis they are not all of one instant.
    pub async fn usage(&self) -> Result<UsageReport, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(ledger) => ledger.usage().await,
            Shelf::File(ledger) => ledger.usage().await,
            Shelf::Redis(ledger) => ledger.usage().await,
        }
    }
}

fn read_only() -> StoreError {
    StoreError::Refused("it is open for reading only; change it through the running gateway".to_owned())
}
