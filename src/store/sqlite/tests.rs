use std::fs;
use std::time::Duration;

use super::super::{Backend, Store, StoreError, StoreSpec};
use super::*;

fn spec(path: &Path) -> StoreSpec {
    StoreSpec::Sqlite { path: path.to_owned(), full_sync: false }
}

fn sqlite(path: &Path) -> Sqlite {
    match Store::open(spec(path)).expect("opens").backend() {
        Backend::Sqlite(sqlite) => sqlite.clone(),
        _ => panic!("not SQLite"),
    }
}

/// Counts rows it wrote, as a room above would.
#[derive(Default)]
struct Tally {
    rows: i64,
    unsaved: i64,
}

impl Participant for Tally {
    fn load(&mut self, file: &Connection) -> rusqlite::Result<()> {
        file.execute_batch("CREATE TABLE IF NOT EXISTS tally (n INTEGER)")?;
        self.rows = file.query_row("SELECT count(*) FROM tally", [], |row| row.get(0))?;
        self.unsaved = 0;
        Ok(())
    }

    fn save(&mut self, file: &Connection) -> rusqlite::Result<()> {
        for _ in 0..std::mem::take(&mut self.unsaved) {
            file.execute("INSERT INTO tally VALUES (1)", [])?;
        }
        Ok(())
    }
}

fn add_one(store: &Sqlite, tally: &Arc<Mutex<Tally>>, fails: bool) -> Result<i64, StoreError> {
    let tally = Arc::clone(tally);
    store.write_blocking(move |_| {
        let mut tally = tally.lock().expect("not poisoned");
        tally.rows += 1;
        tally.unsaved += 1;
        if fails { Err(rusqlite::Error::InvalidQuery) } else { Ok(tally.rows) }
    })
}

#[test]
fn a_batch_that_fails_leaves_neither_rows_nor_memory_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = sqlite(&dir.path().join("t.db"));
    let tally = store.participant(Tally::default);
    assert_eq!(add_one(&store, &tally, false), Ok(1));

    assert!(matches!(add_one(&store, &tally, true), Err(StoreError::Unavailable(_))));
    assert!(!store.is_up());

    assert_eq!(add_one(&store, &tally, false), Ok(2));
    assert!(store.is_up());
}

#[test]
fn a_job_that_panics_fails_alone_and_the_writer_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = sqlite(&dir.path().join("t.db"));
    let lost: Result<(), _> = store.write_blocking(|_| panic!("a defect"));
    assert!(matches!(lost, Err(StoreError::Unavailable(_))));
    assert_eq!(store.write_blocking(|_| Ok(7)), Ok(7));
}

#[test]
fn a_write_waits_for_no_one_when_another_program_holds_the_lock_and_heals_when_it_lets_go() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("t.db");
    let store = sqlite(&path);
    let other = Connection::open(&path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");

    let started = std::time::Instant::now();
    assert!(matches!(store.write_blocking(|_| Ok(())), Err(StoreError::Unavailable(_))));
    assert!(started.elapsed() < Duration::from_secs(2));

    other.execute_batch("ROLLBACK").expect("unlocks");
    assert_eq!(store.write_blocking(|_| Ok(())), Ok(()));
}

#[test]
fn a_second_server_on_the_file_is_refused_until_the_first_has_closed_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("t.db");
    let first = sqlite(&path);
    let Err(StoreError::Refused(why)) = Store::open(spec(&path)).map(|_| ()) else { panic!("opened twice") };
    assert!(why.contains(&std::process::id().to_string()) && why.contains("redis://"), "{why}");
    drop(first);
    assert!(Store::open(spec(&path)).is_ok());
}

#[test]
fn a_file_deleted_under_the_gateway_takes_no_writes() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("t.db");
    let store = sqlite(&path);
    fs::rename(&path, dir.path().join("moved.db")).expect("moves");
    assert!(matches!(store.write_blocking(|_| Ok(())), Err(StoreError::Unavailable(_))));
    fs::rename(dir.path().join("moved.db"), &path).expect("moves back");
    assert_eq!(store.write_blocking(|_| Ok(())), Ok(()));
}

#[test]
fn a_file_that_is_gone_is_not_made_anew_unless_its_lock_is_deleted_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("t.db");
    drop(sqlite(&path));
    fs::remove_file(&path).expect("removes");
    let Err(StoreError::Refused(why)) = Store::open(spec(&path)).map(|_| ()) else { panic!("it was made anew") };
    assert!(why.contains("t.db.lock"), "{why}");
    assert!(!path.exists());
    fs::remove_file(dir.path().join("t.db.lock")).expect("removes");
    assert!(Store::open(spec(&path)).is_ok());
}

#[test]
fn a_file_with_a_damaged_page_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("t.db");
    drop(sqlite(&path));
    let mut bytes = fs::read(&path).expect("reads");
    let page = 4_096;
    assert!(bytes.len() > 3 * page);
    bytes[page..].fill(0x5a);
    fs::write(&path, bytes).expect("writes");
    let Err(StoreError::Corrupt(why)) = Store::open(spec(&path)).map(|_| ()) else { panic!("it opened") };
    assert!(why.contains("backup"), "{why}");
}

#[test]
fn a_full_disk_is_told_from_other_trouble_and_heals_by_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = sqlite(&dir.path().join("t.db"));
    let fill = || {
        store.write_blocking(|file| {
            file.execute_batch("CREATE TABLE IF NOT EXISTS filler (x BLOB)")?;
            file.execute("INSERT INTO filler VALUES (zeroblob(100000))", []).map(|_| ())
        })
    };
    let most = |pages: u32| {
        store.write_blocking(move |file| file.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())))
    };
    most(1).expect("limits the file to what it is");
    let Err(StoreError::Unavailable(why)) = fill() else { panic!("it fitted") };
    assert!(why.contains("free space"), "{why}");
    assert!(!store.is_up());
    most(1_000_000).expect("makes room");
    fill().expect("fits");
    assert!(store.is_up());
}

#[test]
fn what_is_not_our_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let foreign = dir.path().join("foreign.db");
    Connection::open(&foreign).expect("opens").execute_batch("CREATE TABLE t (x)").expect("creates");
    assert!(matches!(Store::open(spec(&foreign)).map(|_| ()), Err(StoreError::Refused(_))));

    let garbage = dir.path().join("garbage.db");
    fs::write(&garbage, "this is no database, and it is long enough to be seen as one".repeat(20)).expect("writes");
    assert!(matches!(Store::open(spec(&garbage)).map(|_| ()), Err(StoreError::Corrupt(_))));

    let newer = dir.path().join("newer.db");
    drop(sqlite(&newer));
    let file = Connection::open(&newer).expect("opens");
    file.execute("INSERT INTO migrations VALUES (99, 'later')", []).expect("inserts");
    drop(file);
    assert!(matches!(Store::open(spec(&newer)).map(|_| ()), Err(StoreError::Refused(_))));
    assert!(matches!(Store::open_read_only(spec(&newer)).map(|_| ()), Err(StoreError::Refused(_))));
}

#[test]
fn reading_needs_a_file_that_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let Err(StoreError::Refused(why)) = Store::open_read_only(spec(&dir.path().join("none.db"))).map(|_| ()) else {
        panic!("opened")
    };
    assert!(why.contains("headgate serve"), "{why}");
}
