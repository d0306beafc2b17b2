//! The scripts against their model: any sequence of operations gets the same answers from both stores.

use std::collections::HashSet;

use headgate::domain::caller::Caller;
use headgate::domain::ids::RunId;
use headgate::domain::limit::{Limit, Scope};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Expired, Ledger, Reserved, Settled, UsageReport};
use headgate::store::{Clock, SteppedClock, Store, StoreError, StoreSpec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::rig::{HOUR_MS, NOON_MS, RedisServer, requests, reserve, usd, usd_per_day};

const RUNS: usize = 6;

/// Two minutes before midnight. A sequence ends within the hour for which a void is remembered: on Redis the server's
/// own clock forgets it, and that one can't be stepped.
const START_MS: u64 = NOON_MS + 12 * HOUR_MS - 120_000;

#[derive(Clone, Debug)]
enum Op {
    Reserve { run: usize, user: usize, team: bool, amount: u64, limits: Vec<Limit> },
    Extend { run: usize, more: u64 },
    Settle { run: usize, price: u64 },
    Void { run: usize },
    Renew { runs: Vec<usize> },
    Pass { ms: u64 },
    Sweep,
}

#[derive(Debug, PartialEq)]
enum Answer {
    Reserved(Result<Reserved, StoreError>),
    Settled(Result<Settled, StoreError>),
    Done(Result<(), StoreError>),
    Expired(Vec<Expired>),
    Passed,
}

fn limit() -> impl Strategy<Value = Limit> {
    let scope = prop_oneof![Just(Scope::User), Just(Scope::Key), Just(Scope::Team), Just(Scope::Global)];
    (scope, any::<bool>(), 0u64..60, 0u64..4, prop_oneof![Just(1_000u64), Just(20_000)]).prop_map(
        |(scope, money, max_nano, max, window_ms)| {
            if money { usd_per_day(scope, max_nano) } else { requests(scope, max, window_ms) }
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let run = 0..RUNS;
    prop_oneof![
        6 => (run.clone(), 0..2usize, any::<bool>(), 0u64..40, prop::collection::vec(limit(), 0..5)).prop_map(
            |(run, user, team, amount, limits)| Op::Reserve { run, user, team, amount, limits }
        ),
        2 => (run.clone(), 0u64..20).prop_map(|(run, more)| Op::Extend { run, more }),
        3 => (run.clone(), 0u64..60).prop_map(|(run, price)| Op::Settle { run, price }),
        2 => run.clone().prop_map(|run| Op::Void { run }),
        1 => prop::collection::vec(run, 0..RUNS).prop_map(|runs| Op::Renew { runs }),
        3 => prop_oneof![1u64..3, 400u64..1_200, 9_000u64..25_000, 60_000u64..80_000]
            .prop_map(|ms| Op::Pass { ms }),
        2 => Just(Op::Sweep),
    ]
}

/// Does one operation and tells what the store answered.
async fn act(ledger: &Ledger, clock: Option<&SteppedClock>, runs: &[RunId], op: &Op) -> Answer {
    match op {
        Op::Reserve { run, user, team, amount, limits } => {
            let team = if *team { "core" } else { "" };
            let caller =
                Caller { key: "k".into(), team: team.into(), user: ["ann", "b:o b%"][*user].into(), alone: false };
            Answer::Reserved(reserve(ledger, runs[*run], caller, *amount, limits).await)
        }
        Op::Extend { run, more } => Answer::Reserved(ledger.extend(runs[*run], NanoUsd::new(*more)).await),
        Op::Settle { run, price } => Answer::Settled(ledger.settle(runs[*run], NanoUsd::new(*price)).await),
        Op::Void { run } => Answer::Done(ledger.void(runs[*run]).await),
        Op::Renew { runs: some } => {
            let some: Vec<RunId> = some.iter().map(|run| runs[*run]).collect();
            Answer::Done(ledger.renew(&some).await)
        }
        Op::Pass { ms } => {
            if let Some(clock) = clock {
                clock.advance(*ms);
            }
            Answer::Passed
        }
        Op::Sweep => {
            let mut expired = ledger.expire().await.expect("sweeps");
            expired.sort_by_key(|e| e.run);
            Answer::Expired(expired)
        }
    }
}

/// Which runs have an open hold, as the answers tell.
#[derive(Default)]
struct Open(HashSet<usize>);

impl Open {
    /// B1 for every limit under which a hold was just taken; a repeated ask takes nothing and proves nothing.
    fn note(&mut self, op: &Op, answer: &Answer, runs: &[RunId]) {
        match (op, answer) {
            (Op::Reserve { run, .. }, Answer::Reserved(Ok(Reserved::Held { limits }))) if self.0.insert(*run) => {
                assert!(limits.iter().all(|view| view.after <= view.max()), "{limits:?}");
            }
            (Op::Settle { run, .. } | Op::Void { run }, _) => {
                self.0.remove(run);
            }
            (_, Answer::Expired(expired)) => self.0.retain(|run| expired.iter().all(|e| e.run != runs[*run])),
            _ => {}
        }
    }
}

/// B7 as far as it shows from outside: what users were charged, and waste, is what global was charged.
fn check_sums(report: &UsageReport) {
    let users: u64 = ["ann", "b:o b%"].map(|user| usd(report, Scope::User, user).0).iter().sum();
    assert_eq!(usd(report, Scope::Global, "").0, users + report.platform_waste.get(), "{report:?}");
}

#[test]
fn any_sequence_of_operations_gets_the_same_answers_from_both_stores() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let server = RedisServer::start(dir.path());
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let sequences = prop::collection::vec(op(), 1..40);
    let checked = runner.run(&sequences, |ops| {
        server.command(&["FLUSHALL"]);
        let clock = SteppedClock::at(START_MS);
        let case = tempfile::tempdir().expect("a directory");
        let sqlite = StoreSpec::Sqlite { path: case.path().join("t.db"), full_sync: false };
        let redis = StoreSpec::Redis { url: server.url(), relaxed: false };
        let open = |spec| Store::open_with_clock(spec, Clock::Stepped(clock.clone())).expect("opens");
        let (model, scripts) = (Ledger::new(&open(sqlite)), Ledger::new(&open(redis)));
        let mut open_runs = Open::default();
        // Ids are minted once: who has settled a run never asks for it again, and the stores need not agree on it.
        let mut settled = HashSet::new();
        let runs: Vec<RunId> = (0..RUNS).map(|_| RunId::mint()).collect();
        runtime.block_on(async {
            for (step, op) in ops.iter().enumerate() {
                if matches!(op, Op::Reserve { run, .. } if settled.contains(run)) {
                    continue;
                }
                let expected = act(&model, Some(&clock), &runs, op).await;
                if let (Op::Settle { run, .. }, Answer::Settled(Ok(Settled::Booked | Settled::Corrected))) =
                    (op, &expected)
                {
                    settled.insert(*run);
                }
                prop_assert_eq!(&act(&scripts, None, &runs, op).await, &expected, "step {}: {:?}", step, op);
                open_runs.note(op, &expected, &runs);
                if !matches!(op, Op::Sweep) && step + 1 < ops.len() {
                    continue;
                }
                let report = model.usage().await.expect("reads");
                prop_assert_eq!(&scripts.usage().await.expect("reads"), &report, "after step {}: {:?}", step, op);
                check_sums(&report);
            }
            Ok(())
        })
    });
    if let Err(difference) = checked {
        panic!("{difference}");
    }
}
