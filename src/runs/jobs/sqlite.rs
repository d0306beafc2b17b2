//! Jobs on SQLite. The file has one writer, so a job that another process was working on has lost its worker.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};

use crate::domain::ids::RunId;
use crate::domain::kept::{KeptState, Pen};
use crate::store::StoreError;
use crate::store::sqlite::Sqlite;

use super::super::Process;
use super::{Claimed, PAID_AT_ONCE, Queued};

#[derive(Clone)]
pub(super) struct SqliteJobs {
    store: Sqlite,
    process: Process,
}

impl SqliteJobs {
    pub fn new(store: Sqlite, process: Process) -> Self {
        SqliteJobs { store, process }
    }

    pub async fn claim(&self) -> Result<Option<Claimed>, StoreError> {
        let process = self.process.clone();
        self.store.write(move |file| claim(file, &process)).await
    }

    pub async fn end(&self, pen: Pen, state: KeptState, bill: Option<String>) -> Result<bool, StoreError> {
        self.store
            .write(move |file| {
                let Some(now) = state_of(file, pen.run)? else { return Ok(false) };
                if Some(now.fence) != pen.fence || now.state == "queued" {
                    return Ok(false);
                }
                if now.state == "running" {
                    file.prepare_cached("UPDATE jobs SET state = 'ended', work = NULL, bill = ?2 WHERE run = ?1")?
                        .execute((pen.run.as_bytes(), bill))?;
                    put_kept_state(file, pen.run, state)?;
                }
                Ok(true)
            })
            .await
    }

    pub async fn cancel(&self, run: RunId) -> Result<Option<Pen>, StoreError> {
        self.store
            .write(move |file| {
                let Some(now) = state_of(file, run)?.filter(|now| now.state != "ended") else { return Ok(None) };
                if now.state == "queued" {
                    leave_lane(file, &now.lane)?;
                }
                let fence = now.fence + 1;
                file.prepare_cached(
                    "UPDATE jobs SET state = 'ended', work = NULL, cancelled = fence, fence = ?2 WHERE run = ?1",
                )?
                .execute((run.as_bytes(), fence.cast_signed()))?;
                put_kept_state(file, run, KeptState::Broken)?;
                Ok(Some(Pen { run, fence: Some(fence) }))
            })
            .await
    }

    pub async fn was_cancelled(&self, pen: Pen) -> Result<bool, StoreError> {
        self.store
            .file()
            .read(move |file| {
                let mut query = file.prepare_cached("SELECT cancelled FROM jobs WHERE run = ?1")?;
                let cut: Option<Option<i64>> = query.query_row([pen.run.as_bytes()], |row| row.get(0)).optional()?;
                Ok(pen.fence.is_some() && cut.flatten().map(i64::cast_unsigned) == pen.fence)
            })
            .await
    }

    pub async fn mine(&self) -> Result<Vec<Pen>, StoreError> {
        let process = self.process.clone();
        self.store
            .file()
            .read(move |file| {
                let mut query =
                    file.prepare_cached("SELECT run, fence FROM jobs WHERE state = 'running' AND owner = ?1")?;
                let mine = query.query_map([process.as_str()], |row| {
                    let fence = row.get::<_, i64>(1)?.cast_unsigned();
                    Ok(Pen { run: RunId::from_bytes(row.get(0)?), fence: Some(fence) })
                })?;
                mine.collect()
            })
            .await
    }

    pub async fn hand_back(&self, pen: Pen) -> Result<(), StoreError> {
        self.store
            .write(move |file| {
                let Some(now) = state_of(file, pen.run)? else { return Ok(()) };
                if now.state != "running" || Some(now.fence) != pen.fence {
                    return Ok(());
                }
                file.prepare_cached(
                    "UPDATE jobs SET state = 'queued', owner = '', starts = starts - 1 WHERE run = ?1",
                )?
                .execute([pen.run.as_bytes()])?;
                enter_lane(file, &now.lane)
            })
            .await
    }

    pub async fn revive(&self) -> Result<u64, StoreError> {
        let process = self.process.clone();
        self.store
            .write(move |file| {
                let mut dead = file
                    .prepare_cached("SELECT run, lane FROM jobs WHERE state = 'running' AND owner <> ?1 LIMIT 1000")?;
                let dead: Vec<([u8; 16], String)> = dead
                    .query_map([process.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<Result<_, _>>()?;
                for (run, lane) in &dead {
                    file.prepare_cached("UPDATE jobs SET state = 'queued', owner = '' WHERE run = ?1")?
                        .execute([run])?;
                    enter_lane(file, lane)?;
                }
                Ok(dead.len() as u64)
            })
            .await
    }

    pub async fn queued(&self) -> Result<u64, StoreError> {
        self.store
            .file()
            .read(|file| {
                let mut query = file.prepare_cached("SELECT coalesce(sum(queued), 0) FROM job_lanes")?;
                query.query_row([], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))
            })
            .await
    }

    pub async fn unpaid(&self) -> Result<Vec<(RunId, String)>, StoreError> {
        let process = self.process.clone();
        self.store
            .file()
            .read(move |file| {
                let mut query = file.prepare_cached(
                    "SELECT run, bill FROM jobs WHERE bill IS NOT NULL AND owner <> ?1 ORDER BY run LIMIT ?2",
                )?;
                let owed = query.query_map((process.as_str(), PAID_AT_ONCE.cast_signed()), |row| {
                    Ok((RunId::from_bytes(row.get(0)?), row.get(1)?))
                })?;
                owed.collect()
            })
            .await
    }

    pub async fn paid(&self, run: RunId) -> Result<(), StoreError> {
        self.store
            .write(move |file| {
                file.prepare_cached("UPDATE jobs SET bill = NULL WHERE run = ?1")?.execute([run.as_bytes()])
            })
            .await
            .map(|_| ())
    }
}

/// Puts a new run into the queue, in the transaction that keeps it.
pub(in crate::runs) fn enqueue(file: &Connection, run: RunId, queued: &Queued) -> rusqlite::Result<()> {
    file.prepare_cached(
        "INSERT INTO jobs (run, lane, state, owner, fence, starts, work) VALUES (?1, ?2, 'queued', '', 0, 0, ?3)",
    )?
    .execute((run.as_bytes(), &queued.lane, queued.work.as_deref()))?;
    enter_lane(file, &queued.lane)
}

struct Now {
    state: String,
    fence: u64,
    lane: String,
}

fn state_of(file: &Connection, run: RunId) -> rusqlite::Result<Option<Now>> {
    let mut query = file.prepare_cached("SELECT state, fence, lane FROM jobs WHERE run = ?1")?;
    query
        .query_row([run.as_bytes()], |row| {
            Ok(Now { state: row.get(0)?, fence: row.get::<_, i64>(1)?.cast_unsigned(), lane: row.get(2)? })
        })
        .optional()
}

fn put_kept_state(file: &Connection, run: RunId, state: KeptState) -> rusqlite::Result<()> {
    file.prepare_cached("UPDATE kept_runs SET state = ?2 WHERE run = ?1 AND state = 'running'")?
        .execute((run.as_bytes(), state.as_str()))
        .map(|_| ())
}

fn claim(file: &Connection, process: &Process) -> rusqlite::Result<Option<Claimed>> {
    let mut lanes = file.prepare_cached("SELECT lane FROM job_lanes WHERE queued > 0 ORDER BY turn, lane LIMIT 1")?;
    let Some(lane) = lanes.query_row([], |row| row.get::<_, String>(0)).optional()? else { return Ok(None) };
    file.prepare_cached("UPDATE job_lanes SET turn = (SELECT max(turn) + 2 FROM job_lanes) WHERE lane = ?1")?
        .execute([&lane])?;
    leave_lane(file, &lane)?;
    file.prepare_cached(
        "UPDATE jobs SET state = 'running', owner = ?2, fence = fence + 1, starts = starts + 1
         WHERE run = (SELECT min(run) FROM jobs WHERE state = 'queued' AND lane = ?1)
         RETURNING run, fence, starts, work",
    )?
    .query_row((&lane, process.as_str()), |row| {
        let pen = Pen { run: RunId::from_bytes(row.get(0)?), fence: Some(row.get::<_, i64>(1)?.cast_unsigned()) };
        Ok(Claimed { pen, starts: row.get(2)?, work: row.get::<_, Option<Vec<u8>>>(3)?.map(Bytes::from) })
    })
    .optional()
}

/// A lane that comes back goes before the one that was served last, and behind all that wait for longer.
fn enter_lane(file: &Connection, lane: &str) -> rusqlite::Result<()> {
    file.prepare_cached(
        "INSERT INTO job_lanes (lane, turn, queued)
           VALUES (?1, coalesce((SELECT max(turn) FROM job_lanes), 0) - 1, 1)
         ON CONFLICT (lane) DO UPDATE SET queued = queued + 1",
    )?
    .execute([lane])
    .map(|_| ())
}

fn leave_lane(file: &Connection, lane: &str) -> rusqlite::Result<()> {
    file.prepare_cached("UPDATE job_lanes SET queued = queued - 1 WHERE lane = ?1")?.execute([lane])?;
    // Nobody waits there, so it has no turn.
    file.prepare_cached("DELETE FROM job_lanes WHERE lane = ?1 AND queued <= 0")?.execute([lane]).map(|_| ())
}
