//! What only the book can show: two clocks that disagree, and what it tells the file. The rules themselves are tested
//! on both stores in `tests/it/ledger/`.

use crate::domain::caller::Caller;
use crate::domain::limit::{DAY_MS, Limit, Quota, Scope, Unit};
use crate::domain::money::NanoUsd;

use super::super::Subjects;

use super::*;

const NOON_MS: u64 = DAY_MS / 2;

fn at(ms: u64) -> Now {
    Now { unix_ms: NOON_MS + ms, steady_ms: NOON_MS + ms }
}

fn ask(run: RunId, amount: u64, limits: &[Limit]) -> Reserve {
    let caller = Caller { key: "web".into(), team: "".into(), user: "ann".into(), alone: false };
    Reserve { run, subjects: Subjects::of(caller), amount: NanoUsd::new(amount).into(), limits: limits.into() }
}

fn hold(book: &mut Book, amount: u64, limits: &[Limit], now: Now) -> RunId {
    let run = RunId::mint();
    let answer = book.reserve(&ask(run, amount, limits), now);
    assert!(matches!(answer, Ok(Reserved::Held { .. })), "{answer:?}");
    run
}

fn one_per_minute() -> [Limit; 1] {
    [Limit::new(Scope::User, Quota { unit: Unit::Requests, max: 1, window: Window::Sliding { ms: 60_000 } })]
}

#[test]
fn setting_the_wall_clock_forward_neither_frees_a_window_nor_expires_a_hold() {
    let mut book = Book::default();
    hold(&mut book, 1, &one_per_minute(), at(0));
    let jumped = Now { unix_ms: NOON_MS + 3_600_000, steady_ms: NOON_MS + 5_000 };
    assert_eq!(book.expire(jumped), []);
    let answer = book.reserve(&ask(RunId::mint(), 1, &one_per_minute()), jumped);
    let Ok(Reserved::Refused { view, retry_after_ms }) = answer else { panic!("{answer:?}") };
    assert_eq!((retry_after_ms, view.resets_at_ms), (55_001, jumped.unix_ms + 55_001));
}

#[test]
fn setting_the_wall_clock_back_keeps_no_window_shut_longer() {
    let mut book = Book::default();
    hold(&mut book, 1, &one_per_minute(), at(0));
    hold(&mut book, 1, &one_per_minute(), Now { unix_ms: NOON_MS - 3_600_000, steady_ms: NOON_MS + 60_001 });
}

#[test]
fn sweeps_that_are_always_too_rare_still_end_what_is_dead() {
    let mut book = Book::default();
    book.expire(at(0));
    hold(&mut book, 1, &[], at(0));
    let ended: usize = (1..5).map(|sweep| book.expire(at(sweep * 100_000)).len()).sum();
    assert_eq!(ended, 1);
}

#[test]
fn the_file_is_told_of_every_change_once_and_of_reads_never() {
    let mut book = Book::default();
    let limits = one_per_minute();
    let run = hold(&mut book, 5, &limits, at(0));
    book.extend(run, NanoUsd::new(1).into(), at(1)).expect("extends");
    let changes = book.take_changes();
    assert_eq!((changes.runs.len(), changes.entries.len(), changes.sums.len()), (1, 1, 0));

    book.reserve(&ask(RunId::mint(), 1, &limits), at(2)).expect("refuses");
    book.renew(&[run], at(3));
    let changes = book.take_changes();
    assert!(changes.runs.is_empty() && changes.entries.is_empty() && changes.sums.is_empty(), "{changes:?}");

    book.settle(run, &NanoUsd::new(2).into(), at(4));
    let changes = book.take_changes();
    assert_eq!((changes.runs.len(), changes.sums.len(), book.run(&run)), (1, 2, None));
}

#[test]
fn what_no_rule_asks_for_any_more_is_forgotten() {
    let mut book = Book::default();
    let spent = hold(&mut book, 5, &one_per_minute(), at(0));
    book.settle(spent, &NanoUsd::new(5).into(), at(0));
    book.void(RunId::mint(), at(0));
    hold(&mut book, 5, &[], at(0));
    book.expire(at(HOLD_TTL_MS));
    book.purge(at(0));
    assert_eq!((book.sums.len(), book.logs.len(), book.runs.len()), (2, 1, 2));
    book.purge(at(KEPT_MS + DAY_MS));
    assert_eq!((book.sums.len(), book.logs.len(), book.runs.len()), (0, 0, 0));
}
