//! What the file must be, and how it becomes that.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{StoreError, failed};

/// Marks our files: `HGAT` in ASCII.
const APPLICATION_ID: i32 = 0x4847_4154;

/// The steps, oldest first. A released step never changes.
const MIGRATIONS: [&str; 4] = [
    include_str!("001_ledger_and_runs.sql"),
    include_str!("002_journal.sql"),
    include_str!("003_counters.sql"),
    include_str!("004_jobs.sql"),
];

/// Refuses a database of another program before anything is written to it.
pub(super) fn check_ours(file: &Connection, path: &Path) -> Result<(), StoreError> {
    let id: i32 = pragma(file, "application_id")?;
    let tables: i64 =
        file.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(|error| failed(&error))?;
    if id == APPLICATION_ID || (id == 0 && tables == 0) {
        return Ok(());
    }
    Err(StoreError::Refused(format!("{} belongs to another program; name another file in `store:`", path.display())))
}

/// Refuses a file with damaged pages: it would be noticed later, by the runs that need them. Reads the whole file.
pub(super) fn check_whole(file: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: String =
        file.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|error| failed(&error))?;
    if found == "ok" {
        return Ok(());
    }
    let found = found.replace('\n', " ");
    Err(StoreError::Corrupt(format!("{}: {found}; restore the file from a backup", path.display())))
}

/// Refuses a file that a reader of this release would misread.
pub(super) fn check_readable(file: &Connection, path: &Path) -> Result<(), StoreError> {
    check_ours(file, path)?;
    let version = version(file)?;
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    let path = path.display();
    Err(StoreError::Refused(format!(
        "{path} has schema {version}, this release reads {}; run `headgate serve` of the newer release first",
        MIGRATIONS.len()
    )))
}

pub(super) fn migrate(file: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let done = version(file)?;
    if done > MIGRATIONS.len() {
        return Err(StoreError::Refused(format!(
            "{} was written by a newer release (schema {done}); start that one, or name another file in `store:`",
            path.display()
        )));
    }
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        apply(file, step + 1, sql).map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn apply(file: &mut Connection, version: usize, sql: &str) -> rusqlite::Result<()> {
    let step = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    step.pragma_update(None, "application_id", APPLICATION_ID)?;
    step.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL) STRICT",
    )?;
    step.execute_batch(sql)?;
    let version = i64::try_from(version).unwrap_or(i64::MAX);
    step.execute("INSERT INTO migrations (version, applied_at) VALUES (?1, datetime('now'))", [version])?;
    step.commit()
}

/// The newest step that was applied; 0 in a new file.
fn version(file: &Connection) -> Result<usize, StoreError> {
    let read = || -> rusqlite::Result<i64> {
        let known: Option<i64> = file
            .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'", [], |row| row.get(0))
            .optional()?;
        match known {
            None => Ok(0),
            Some(_) => file.query_row("SELECT coalesce(max(version), 0) FROM migrations", [], |row| row.get(0)),
        }
    };
    read().map(|version| usize::try_from(version).unwrap_or_default()).map_err(|error| failed(&error))
}

fn pragma(file: &Connection, name: &str) -> Result<i32, StoreError> {
    file.pragma_query_value(None, name, |row| row.get(0)).map_err(|error| failed(&error))
}
