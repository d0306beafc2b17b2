//! What survives, and who may look.

use std::fs;

use headgate::domain::ids::RunId;
use headgate::domain::limit::Scope;
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Ledger, Settled};
use headgate::store::{Store, StoreError, StoreSpec};
use rusqlite::Connection;

use super::rig::{HOUR_MS, Rig, on_both_stores, refused, requests, usd_per_day};

on_both_stores!(what_was_acknowledged_is_there_after_the_process_is_gone, a_reader_sees_what_the_gateway_sees);

const ANN: &str = "ann@example.org";

async fn what_was_acknowledged_is_there_after_the_process_is_gone(rig: Rig) {
    let limits = [usd_per_day(Scope::User, 100), requests(Scope::User, 3, HOUR_MS)];
    let settled = rig.hold(10, &limits).await;
    rig.ledger.settle(settled, NanoUsd::new(7)).await.expect("settles");
    let open = rig.hold(20, &limits).await;
    let extended = rig.hold(30, &limits).await;
    rig.ledger.extend(extended, NanoUsd::new(5)).await.expect("extends");
    let early = RunId::mint();
    rig.ledger.void(early).await.expect("voids");
    let before = rig.usage().await;

    let rig = rig.reopened();

    assert_eq!(rig.usage().await, before);
    assert_eq!(rig.usd(Scope::User, ANN).await, (7, 55));
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
    assert_eq!(rig.reserve(early, 1, &[]).await, Err(StoreError::NoHold(early)));
    assert_eq!(rig.ledger.settle(settled, NanoUsd::new(7)).await, Ok(Settled::Nothing));
    assert_eq!(rig.ledger.settle(open, NanoUsd::new(1)).await, Ok(Settled::Booked));
    assert_eq!(rig.pass(60_000).await.len(), 1, "nobody renews the hold of the process that is gone");
    assert_eq!((rig.usd(Scope::User, ANN).await, rig.usd(Scope::Global, "").await), ((8, 0), (43, 0)));

    let rig = rig.reopened();
    assert_eq!(rig.usage().await.platform_waste, NanoUsd::new(35));
    assert_eq!(rig.ledger.settle(extended, NanoUsd::new(2)).await, Ok(Settled::Corrected));
    assert_eq!(rig.usd(Scope::Global, "").await, (10, 0));
}

async fn a_reader_sees_what_the_gateway_sees(rig: Rig) {
    // By the real clock, as a reader has no other: today's dollars and nothing that depends on the hour.
    let store = Store::open(match &rig.spec {
        StoreSpec::Sqlite { .. } => StoreSpec::Sqlite { path: rig.dir.path().join("real.db"), full_sync: true },
        redis => redis.clone(),
    })
    .expect("opens");
    let ledger = Ledger::new(&store);
    let run = RunId::mint();
    super::rig::reserve(&ledger, run, super::rig::ann(), 9, &[]).await.expect("reserves");
    let spec = match &rig.spec {
        StoreSpec::Sqlite { .. } => StoreSpec::Sqlite { path: rig.dir.path().join("real.db"), full_sync: true },
        redis => redis.clone(),
    };
    let reader = Ledger::new(&Store::open_read_only(spec).expect("opens for reading"));
    let report = reader.usage().await.expect("reads");
    assert_eq!((super::rig::usd(&report, Scope::User, ANN), report.open_holds), ((0, 9), 1));
    assert_eq!(report, ledger.usage().await.expect("reads"));
}

#[tokio::test]
async fn a_reader_of_a_file_changes_nothing() {
    let rig = Rig::sqlite();
    rig.hold(1, &[]).await;
    let reader = Ledger::new(&Store::open_read_only(rig.spec.clone()).expect("opens for reading"));
    let answer = reader.void(RunId::mint()).await;
    assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
}

/// What a killed process leaves behind: the file and its log of commits that were never moved into it.
#[tokio::test]
async fn a_copy_of_the_files_taken_at_any_moment_holds_everything_acknowledged() {
    let rig = Rig::sqlite();
    let run = rig.hold(5, &[]).await;
    rig.ledger.settle(run, NanoUsd::new(5)).await.expect("settles");
    rig.hold(6, &[]).await;

    let crashed = tempfile::tempdir().expect("a directory");
    for name in ["headgate.db", "headgate.db-wal"] {
        fs::copy(rig.dir.path().join(name), crashed.path().join(name)).expect("copies");
    }
    let spec = StoreSpec::Sqlite { path: crashed.path().join("headgate.db"), full_sync: false };
    let clock = headgate::store::Clock::Stepped(rig.clock.clone());
    let ledger = Ledger::new(&Store::open_with_clock(spec, clock).expect("opens what the crash left"));
    assert_eq!(ledger.usage().await, rig.ledger.usage().await);
}

/// What a file of the second schema holds, before limits had other windows than these.
const SECOND_SCHEMA: &str = r#"
    DROP TABLE ledger_sums;
    DROP TABLE ledger_entries;
    DROP TABLE jobs;
    DROP TABLE job_lanes;
    CREATE TABLE ledger_usd (day INTEGER NOT NULL, scope TEXT NOT NULL, subject TEXT NOT NULL,
      settled_nano INTEGER NOT NULL, waste_nano INTEGER NOT NULL, PRIMARY KEY (day, scope, subject)) STRICT, WITHOUT ROWID;
    CREATE TABLE ledger_slots (leaves_ms INTEGER NOT NULL, scope TEXT NOT NULL, subject TEXT NOT NULL,
      window_ms INTEGER NOT NULL, run BLOB NOT NULL,
      PRIMARY KEY (leaves_ms, scope, subject, window_ms, run)) STRICT, WITHOUT ROWID;
    DELETE FROM migrations WHERE version > 2;
    INSERT INTO ledger_usd VALUES (20781, 'user', 'ann@example.org', 30, 0), (20781, 'global', '', 37, 7);
    INSERT INTO ledger_slots VALUES (1795521650001, 'user', 'ann@example.org', 60000, ?1);
    INSERT INTO ledger_runs VALUES (?1, 'open', 1795521590000, '{"amount":12,"day":20781,"binds":[
      {"scope":"user","subject":"ann@example.org","quota":{"usd_per_day":{"max_nano":100}}},
      {"scope":"user","subject":"ann@example.org","quota":{"requests":{"max":1,"window_ms":60000}}},
      {"scope":"global","subject":"","quota":{"usd_per_day":{"max_nano":9007199254740992}}}],"at_ms":1795521590000}');
    INSERT INTO ledger_runs VALUES (x'00000000000000000000000000000007', 'void', 1795521590000, NULL);
"#;

#[tokio::test]
async fn a_file_of_the_release_before_keeps_what_was_spent_and_held() {
    let rig = Rig::sqlite();
    let StoreSpec::Sqlite { path, .. } = rig.spec.clone() else { panic!("not SQLite") };
    let run = RunId::mint();
    let file = Connection::open(&path).expect("opens");
    let hex: String = run.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    file.execute_batch(&SECOND_SCHEMA.replace("?1", &format!("x'{hex}'"))).expect("goes back");
    drop(file);

    let rig = rig.reopened();
    assert_eq!((rig.usd(Scope::User, ANN).await, rig.usd(Scope::Global, "").await), ((30, 12), (37, 12)));
    assert_eq!((rig.usage().await.platform_waste, rig.usage().await.open_holds), (NanoUsd::new(7), 1));
    let limits = [usd_per_day(Scope::User, 60), requests(Scope::User, 1, 60_000)];
    let (view, wait) = refused(rig.reserve(RunId::mint(), 1, &limits).await);
    assert_eq!((view.limit, wait), (limits[1].clone(), 50_001));
    rig.ledger.extend(run, NanoUsd::new(5)).await.expect("extends");
    assert_eq!(rig.ledger.settle(run, NanoUsd::new(15)).await, Ok(Settled::Booked));
    assert_eq!(rig.usd(Scope::User, ANN).await, (45, 0));
}

#[tokio::test]
async fn a_reader_opens_what_a_crash_left() {
    let rig = Rig::sqlite();
    rig.hold(6, &[]).await;
    let crashed = tempfile::tempdir().expect("a directory");
    for name in ["headgate.db", "headgate.db-wal"] {
        fs::copy(rig.dir.path().join(name), crashed.path().join(name)).expect("copies");
    }
    let spec = StoreSpec::Sqlite { path: crashed.path().join("headgate.db"), full_sync: false };
    let reader = Ledger::new(&Store::open_read_only(spec).expect("opens what the crash left"));
    assert_eq!(reader.usage().await.map(|report| report.open_holds), Ok(1));
}

#[tokio::test]
async fn a_commit_that_fails_is_answered_as_such_and_leaves_the_ledger_as_it_was() {
    let rig = Rig::sqlite();
    let StoreSpec::Sqlite { path, .. } = &rig.spec else { panic!("not SQLite") };
    let limits = [usd_per_day(Scope::User, 10), requests(Scope::User, 2, HOUR_MS)];
    let run = rig.hold(4, &limits).await;
    let before = rig.usage().await;

    let other = Connection::open(path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks the file");
    for answer in [
        rig.reserve(RunId::mint(), 6, &limits).await.map(|_| ()),
        rig.ledger.settle(run, NanoUsd::new(4)).await.map(|_| ()),
        rig.ledger.void(run).await,
    ] {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    assert!(!rig.store.is_up());
    other.execute_batch("ROLLBACK").expect("unlocks");

    rig.ledger.check().await.expect("heals by itself");
    assert!(rig.store.is_up());
    assert_eq!(rig.usage().await, before);
    rig.hold(6, &limits).await;
    assert_eq!(rig.ledger.settle(run, NanoUsd::new(4)).await, Ok(Settled::Booked));
}
