//! The journal on SQLite: one row per frame, in the commits that the ledger shares.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};

use crate::domain::ids::RunId;
use crate::domain::kept::Pen;
use crate::store::sqlite::Sqlite;
use crate::store::{Clock, StoreError};

use super::{PAGE, gap};

/// Frames that one transaction deletes: some milliseconds of the writer's time.
const PURGE_MAX: usize = 5_000;

#[derive(Clone)]
pub(super) struct SqliteJournal {
    store: Sqlite,
    clock: Clock,
}

impl SqliteJournal {
    pub fn new(store: Sqlite, clock: Clock) -> Self {
        SqliteJournal { store, clock }
    }

    pub async fn append(&self, pen: Pen, first: u64, frames: Vec<Bytes>) -> Result<(), StoreError> {
        let run = pen.run;
        // A refusal must not fail the transaction: that would take everyone else's work in this batch along.
        self.store
            .write(move |file| {
                if pen.fence.is_some() && fence(file, run)? != pen.fence {
                    return Ok(Err(StoreError::Superseded(run)));
                }
                if next(file, run)? < first {
                    return Ok(Err(gap(run, first)));
                }
                let mut insert = file
                    .prepare_cached("INSERT OR IGNORE INTO journal_frames (run, number, frame) VALUES (?1, ?2, ?3)")?;
                for (number, frame) in (first..).zip(&frames) {
                    insert.execute((run.as_bytes(), number.cast_signed(), &frame[..]))?;
                }
                Ok(Ok(()))
            })
            .await?
    }

    pub async fn read(&self, run: RunId, from: u64) -> Result<Vec<Bytes>, StoreError> {
        self.store
            .file()
            .read(move |file| {
                let mut query = file.prepare_cached(
                    "SELECT frame FROM journal_frames WHERE run = ?1 AND number >= ?2 ORDER BY number LIMIT ?3",
                )?;
                let limit = PAGE.cast_signed();
                let frames = query.query_map((run.as_bytes(), from.cast_signed(), limit), |row| {
                    row.get::<_, Vec<u8>>(0).map(Bytes::from)
                })?;
                frames.collect()
            })
            .await
    }

    pub async fn forget(&self, run: RunId) -> Result<(), StoreError> {
        self.store
            .write(move |file| {
                file.prepare_cached("DELETE FROM journal_frames WHERE run = ?1")?.execute([run.as_bytes()])
            })
            .await
            .map(|_| ())
    }

    pub async fn purge(&self, keep: Duration) -> Result<(), StoreError> {
        let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let before = RunId::first_at(self.clock.now().unix_ms.saturating_sub(keep_ms));
        loop {
            let deleted = self
                .store
                .write(move |file| {
                    file.prepare_cached(
                        "DELETE FROM journal_frames WHERE (run, number) IN
                           (SELECT run, number FROM journal_frames WHERE run < ?1 ORDER BY run, number LIMIT ?2)",
                    )?
                    .execute((before.as_bytes(), PURGE_MAX.cast_signed()))
                })
                .await?;
            if deleted < PURGE_MAX {
                return Ok(());
            }
        }
    }
}

/// The newest fence of a job; none where the run is none, or is forgotten.
fn fence(file: &Connection, run: RunId) -> rusqlite::Result<Option<u64>> {
    let mut query = file.prepare_cached("SELECT fence FROM jobs WHERE run = ?1")?;
    query.query_row([run.as_bytes()], |row| row.get::<_, i64>(0).map(i64::cast_unsigned)).optional()
}

/// The number that the next frame of `run` has.
fn next(file: &Connection, run: RunId) -> rusqlite::Result<u64> {
    let mut query = file.prepare_cached("SELECT coalesce(max(number) + 1, 0) FROM journal_frames WHERE run = ?1")?;
    query.query_row([run.as_bytes()], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))
}
