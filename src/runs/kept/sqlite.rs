//! Kept runs on SQLite. The file has one writer, so a run that another process owned has died with it.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::domain::ids::RunId;
use crate::domain::kept::{KeptName, KeptRun, KeptState};
use crate::store::sqlite::Sqlite;
use crate::store::{Clock, StoreError};

use super::super::Process;
use super::super::jobs::enqueue;
use super::{Opened, Opening, decode, encode};

/// Runs that one transaction deletes.
const PURGE_MAX: u32 = 200;

#[derive(Clone)]
pub(super) struct SqliteKept {
    store: Sqlite,
    clock: Clock,
    process: Process,
}

impl SqliteKept {
    pub fn new(store: Sqlite, clock: Clock, process: Process) -> Self {
        SqliteKept { store, clock, process }
    }

    pub async fn open(&self, opening: Opening<'_>) -> Result<Opened, StoreError> {
        let (run, about) = (opening.about.id, encode(opening.about)?);
        let (request, process) = (opening.request.clone(), self.process.clone());
        let (claim, name) = (opening.claim, opening.name);
        let (head, queued) = (opening.head.map(encode).transpose()?, opening.queued.cloned());
        self.store
            .write(move |file| {
                if let Some(claim) = claim {
                    if let Some((holder, body)) = claimed(file, claim.name, &process)? {
                        return Ok(if body == claim.body { Opened::Same(holder) } else { Opened::OtherBody });
                    }
                    put_name(file, claim.name, run, Some(&claim.body))?;
                }
                if let Some(name) = name {
                    put_name(file, name, run, None)?;
                }
                file.prepare_cached(
                    "INSERT INTO kept_runs (run, about, owner, state, request, head)
                     VALUES (?1, ?2, ?3, 'running', ?4, ?5)",
                )?
                .execute((run.as_bytes(), about, process.as_str(), &request[..], head))?;
                if let Some(queued) = &queued {
                    enqueue(file, run, queued)?;
                }
                Ok(Opened::New)
            })
            .await
    }

    pub async fn set_head(&self, run: RunId, head: String) -> Result<(), StoreError> {
        self.store
            .write(move |file| {
                file.prepare_cached("UPDATE kept_runs SET head = ?2 WHERE run = ?1")?.execute((run.as_bytes(), head))
            })
            .await
            .map(|_| ())
    }

    pub async fn set_name(&self, run: RunId, name: KeptName) -> Result<(), StoreError> {
        self.store.write(move |file| put_name(file, name, run, None)).await
    }

    pub async fn close(&self, run: RunId, state: KeptState, whole: Option<(String, Bytes)>) -> Result<(), StoreError> {
        self.store
            .write(move |file| {
                file.prepare_cached("UPDATE kept_runs SET state = ?2 WHERE run = ?1 AND state = 'running'")?
                    .execute((run.as_bytes(), state.as_str()))?;
                if let Some((head, body)) = whole {
                    file.prepare_cached("UPDATE kept_runs SET head = ?2, body = ?3 WHERE run = ?1")?.execute((
                        run.as_bytes(),
                        head,
                        &body[..],
                    ))?;
                }
                Ok(())
            })
            .await
    }

    pub async fn forget(&self, run: RunId) -> Result<(), StoreError> {
        self.store.write(move |file| delete(file, run)).await
    }

    pub async fn find(&self, run: RunId) -> Result<Option<KeptRun>, StoreError> {
        let process = self.process.clone();
        self.store.file().read(move |file| find(file, run, &process)).await
    }

    pub async fn named(&self, name: KeptName) -> Result<Option<RunId>, StoreError> {
        self.store
            .file()
            .read(move |file| {
                let mut query = file.prepare_cached("SELECT run FROM kept_names WHERE name = ?1")?;
                query.query_row([&name.0], |row| row.get(0).map(RunId::from_bytes)).optional()
            })
            .await
    }

    pub async fn purge(&self, keep: Duration) -> Result<(), StoreError> {
        let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let before = RunId::first_at(self.clock.now().unix_ms.saturating_sub(keep_ms));
        loop {
            let deleted = self
                .store
                .write(move |file| {
                    // A job is kept until it has ended, however long it waited.
                    let mut query = file.prepare_cached(
                        "SELECT run FROM kept_runs WHERE run < ?1
                           AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.run = kept_runs.run AND jobs.state <> 'ended')
                         ORDER BY run LIMIT ?2",
                    )?;
                    let old =
                        query.query_map((before.as_bytes(), PURGE_MAX), |row| row.get(0).map(RunId::from_bytes))?;
                    let old: Vec<RunId> = old.collect::<Result<_, _>>()?;
                    old.iter().try_for_each(|run| delete(file, *run))?;
                    Ok(old.len())
                })
                .await?;
            if deleted < PURGE_MAX as usize {
                return Ok(());
            }
        }
    }
}

/// Who holds a claim, and for which body. A run that is gone or died in the middle of its answer holds none.
fn claimed(file: &Connection, name: KeptName, process: &Process) -> rusqlite::Result<Option<(RunId, [u8; 32])>> {
    let held = file
        .prepare_cached(
            "SELECT kept_names.run, kept_names.body, kept_runs.owner, kept_runs.state, jobs.run
             FROM kept_names JOIN kept_runs USING (run) LEFT JOIN jobs USING (run)
             WHERE name = ?1 AND kept_names.body IS NOT NULL",
        )?
        .query_row([&name.0], |row| Ok((RunId::from_bytes(row.get(0)?), row.get(1)?, state(row, 2, process)?)))
        .optional()?;
    Ok(held
        .and_then(|(run, body, state)| matches!(state, KeptState::Running | KeptState::Whole).then_some((run, body))))
}

fn put_name(file: &Connection, name: KeptName, run: RunId, body: Option<&[u8; 32]>) -> rusqlite::Result<()> {
    file.prepare_cached("INSERT OR REPLACE INTO kept_names (name, run, body) VALUES (?1, ?2, ?3)")?
        .execute((&name.0, run.as_bytes(), body))
        .map(|_| ())
}

fn delete(file: &Connection, run: RunId) -> rusqlite::Result<()> {
    file.prepare_cached("DELETE FROM kept_names WHERE run = ?1")?.execute([run.as_bytes()])?;
    file.prepare_cached("DELETE FROM kept_runs WHERE run = ?1")?.execute([run.as_bytes()])?;
    file.prepare_cached("DELETE FROM jobs WHERE run = ?1")?.execute([run.as_bytes()])?;
    Ok(())
}

fn find(file: &Connection, run: RunId, process: &Process) -> rusqlite::Result<Option<KeptRun>> {
    let mut query = file.prepare_cached(
        "SELECT about, kept_runs.owner, kept_runs.state, jobs.run, request, head, body
             FROM kept_runs LEFT JOIN jobs USING (run) WHERE run = ?1",
    )?;
    let found = query
        .query_row([run.as_bytes()], |row| {
            let about: String = row.get(0)?;
            Ok(decode(&about, state(row, 1, process)?, row.get(4)?, row.get(5)?, row.get(6)?))
        })
        .optional()?;
    Ok(found.flatten())
}

/// The state of a row whose columns from `at` on are `owner, state` and the run again where it is a job.
fn state(row: &Row<'_>, at: usize, process: &Process) -> rusqlite::Result<KeptState> {
    let (owner, state): (String, String) = (row.get(at)?, row.get(at + 1)?);
    let (state, job): (_, Option<[u8; 16]>) = (KeptState::parse(&state), row.get(at + 2)?);
    let died = state == KeptState::Running && owner != process.as_str() && job.is_none();
    Ok(if died { KeptState::Lost } else { state })
}
