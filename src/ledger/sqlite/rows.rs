//! The book as rows.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::domain::ids::RunId;
use crate::domain::limit::{Unit, Window};
use crate::store::Now;

use super::super::binding::leaves_at;
use super::super::book::{Book, Entry, HOLD_TTL_MS, Hold, KEPT_MS, Put, Run, SumKey};
use super::super::counter::Counter;
use super::super::held::HeldRun;

/// Most rows of one kind that one batch deletes: a few milliseconds of the writer's time.
const DELETE_MAX: i64 = 2_000;

pub(super) fn load(file: &Connection, now: Now) -> rusqlite::Result<Book> {
    let mut book = Book::default();
    let mut sums = file.prepare("SELECT unit, window, scope, subject, ends_ms, settled, waste FROM ledger_sums")?;
    let mut rows = sums.query([])?;
    while let Some(row) = rows.next()? {
        let key = SumKey { ends_ms: count(row, 4)?, counter: counter(row)? };
        book.load_sum(key, count(row, 5)?, count(row, 6)?);
    }
    let mut runs = file.prepare("SELECT run, state, at_ms, hold FROM ledger_runs")?;
    let mut rows = runs.query([])?;
    while let Some(row) = rows.next()? {
        let (id, state) = run(row, now)?;
        book.load_run(id, state);
    }
    let mut entries = file.prepare(
        "SELECT unit, window, scope, subject, leaves_ms, run, amount FROM ledger_entries ORDER BY leaves_ms",
    )?;
    let mut rows = entries.query([])?;
    while let Some(row) = rows.next()? {
        let counter = counter(row)?;
        let at_ms = count(row, 4)?.saturating_sub(leaves_at(0, length_ms(&counter)));
        // A time in the future means that the clock was set back while no gateway ran.
        let at_ms = at_ms.min(now.steady_ms);
        book.load_entry(counter, Entry { at_ms, run: RunId::from_bytes(row.get(5)?), amount: count(row, 6)? });
    }
    Ok(book)
}

pub(super) fn save(file: &Connection, book: &mut Book) -> rusqlite::Result<()> {
    let changes = book.take_changes();
    for key in &changes.sums {
        let (sum, name) = (book.sum(key), Name::of(&key.counter));
        file.prepare_cached(
            "INSERT INTO ledger_sums (ends_ms, unit, window, scope, subject, settled, waste)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET settled = excluded.settled, waste = excluded.waste",
        )?
        .execute(params![
            stored(key.ends_ms),
            name.unit,
            name.window,
            name.scope,
            name.subject,
            stored(sum.settled),
            stored(sum.waste)
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
    for (counter, entry, put) in &changes.entries {
        let statement = match put {
            Put::In => {
                "INSERT OR REPLACE INTO ledger_entries (leaves_ms, unit, window, scope, subject, run, amount)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
            }
            Put::Out => {
                "DELETE FROM ledger_entries WHERE leaves_ms = ?1 AND unit = ?2 AND window = ?3 AND scope = ?4
                 AND subject = ?5 AND run = ?6 AND amount = ?7"
            }
        };
        let (leaves_ms, name) = (leaves_at(entry.at_ms, length_ms(counter)), Name::of(counter));
        file.prepare_cached(statement)?.execute(params![
            stored(leaves_ms),
            name.unit,
            name.window,
            name.scope,
            name.subject,
            entry.run.as_bytes(),
            stored(entry.amount)
        ])?;
    }
    Ok(())
}

/// Deletes a bounded number of rows that the book has forgotten. True if there may be more.
pub(super) fn delete_outlived(file: &Connection, now: Now) -> rusqlite::Result<bool> {
    let entries = file
        .prepare_cached(
            "DELETE FROM ledger_entries WHERE leaves_ms <= min(?1,
               coalesce((SELECT leaves_ms FROM ledger_entries ORDER BY leaves_ms LIMIT 1 OFFSET ?2), ?1))",
        )?
        .execute([stored(now.steady_ms), DELETE_MAX])?;
    let sums = file
        .prepare_cached(
            "DELETE FROM ledger_sums WHERE (ends_ms, unit, window, scope, subject) IN
               (SELECT ends_ms, unit, window, scope, subject FROM ledger_sums WHERE ends_ms <= ?1
                ORDER BY ends_ms LIMIT ?2)",
        )?
        .execute([stored(now.unix_ms.saturating_sub(KEPT_MS)), DELETE_MAX])?;
    let full = |deleted: usize| i64::try_from(deleted).is_ok_and(|deleted| deleted >= DELETE_MAX);
    Ok(full(entries) || full(sums))
}

/// What the file knows of one run.
pub(super) fn find(file: &Connection, id: RunId, now: Now) -> rusqlite::Result<Option<HeldRun>> {
    let mut query = file.prepare("SELECT run, state, at_ms, hold FROM ledger_runs WHERE run = ?1")?;
    query.query_row([id.as_bytes()], |row| run(row, now).map(|(id, state)| HeldRun::new(id, &state))).optional()
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

/// From column 3.
pub(super) fn hold(row: &Row<'_>) -> rusqlite::Result<Hold> {
    let text: String = row.get(3)?;
    serde_json::from_str(&text).map_err(|error| unreadable(3, error))
}

/// From the first four columns: unit, window, scope, subject.
pub(super) fn counter(row: &Row<'_>) -> rusqlite::Result<Counter> {
    let (unit, window, scope, subject): (String, String, String, String) =
        (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(Counter {
        unit: Unit::parse(&unit).ok_or_else(|| unreadable(0, format!("no unit is called {unit}")))?,
        window: window.parse().map_err(|error: String| unreadable(1, error))?,
        scope: scope.parse().map_err(|error: String| unreadable(2, error))?,
        subject: subject.into(),
    })
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

/// Of a sliding window; the others have no entries.
fn length_ms(counter: &Counter) -> u64 {
    match counter.window {
        Window::Sliding { ms } => ms,
        Window::Calendar(..) | Window::Open => 0,
    }
}

/// A counter as columns.
struct Name<'a> {
    unit: &'static str,
    window: String,
    scope: String,
    subject: &'a str,
}

impl<'a> Name<'a> {
    fn of(counter: &'a Counter) -> Self {
        Name {
            unit: counter.unit.as_str(),
            window: counter.window.to_string(),
            scope: counter.scope.to_string(),
            subject: &counter.subject,
        }
    }
}
