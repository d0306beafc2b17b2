//! Holds and limits, nothing else: money and request slots are taken before anything is sent, and every hold ends
//! exactly once: settled, voided or expired.
//!
//! A *counter* is identified by scope, subject, unit and window, never by its maximum, so that a changed limit finds
//! what was consumed before. Dollars per UTC day are always counted for the user and for `global`. Both stores keep
//! the same rules: on SQLite they are the [`book`], on Redis one script per verb.

mod binding;
mod book;
mod redis;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::caller::Caller;
use crate::domain::ids::RunId;
use crate::domain::limit::{Limit, LimitView, Scope};
use crate::domain::money::NanoUsd;
use crate::store::{Backend, Store, StoreError};

use self::redis::RedisLedger;
use self::sqlite::{FileLedger, SqliteLedger};

/// How long a hold lives without a renewal.
pub const HOLD_TTL: Duration = Duration::from_secs(60);

/// How often a process should renew the holds of its open runs.
pub const RENEW_EVERY: Duration = Duration::from_secs(15);

/// How often some process should sweep with [`Ledger::expire`].
pub const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// What a run wants to set aside before it calls anyone.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// Names the hold. Asking twice with one id takes once.
    pub run: RunId,
    pub caller: Caller,
    /// The most that the run can cost.
    pub amount: NanoUsd,
    pub limits: Arc<[Limit]>,
}

/// The answer to [`Ledger::reserve`] and [`Ledger::extend`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Taken under every limit. One view for each counter that `limits` named, in their order; for an extension those
    /// in dollars only.
    Held { limits: Vec<LimitView> },
    /// Taken under none. The view is the limit that takes longest to heal among those that refuse. A retry after
    /// `retry_after_ms` fits, if nobody else comes first and the amount fits the limit at all.
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
    /// Charged to the global scope in full as platform waste; the caller's own scopes are charged nothing.
    pub amount: NanoUsd,
}

/// What every live counter stands at. One at zero is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageReport {
    /// Sorted by scope, id and unit. The global dollars of today are always there.
    pub counters: Vec<CounterUsage>,
    /// What expired holds have cost today (UTC). It is part of what the global scope has settled.
    pub platform_waste: NanoUsd,
    pub open_holds: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CounterUsage {
    pub scope: Scope,
    /// Id within the scope; empty for `global`.
    pub id: String,
    pub used: Consumption,
    /// Unix milliseconds: end of the day, or when the oldest request leaves the window.
    pub resets_at_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consumption {
    UsdPerDay { settled: NanoUsd, held: NanoUsd },
    Requests { window_ms: u64, admitted: u64 },
}

impl Consumption {
    fn is_some(&self) -> bool {
        match *self {
            Consumption::UsdPerDay { settled, held } => settled > NanoUsd::ZERO || held > NanoUsd::ZERO,
            Consumption::Requests { admitted, .. } => admitted > 0,
        }
    }
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

    /// Sets `amount` aside and takes one request slot, under every limit that binds or under none, in one step. The
    /// dollars of user and global are held whether limited or not. A limit on the team binds no caller without one.
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

    /// Enlarges the hold under the same dollar limits, all or nothing. Takes no further request slot.
    ///
    /// Errors: [`StoreError::NoHold`] without an open hold. After [`StoreError::Unavailable`] the hold may be larger or
    /// not, until it ends.
    pub async fn extend(&self, run: RunId, more: NanoUsd) -> Result<Reserved, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(ledger) => ledger.extend(run, more).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.extend(run, more).await,
        }
    }

    /// Ends the hold and books `price` into the day in which the hold was taken. Safe to repeat.
    pub async fn settle(&self, run: RunId, price: NanoUsd) -> Result<Settled, StoreError> {
        match &self.shelf {
            Shelf::Sqlite(ledger) => ledger.settle(run, price).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.settle(run, price).await,
        }
    }

    /// Gives the hold and its request slots back: nothing was sent. Safe to repeat. Where it comes before its reserve,
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
