//! The ledger under fire: processes that take and end holds by the dice, one of them killed every two seconds and
//! started anew, and a judge who has all their logs. `OPERATIONS=1000000` is the number, `SEED` repeats the
//! dice of a run; the suite plays a part.
//!
//! The judge believes nobody: from what was asked and answered when, it knows for each counter what was certainly and
//! what was possibly taken at any moment, and holds every reading, every refusal and the final sums against that.

#![allow(clippy::print_stdout, reason = "its figures are for whoever runs it by hand")]

mod bounds;
mod fire;
mod history;
mod log;
mod scene;
mod teller;
mod verdict;

use std::path::PathBuf;
use std::time::Instant;

use headgate::domain::ids::RunId;
use headgate::ledger::Ledger;
use headgate::store::{Store, StoreSpec};
use tempfile::TempDir;

use super::rig::RedisServer;
use fire::Driver;
use scene::{Dice, now_ns};
use teller::{Leftover, Orders, Teller};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_that_are_killed_again_and_again_spend_no_limit_twice_on_redis() {
    let folder = TempDir::new().expect("a folder");
    let redis = RedisServer::start(folder.path());
    drive(&folder, StoreSpec::Redis { url: redis.url(), relaxed: false }, 3, 12_000).await;
}

/// One process serves a file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_again_and_again_spends_no_limit_twice_on_sqlite() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("headgate.db");
    drive(&folder, StoreSpec::Sqlite { path, full_sync: false }, 1, 12_000).await;
}

/// One of the processes. The driver starts this test by its name, in a process of its own.
#[test]
#[ignore = "the tests above start it"]
fn a_teller_of_the_driver() {
    let Some(text) = std::env::var("TELLER").ok().filter(|text| !text.is_empty()) else { return };
    let mut lines = text.lines();
    let mut line = || lines.next().expect("the driver writes all of them").to_owned();
    let (store, log, name, day) = (line(), PathBuf::from(line()), line(), line());
    let (seed, operations) = (line().parse().expect("a number"), line().parse().expect("a number"));
    let leftovers = lines.map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |place: usize| words[place].parse().expect("a number");
        let bill = (words.len() > 1).then(|| scene::amount(number(1), number(2)));
        Leftover { run: RunId::parse(words[0]).expect("an id"), bill }
    });
    let orders = Orders { name, day, seed, operations, log, leftovers: leftovers.collect() };
    let ledger = Ledger::new(&Store::open(spec(&store)).expect("the store opens"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(Teller::new(ledger, &orders).play(orders));
}

fn spec(store: &str) -> StoreSpec {
    match store.strip_prefix("sqlite:") {
        Some(path) => StoreSpec::Sqlite { path: path.into(), full_sync: false },
        None => StoreSpec::Redis { url: store.to_owned(), relaxed: false },
    }
}

async fn drive(folder: &TempDir, store: StoreSpec, processes: usize, operations: u64) {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = from_env("SEED").unwrap_or_else(now_ns);
    let operations = from_env("OPERATIONS").unwrap_or(operations);
    println!("seed {seed}, {operations} operations, {processes} processes");
    let mut driver = Driver::new(folder.path(), store, processes, operations, Dice(seed));
    let began = Instant::now();
    driver.fire().await;
    let took = began.elapsed();
    let verdict = driver.judge().await;
    println!(
        "  {} operations in {:.0} s, kill -9 {} times, {} samples, {} above a limit\n{verdict}",
        driver.history.operations,
        took.as_secs_f64(),
        driver.kills,
        driver.samples,
        driver.above_a_limit,
    );
    let wrong = (verdict.overspent, verdict.leaked_holds, verdict.false_refusals, verdict.wrong_ends);
    assert_eq!((wrong, verdict.wrong_sums, driver.above_a_limit), ((0, 0, 0, 0), 0, 0), "SEED={seed}:\n{verdict}");
    assert!(verdict.proven > 0, "it was not hard enough: {verdict}");
}
