//! A file that takes no writes, and one that is gone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use headgate::simulator::Step;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::{ENV, House, at_rest, stream_to_its_end, until_down, write_config};
use crate::process::{Serving, run, text};
use crate::support::{PATIENCE, mock, streamed, told_when, until};

/// While the trouble lasts new calls are refused and reach nobody, and what is open goes on; then the gateway serves
/// again by itself, and its books are right. `reads` tells whether usage can be read meanwhile.
async fn refuses_while_it_lasts<T>(
    begin: impl FnOnce(&Serving, &Path) -> T,
    end: impl FnOnce(&Serving, T),
    reads: bool,
) {
    let (folder, mock) = (TempDir::new().unwrap(), mock().await);
    write_config(folder.path(), &mock, "sqlite:headgate.db");
    let serving = Serving::start_limitable(folder.path(), ENV).await;
    let house = House::of(&serving);
    mock.script("first", vec![Step { words: Some(20), gap_ms: 50, ..Step::default() }, Step::text("hello")]);
    let mut stream = house.post("stream", &streamed("single")).await;
    assert!(stream.chunk().await.unwrap().is_some());
    assert_eq!(house.ask("before").await.0, 200);

    let trouble = begin(&serving, folder.path());
    for _ in 0..5 {
        assert_eq!(house.ask("during").await.0, 503);
    }
    until_down(&house, &serving).await;
    assert!(stream_to_its_end(stream).await.ends_with("data: [DONE]\n\n"));
    until("the stream is over", || mock.counts().open_calls == 0).await;
    assert_eq!(mock.counts().calls, 2);
    let usage = run(folder.path(), &["usage", "--json"]);
    assert_eq!(usage.status.success(), reads, "{}", text(&usage.stderr));

    end(&serving, trouble);
    told_when("served again", PATIENCE, async || house.ask("after").await.0, |status| *status == 200).await;
    house.until_ready(200).await;
    let settled = at_rest(folder.path()).await;
    let (stdout, stderr, _) = serving.stop();
    let costs = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["cost_nano"].as_u64());
    assert_eq!(costs.sum::<u64>(), settled);
    let file = Connection::open(folder.path().join("headgate.db")).unwrap();
    assert_eq!(file.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    let about = |what: &str| stderr.lines().filter(|line| line.contains(what)).count();
    assert_eq!((about("takes no writes"), about("takes writes again")), (1, 1), "{stderr}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_new_calls_until_there_is_room() {
    let begin = |serving: &Serving, _: &Path| serving.limit_files(Some(4_096));
    refuses_while_it_lasts(begin, |serving, ()| serving.limit_files(None), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_of_another_program_refuses_new_calls_until_it_lets_go() {
    let begin = |_: &Serving, folder: &Path| {
        let other = Connection::open(folder.join("headgate.db")).unwrap();
        // The gateway may be writing at this very moment.
        other.busy_timeout(Duration::from_secs(20)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        other
    };
    refuses_while_it_lasts(begin, |_, other| other.execute_batch("ROLLBACK").unwrap(), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_moved_away_refuses_new_calls_until_it_is_back() {
    let begin = |_: &Serving, folder: &Path| {
        let paths = (folder.join("headgate.db"), folder.join("moved.db"));
        fs::rename(&paths.0, &paths.1).unwrap();
        paths
    };
    refuses_while_it_lasts(begin, |_, (from, to)| fs::rename(to, from).unwrap(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_whose_file_is_gone_or_damaged_does_not_start_and_says_what_to_do() {
    let (folder, mock) = (TempDir::new().unwrap(), mock().await);
    write_config(folder.path(), &mock, "sqlite:headgate.db");
    Serving::start(folder.path(), ENV).await.stop();
    let path = folder.path().join("headgate.db");
    let whole = fs::read(&path).unwrap();
    let start = || crate::process::headgate(folder.path(), &["serve"], ENV).output().unwrap();

    let mut damaged = whole.clone();
    damaged[4_096..].fill(0x5a);
    fs::write(&path, damaged).unwrap();
    let refused = start();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("restore the file from a backup"), "{}", text(&refused.stderr));

    fs::remove_file(&path).unwrap();
    let refused = start();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("put it back"), "{}", text(&refused.stderr));
    assert!(!path.exists(), "it was made anew");

    fs::write(&path, whole).unwrap();
    Serving::start(folder.path(), ENV).await.stop();
}
