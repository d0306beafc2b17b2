//! Run records on both stores.

use std::time::{Duration, Instant};

use headgate::domain::ids::RunId;
use headgate::domain::money::NanoUsd;
use headgate::domain::record::{AttemptRecord, Outcome, RECORD_VERSION, RunRecord};
use headgate::domain::usage::Usage;
use headgate::runs::Runs;
use headgate::store::Store;
use rusqlite::Connection;

use super::rig::{Rig, on_both_stores};
use crate::support::told_when;

on_both_stores!(
    a_record_is_read_back_by_its_own_key_and_by_no_other,
    the_newest_records_come_first,
    a_flushed_record_is_there_for_the_next_process,
);

fn record(key: &str) -> RunRecord {
    RunRecord {
        version: RECORD_VERSION,
        id: RunId::mint(),
        request_id: "req-1".into(),
        key: key.into(),
        team: "core".into(),
        user: "ann".into(),
        dialect: "openai_chat".into(),
        stream: false,
        generation: 3,
        asked: Some("standard".into()),
        tier: "standard".into(),
        tier_cause: "asked".into(),
        target: "openai/gpt".into(),
        status: 200,
        outcome: Outcome::Ok,
        error_code: None,
        told: None,
        refusal_cause: None,
        refused_by: None,
        clamped: None,
        dropped: Vec::new(),
        moderation: None,
        attempts: vec![AttemptRecord { target: "openai/gpt".into(), status: Some(200), ..AttemptRecord::default() }],
        gave_up: None,
        store_away: false,
        limits: Vec::new(),
        estimate: NanoUsd::new(10),
        hold: NanoUsd::new(10),
        hold_expired: false,
        price: NanoUsd::new(7),
        price_book: "1".into(),
        usage: Usage { input: 3, output: 4, ..Usage::default() },
        counted: false,
        started_ms: 1,
        total_ms: 2,
        first_content_ms: None,
    }
}

/// On Redis a record is on its way for a moment.
async fn appears(runs: &Runs, run: RunId, key: &str) -> RunRecord {
    let find = async || runs.get(run, key).await.expect("reads");
    told_when(&format!("{run} is there"), Duration::from_secs(10), find, Option::is_some).await.expect("just seen")
}

async fn a_record_is_read_back_by_its_own_key_and_by_no_other(rig: Rig) {
    let runs = Runs::new(&rig.store);
    let record = record("web");
    runs.finish(record.clone());
    assert_eq!(appears(&runs, record.id, "web").await, record);
    assert_eq!(runs.get(record.id, "other").await, Ok(None));
    assert_eq!(runs.get(RunId::mint(), "web").await, Ok(None));
    assert_eq!(runs.find(record.id).await, Ok(Some(record)));
}

async fn the_newest_records_come_first(rig: Rig) {
    let runs = Runs::new(&rig.store);
    let records: Vec<RunRecord> = (0..5).map(|_| record("web")).collect();
    for record in &records {
        runs.finish(record.clone());
        runs.flush().await;
    }
    let newest: Vec<RunRecord> = records.into_iter().rev().take(3).collect();
    assert_eq!(runs.recent(3).await, Ok(newest));
    assert_eq!(runs.recent(0).await, Ok(Vec::new()));
}

async fn a_flushed_record_is_there_for_the_next_process(rig: Rig) {
    let records: Vec<RunRecord> = (0..200).map(|_| record("web")).collect();
    {
        let runs = Runs::new(&rig.store);
        records.iter().for_each(|record| runs.finish(record.clone()));
        runs.flush().await;
    }
    let rig = rig.reopened();
    let runs = Runs::new(&rig.store);
    for record in records {
        assert_eq!(runs.find(record.id).await, Ok(Some(record)));
    }
}

#[tokio::test]
async fn a_record_is_in_the_file_within_half_a_second_and_a_reader_finds_it() {
    let rig = Rig::sqlite();
    let runs = Runs::new(&rig.store);
    let record = record("web");
    let finished = Instant::now();
    runs.finish(record.clone());
    let reader = Runs::new(&Store::open_read_only(rig.spec.clone()).expect("opens for reading"));
    appears(&reader, record.id, "web").await;
    // The stated half second, and what a busy machine may add.
    assert!(finished.elapsed() < Duration::from_millis(500 + 500), "{:?}", finished.elapsed());
    assert_eq!(reader.recent(10).await, Ok(vec![record]));
}

#[tokio::test]
async fn records_outlive_a_time_in_which_the_file_takes_none() {
    let rig = Rig::sqlite();
    let runs = Runs::new(&rig.store);
    let other = Connection::open(rig.dir.path().join("headgate.db")).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks the file");
    let record = record("web");
    runs.finish(record.clone());
    runs.flush().await;
    assert_eq!(runs.find(record.id).await, Ok(Some(record.clone())), "it waits in memory");
    other.execute_batch("ROLLBACK").expect("unlocks");
    runs.flush().await;
    drop(runs);
    let reader = Runs::new(&Store::open_read_only(rig.spec.clone()).expect("opens for reading"));
    assert_eq!(reader.find(record.id).await, Ok(Some(record)));
}

#[tokio::test]
async fn records_of_yesterday_are_removed() {
    let rig = Rig::sqlite();
    let runs = Runs::new(&rig.store);
    let old = record("web");
    runs.finish(old.clone());
    runs.flush().await;
    drop(runs);
    let minted_ms = u64::from_be_bytes({
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&old.id.as_bytes()[..6]);
        bytes
    });

    rig.clock.set_wall(minted_ms + 24 * 3_600_000);
    let runs = Runs::new(&rig.store);
    runs.flush().await;
    assert!(runs.find(old.id).await.expect("reads").is_some(), "a day is not over yet");
    drop(runs);

    rig.clock.set_wall(minted_ms + 24 * 3_600_000 + 1);
    let runs = Runs::new(&rig.store);
    runs.flush().await;
    assert_eq!(runs.find(old.id).await, Ok(None));
}
