//! The ledger on SQLite: the [`Book`] in the writer thread's memory, written with every batch before anyone is told.

mod report;
mod rows;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use crate::domain::ids::RunId;
use crate::store::sqlite::{Participant, Sqlite, SqliteFile};
use crate::store::{Clock, StoreError};

use super::book::Book;
use super::counter::Bind;
use super::{Amount, Bill, Expired, HeldRun, Reserve, Reserved, Settled, UsageReport};

/// The book as it takes part in every batch.
struct Desk {
    book: Book,
    clock: Clock,
}

impl Participant for Desk {
    fn load(&mut self, file: &Connection) -> rusqlite::Result<()> {
        self.book = rows::load(file, self.clock.now())?;
        Ok(())
    }

    fn save(&mut self, file: &Connection) -> rusqlite::Result<()> {
        rows::save(file, &mut self.book)
    }
}

#[derive(Clone)]
pub(super) struct SqliteLedger {
    store: Sqlite,
    desk: Arc<Mutex<Desk>>,
    file: FileLedger,
}

impl SqliteLedger {
    pub fn new(store: Sqlite, clock: Clock) -> Self {
        let file = FileLedger::new(store.file(), clock.clone());
        let desk = store.participant(|| Desk { book: Book::default(), clock });
        SqliteLedger { store, desk, file }
    }

    pub async fn reserve(&self, ask: Reserve) -> Result<Reserved, StoreError> {
        let _place = self.store.place()?;
        self.with(move |desk| desk.book.reserve(&ask, desk.clock.now())).await?
    }

    pub async fn take(
        &self,
        run: RunId,
        amount: Amount,
        binds: Vec<Bind>,
        whatever: bool,
    ) -> Result<Reserved, StoreError> {
        self.with(move |desk| {
            let now = desk.clock.now();
            if whatever {
                return Ok(desk.book.take_whatever(run, amount, binds, now));
            }
            desk.book.reserve_under(run, amount, binds, now)
        })
        .await?
    }

    pub async fn extend(&self, run: RunId, more: Amount) -> Result<Reserved, StoreError> {
        self.with(move |desk| desk.book.extend(run, more, desk.clock.now())).await?
    }

    pub async fn settle(&self, run: RunId, bill: Bill) -> Result<Settled, StoreError> {
        self.with(move |desk| desk.book.settle(run, &bill, desk.clock.now())).await
    }

    pub async fn void(&self, run: RunId) -> Result<(), StoreError> {
        self.with(move |desk| desk.book.void(run, desk.clock.now())).await
    }

    pub async fn renew(&self, runs: Vec<RunId>) -> Result<(), StoreError> {
        self.with(move |desk| desk.book.renew(&runs, desk.clock.now())).await
    }

    pub async fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        let expired = self
            .with(|desk| {
                let now = desk.clock.now();
                desk.book.purge(now);
                desk.book.expire(now)
            })
            .await?;
        self.delete_outlived().await?;
        Ok(expired)
    }

    pub async fn check(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    pub async fn usage(&self) -> Result<UsageReport, StoreError> {
        // From the file and not from the book: a list of a million users must not hold up the writer.
        self.file.usage().await
    }

    pub async fn held(&self, run: RunId) -> Result<Option<HeldRun>, StoreError> {
        self.file.held(run).await
    }

    /// Old rows go in small steps, each a batch of its own with whatever else is waiting.
    async fn delete_outlived(&self) -> Result<(), StoreError> {
        loop {
            let now = self.file.clock.now();
            let more = self.store.write(move |file| rows::delete_outlived(file, now)).await?;
            if !more {
                return Ok(());
            }
        }
    }

    async fn with<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let desk = Arc::clone(&self.desk);
        self.store.write(move |_| Ok(verb(&mut locked(&desk)))).await
    }
}

/// A desk whose holder panicked is loaded anew before its next use, so its poison means nothing.
fn locked(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What can be said of the ledger by reading its file.
#[derive(Clone)]
pub(super) struct FileLedger {
    file: SqliteFile,
    clock: Clock,
}

impl FileLedger {
    pub fn new(file: SqliteFile, clock: Clock) -> Self {
        FileLedger { file, clock }
    }

    pub async fn usage(&self) -> Result<UsageReport, StoreError> {
        let now = self.clock.now();
        self.file.read(move |file| report::usage(file, now)).await
    }

    pub async fn held(&self, run: RunId) -> Result<Option<HeldRun>, StoreError> {
        let now = self.clock.now();
        self.file.read(move |file| rows::find(file, run, now)).await
    }
}
