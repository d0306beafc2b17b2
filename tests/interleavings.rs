//! The parts that threads share, in the orders in which threads can meet there: the real files, compiled with locks that
//! [shuttle](https://docs.rs/shuttle) schedules. `ITERATIONS=100000` looks longer; a failure prints what repeats it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[allow(dead_code, unreachable_pub, reason = "the gateway uses all of it")]
#[path = "../src/pipeline/live.rs"]
mod live;
/// As in `src/targets.rs`.
#[allow(dead_code, unreachable_pub, unused_imports, reason = "the gateway uses all of it")]
#[path = "../src/targets"]
mod targets {
    mod board;
    mod budget;
    mod health;
    mod keys;
    mod permit;
    mod redis;
    mod view;

    pub use budget::RetryRule;
    pub use health::{BreakerRule, BreakerState};
    pub use permit::Permit;
    pub use view::Targets;
}

/// What those files know of the rest of the gateway.
mod domain {
    pub use headgate::domain::*;
}
mod store {
    pub use headgate::store::*;
}

/// In the place of `src/sync.rs`.
mod sync {
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};

    pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

use std::time::{Duration, Instant};

use bytes::Bytes;
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::thread;
use tokio_util::sync::CancellationToken;

use domain::ids::{KeyId, RunId};
use domain::kept::KeptState;
use live::{LiveRuns, Piece};
use targets::{BreakerRule, RetryRule, Targets};

/// Three in a row, and half open at once.
const RULE: BreakerRule = BreakerRule { errors: 3, open: Duration::ZERO };

fn explore(check: impl Fn() + Send + Sync + 'static) {
    let iterations = std::env::var("ITERATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    shuttle::check_random(check, iterations);
}

/// Runs `part` on three threads and waits for all of them.
fn on_three_threads(part: impl Fn(u32) + Send + Sync + 'static) {
    let part = Arc::new(part);
    let threads: Vec<_> = (0..3)
        .map(|number| {
            let part = Arc::clone(&part);
            thread::spawn(move || part(number))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Counts who is inside, and fails for a second one.
fn alone(inside: &AtomicU32) {
    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at once");
    thread::yield_now();
    inside.fetch_sub(1, Ordering::SeqCst);
}

#[test]
fn a_half_open_breaker_never_lets_two_probes_through_and_their_place_never_stays_taken() {
    explore(|| {
        let (targets, now) = (Targets::default(), Instant::now());
        for _ in 0..RULE.errors {
            targets.permit("t", &[], now).unwrap().failed(RULE, now);
        }
        let (probing, inside) = (targets.clone(), AtomicU32::new(0));
        on_three_threads(move |number| {
            let Ok(permit) = probing.permit("t", &[], now) else { return };
            alone(&inside);
            match number {
                0 => permit.failed(RULE, now),
                _ => drop(permit),
            }
        });
        assert!(targets.permit("t", &[], now).is_ok(), "nobody probes any more");
    });
}

#[test]
fn a_resting_key_is_tried_by_one_call_at_a_time_whatever_the_target() {
    explore(|| {
        let (targets, now) = (Targets::default(), Instant::now());
        let key = KeyId::from_sha256([1; 32]);
        targets.rest_key(key, now + Duration::from_secs(60));
        let (trying, inside) = (targets.clone(), AtomicU32::new(0));
        on_three_threads(move |number| {
            let Some(permit) = trying.last_resort(&number.to_string(), &[key], now) else { return };
            alone(&inside);
            drop(permit);
        });
        assert!(targets.last_resort("t", &[key], now).is_some(), "nobody tries any more");
    });
}

#[test]
fn no_failure_is_lost_when_threads_fail_at_the_same_time() {
    explore(|| {
        let (targets, now) = (Targets::default(), Instant::now());
        let rule = BreakerRule { open: Duration::from_secs(60), ..RULE };
        let failing = targets.clone();
        on_three_threads(move |_| failing.permit("t", &[], now).expect("not three yet").failed(rule, now));
        assert!(targets.permit("t", &[], now).is_err(), "three in a row");
    });
}

#[test]
fn threads_share_one_retry_budget() {
    explore(|| {
        let (targets, now) = (Targets::default(), Instant::now());
        let rule = RetryRule { percent: 20, per_second: 10 };
        let made = Arc::new(AtomicU32::new(0));
        let (retrying, count) = (targets, Arc::clone(&made));
        on_three_threads(move |_| {
            for _ in 0..5 {
                if retrying.may_call_again(rule, now) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 10);
    });
}

#[test]
fn who_follows_a_live_run_sees_every_piece_once_in_order_and_the_end() {
    explore(|| {
        let (runs, run) = (Arc::new(LiveRuns::default()), RunId::mint());
        let live = runs.start(run, CancellationToken::new(), None);
        let texts = ["a", "b", "c"];
        on_three_threads(move |number| {
            if number == 0 {
                for text in texts {
                    live.say([Piece::Frame(Bytes::from_static(text.as_bytes()))]);
                }
                live.end(KeptState::Whole);
                runs.remove(run);
                return;
            }
            // Whoever comes after the end reads the journal.
            let Some(live) = runs.find(run) else { return };
            let (mut changes, mut seen) = (live.changes(), Vec::new());
            loop {
                let news = live.since(seen.len());
                seen.extend(news.pieces.into_iter().map(|piece| match piece {
                    Piece::Frame(text) | Piece::Aside(text) => text,
                }));
                if news.end == Some(KeptState::Whole) {
                    break;
                }
                shuttle::future::block_on(changes.changed()).expect("the run is alive");
            }
            assert_eq!(seen, texts);
        });
    });
}
