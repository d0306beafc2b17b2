//! The book as rows.

use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use crate::domain::ids::RunId;
use crate::domain::limit::Scope;
use crate::store::Now;

use super::super::binding::leaves_at;
use super::super::book::{Book, HOLD_TTL_MS, Hold, LogKey, Run, Slot, UsdKey};

/// Most rows of one kind that one batch deletes: a few milliseconds of the writer's time.
const DELETE_MAX: i64 = 2_000;

pub(super) fn load(file: &Connection, now: Now) -> rusqlite::Result<Book> {
    let mut book = Book::default();
    let mut usd = file.prepare("SELECT day, scope, subject, settled_nano, waste_nano FROM ledger_usd")?;
    let mut rows = usd.query([])?;
    while let Some(row) = rows.next()? {
        let subject: String = row.get(2)?;
        let key = UsdKey { day: count(row, 0)?, scope: scope(row, 1)?, subject: subject.into() };
        book.load_usd(key, count(row, 3)?, count(row, 4)?);
    }
    let mut runs = file.prepare("SELECT run, state, at_ms, hold FROM ledger_runs")?;
    let mut rows = runs.query([])?;
    while let Some(row) = rows.next()? {
        let (id, state) = run(row, now)?;
        book.load_run(id, state);
    }
    let mut slots =
        file.prepare("SELECT leaves_ms, scope, subject, window_ms, run FROM ledger_slots ORDER BY leaves_ms")?;
    let mut rows = slots.query([])?;
    while let Some(row) = rows.next()? {
        let (subject, window_ms): (String, u64) = (row.get(2)?, count(row, 3)?);
        let key = LogKey { scope: scope(row, 1)?, subject: subject.into(), window_ms };
        let at_ms = count(row, 0)?.saturating_sub(leaves_at(0, window_ms));
        // A time in the future means that the clock was set back while no gateway ran.
        let slot = Slot { at_ms: at_ms.min(now.steady_ms), run: RunId::from_bytes(row.get(4)?) };
        book.load_slot(key, slot);
    }
    Ok(book)
}

pub(super) fn save(file: &Connection, book: &mut Book) -> rusqlite::Result<()> {
    let changes = book.take_changes();
    for key in &changes.usd {
        let usd = book.usd(key);
        file.prepare_cached(
            "INSERT INTO ledger_usd (day, scope, subject, settled_nano, waste_nano) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET settled_nano = excluded.settled_nano, waste_nano = excluded.waste_nano",
        )?
        .execute(params![
            stored(key.day),
            key.scope.as_str(),
            key.subject,
            stored(usd.settled),
            stored(usd.waste)
        ])?;
    }
    for id in &changes.runs {
        let (state, at_ms, hold) = match book.run(id) {
            None => {
                file.prepare_cached("DELETE FROM ledger_runs WHERE run = ?1")?.execute([id.as_bytes()])?;
                continue;
            }
            Some(Run::Open(hold)) => ("open", hold.at_ms, Some(hold)),
            Some(Run::Expired { hold, at_ms }) => ("expired", *at_ms, Some(hold)),
            Some(Run::Void { at_ms }) => ("void", *at_ms, None),
        };
        let hold = hold
            .map(serde_json::to_string)
            .transpose()
            .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        file.prepare_cached("INSERT OR REPLACE INTO ledger_runs (run, state, at_ms, hold) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id.as_bytes(), state, stored(at_ms), hold])?;
    }
    for (key, slot) in &changes.taken {
        file.prepare_cached(
            "INSERT OR REPLACE INTO ledger_slots (leaves_ms, scope, subject, window_ms, run)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(slot_row(key, slot))?;
    }
    for (key, slot) in &changes.returned {
        file.prepare_cached(
            "DELETE FROM ledger_slots
             WHERE leaves_ms = ?1 AND scope = ?2 AND subject = ?3 AND window_ms = ?4 AND run = ?5",
        )?
        .execute(slot_row(key, slot))?;
    }
    Ok(())
}

/// Deletes a bounded number of rows that the book has forgotten. True if there may be more.
pub(super) fn delete_outlived(file: &Connection, now_ms: u64, oldest_day: u64) -> rusqlite::Result<bool> {
    let slots = file
        .prepare_cached(
            "DELETE FROM ledger_slots WHERE leaves_ms <= min(?1,
               coalesce((SELECT leaves_ms FROM ledger_slots ORDER BY leaves_ms LIMIT 1 OFFSET ?2), ?1))",
        )?
        .execute([stored(now_ms), DELETE_MAX])?;
    let days = file
        .prepare_cached(
            "DELETE FROM ledger_usd WHERE (day, scope, subject) IN
               (SELECT day, scope, subject FROM ledger_usd WHERE day < ?1 ORDER BY day LIMIT ?2)",
        )?
        .execute([stored(oldest_day), DELETE_MAX])?;
    let full = |deleted: usize| i64::try_from(deleted).is_ok_and(|deleted| deleted >= DELETE_MAX);
    Ok(full(slots) || full(days))
}

fn run(row: &Row<'_>, now: Now) -> rusqlite::Result<(RunId, Run)> {
    let (id, state): (_, String) = (RunId::from_bytes(row.get(0)?), row.get(1)?);
    let at_ms = count(row, 2)?.min(now.steady_ms);
    let state = match state.as_str() {
        "open" => Run::Open(Hold { deadline_ms: now.steady_ms.saturating_add(HOLD_TTL_MS), ..hold(row)? }),
        "expired" => Run::Expired { hold: hold(row)?, at_ms },
        _ => Run::Void { at_ms },
    };
    Ok((id, state))
}

pub(super) fn hold(row: &Row<'_>) -> rusqlite::Result<Hold> {
    let text: String = row.get(3)?;
    serde_json::from_str(&text).map_err(|error| unreadable(3, error))
}

pub(super) fn scope(row: &Row<'_>, column: usize) -> rusqlite::Result<Scope> {
    let text: String = row.get(column)?;
    let known = [Scope::User, Scope::Key, Scope::Team, Scope::Global];
    known
        .into_iter()
        .find(|scope| scope.as_str() == text)
        .ok_or_else(|| unreadable(column, format!("no scope is called {text}")))
}

/// A number that we stored and so is not negative.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| unreadable(column, error))
}

fn unreadable(column: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}

/// SQLite's integers are signed; every number of ours is below 2^63 for other reasons.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn slot_row<'a>(key: &'a LogKey, slot: &'a Slot) -> (i64, &'static str, &'a str, i64, &'a [u8; 16]) {
    let leaves = leaves_at(slot.at_ms, key.window_ms);
    (stored(leaves), key.scope.as_str(), &key.subject, stored(key.window_ms), slot.run.as_bytes())
}
