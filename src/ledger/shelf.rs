//! The two kinds of ledger behind one face.

use std::sync::Arc;

use crate::domain::ids::RunId;
use crate::store::{Backend, Store, StoreError};

use super::counter::Bind;
use super::redis::RedisLedger;
use super::sqlite::{FileLedger, SqliteLedger};
use super::{Amount, Bill, Expired, HeldRun, Reserve, Reserved, Settled, UsageReport};

#[derive(Clone)]
pub(super) enum Shelf {
    Sqlite(SqliteLedger),
    File(FileLedger),
    Redis(Arc<RedisLedger>),
}

impl Shelf {
    pub fn new(store: &Store) -> Self {
        let clock = store.clock().clone();
        match store.backend() {
            Backend::Sqlite(sqlite) => Shelf::Sqlite(SqliteLedger::new(sqlite.clone(), clock)),
            Backend::SqliteFile(file) => Shelf::File(FileLedger::new(file.clone(), clock)),
            Backend::Redis(redis) => Shelf::Redis(Arc::new(RedisLedger::new(redis.clone(), clock))),
        }
    }

    /// The store's time in Unix milliseconds, as far as it is known without asking.
    pub fn now_ms(&self, store: &Store) -> u64 {
        match self {
            Shelf::Sqlite(_) | Shelf::File(_) => store.clock().now().unix_ms,
            Shelf::Redis(ledger) => ledger.now_ms(),
        }
    }

    pub async fn reserve(&self, ask: Reserve) -> Result<Reserved, StoreError> {
        match self {
            Shelf::Sqlite(ledger) => ledger.reserve(ask).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.reserve(&ask).await,
        }
    }

    /// Takes a hold under these counters, `whatever` they say or as far as they have room.
    pub async fn take(
        &self,
        run: RunId,
        amount: Amount,
        binds: Vec<Bind>,
        whatever: bool,
    ) -> Result<Reserved, StoreError> {
        match self {
            Shelf::Sqlite(ledger) => ledger.take(run, amount, binds, whatever).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.take(run, amount, &binds, whatever).await,
        }
    }

    pub async fn extend(&self, run: RunId, more: Amount) -> Result<Reserved, StoreError> {
        match self {
            Shelf::Sqlite(ledger) => ledger.extend(run, more).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.extend(run, more).await,
        }
    }

    pub async fn settle(&self, run: RunId, bill: Bill) -> Result<Settled, StoreError> {
        match self {
            Shelf::Sqlite(ledger) => ledger.settle(run, bill).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.settle(run, &bill).await,
        }
    }

    pub async fn void(&self, run: RunId) -> Result<(), StoreError> {
        match self {
            Shelf::Sqlite(ledger) => ledger.void(run).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.void(run).await,
        }
    }

    pub async fn renew(&self, runs: &[RunId]) -> Result<(), StoreError> {
        match self {
            Shelf::Sqlite(ledger) => ledger.renew(runs.to_vec()).await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.renew(runs).await,
        }
    }

    pub async fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        match self {
            Shelf::Sqlite(ledger) => ledger.expire().await,
            Shelf::File(_) => Err(read_only()),
            Shelf::Redis(ledger) => ledger.expire().await,
        }
    }

    /// Returns how many writes had to be repeated.
    pub async fn check(&self) -> Result<usize, StoreError> {
        match self {
            Shelf::Sqlite(ledger) => ledger.check().await.map(|()| 0),
            Shelf::File(_) => Ok(0),
            Shelf::Redis(ledger) => ledger.check().await,
        }
    }

    pub async fn held(&self, run: RunId) -> Result<Option<HeldRun>, StoreError> {
        match self {
            Shelf::Sqlite(ledger) => ledger.held(run).await,
            Shelf::File(ledger) => ledger.held(run).await,
            Shelf::Redis(ledger) => ledger.held(run).await,
        }
    }

    pub async fn usage(&self) -> Result<UsageReport, StoreError> {
        match self {
            Shelf::Sqlite(ledger) => ledger.usage().await,
            Shelf::File(ledger) => ledger.usage().await,
            Shelf::Redis(ledger) => ledger.usage().await,
        }
    }
}

fn read_only() -> StoreError {
    StoreError::Refused("it is open for reading only; change it through the running gateway".to_owned())
}
