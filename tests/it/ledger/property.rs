//! The scripts against their model: any sequence of operations gets the same answers from both stores.

use std::collections::HashSet;

use headgate::domain::caller::Caller;
use headgate::domain::ids::RunId;
use headgate::domain::limit::{Limit, Scope, Unit};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Amount, Bill, Expired, Ledger, Reserve, Reserved, Settled, Subjects, UsageReport};
use headgate::store::{Clock, SteppedClock, Store, StoreError, StoreSpec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::rig::{HOUR_MS, NOON_MS, RedisServer, limit as limit_of, usd};

const RUNS: usize = 6;

/// Two minutes before midnight. A sequence ends within the hour for which a void is remembered: on Redis the server's
/// own clock forgets it, and that one can't be stepped.
const START_MS: u64 = NOON_MS + 12 * HOUR_MS - 120_000;

const TARGETS: [&str; 3] = ["one/large", "one/small", "two/small"];

#[derive(Clone, Debug)]
enum Op {
    Reserve {
        run: usize,
        who: Who,
        amount: Amount,
        limits: Vec<Limit>,
    },
    Extend {
        run: usize,
        more: Amount,
    },
    /// By target, of those above.
    Settle {
        run: usize,
        parts: Vec<(usize, Amount)>,
    },
    Void {
        run: usize,
    },
    Renew {
        runs: Vec<usize>,
    },
    Pass {
        ms: u64,
    },
    Sweep,
    /// Every handle is dropped, as when the process dies, and the file opened anew.
    Crash,
}

#[derive(Clone, Debug)]
struct Who {
    user: usize,
    team: bool,
    tier: bool,
    /// The first of the targets that it may call.
    targets: usize,
    feature: bool,
}

impl Who {
    fn subjects(&self) -> Subjects {
        let team = if self.team { "core" } else { "" };
        let tier = if self.tier { "standard" } else { "" };
        let user = ["ann", "b:o b%"][self.user];
        Subjects {
            caller: Caller { key: "k".into(), team: team.into(), user: user.into(), alone: false },
            tier: tier.into(),
            targets: TARGETS[..self.targets].iter().map(|target| (*target).into()).collect(),
            fingerprint: Some("0f".to_owned()),
            metadata: self.feature.then(|| ("feature".to_owned(), "a|b".to_owned())).into_iter().collect(),
        }
    }
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
    let scopes = ["user", "key", "team", "tier", "model", "provider", "global", "metadata.feature"];
    let scope = prop::sample::select(scopes.to_vec()).prop_map(|scope| scope.parse().expect("a scope"));
    let windows = ["hour", "day", "month", "day@Asia/Kolkata", "1s", "20s", "2m", "open"];
    (scope, prop::sample::select(windows.to_vec()), 0..5usize, 0u64..60, 0u64..4).prop_map(
        |(scope, window, unit, much, few): (Scope, _, _, _, _)| match (window, unit) {
            ("open", _) => limit_of(scope, Unit::Concurrent, few, window),
            (_, 0) => limit_of(scope, Unit::Usd, much, window),
            (_, 1) => limit_of(scope, Unit::Tokens, much, window),
            (_, 2) => limit_of(scope, Unit::SpendRate, much, window),
            (_, 3) => limit_of(scope, Unit::Identical, few, "20s"),
            _ => limit_of(scope, Unit::Requests, few, window),
        },
    )
}

fn amount(most: u64) -> impl Strategy<Value = Amount> {
    (0..most, 0..most).prop_map(|(nano, tokens)| Amount { usd: NanoUsd::new(nano), tokens })
}

fn who() -> impl Strategy<Value = Who> {
    (0..2usize, any::<bool>(), any::<bool>(), 0..=TARGETS.len(), any::<bool>())
        .prop_map(|(user, team, tier, targets, feature)| Who { user, team, tier, targets, feature })
}

fn op() -> impl Strategy<Value = Op> {
    let run = 0..RUNS;
    prop_oneof![
        6 => (run.clone(), who(), amount(40), prop::collection::vec(limit(), 0..6)).prop_map(
            |(run, who, amount, limits)| Op::Reserve { run, who, amount, limits }
        ),
        2 => (run.clone(), amount(20)).prop_map(|(run, more)| Op::Extend { run, more }),
        3 => (run.clone(), prop::collection::vec((0..TARGETS.len(), amount(30)), 0..3))
            .prop_map(|(run, parts)| Op::Settle { run, parts }),
        2 => run.clone().prop_map(|run| Op::Void { run }),
        1 => prop::collection::vec(run, 0..RUNS).prop_map(|runs| Op::Renew { runs }),
        3 => prop_oneof![1u64..3, 400u64..1_200, 9_000u64..25_000, 60_000u64..130_000]
            .prop_map(|ms| Op::Pass { ms }),
        2 => Just(Op::Sweep),
        1 => Just(Op::Crash),
    ]
}

/// One bill of these parts; a target that stands twice in it is billed once, for both.
fn bill(parts: &[(usize, Amount)]) -> Bill {
    let mut bill = Bill::default();
    for (target, part) in parts {
        bill.total = bill.total.plus(*part);
        match bill.targets.iter_mut().find(|(name, _)| name == TARGETS[*target]) {
            Some((_, sum)) => *sum = sum.plus(*part),
            None => bill.targets.push((TARGETS[*target].to_owned(), *part)),
        }
    }
    bill
}

/// Does one operation and tells what the store answered.
async fn act(ledger: &Ledger, clock: Option<&SteppedClock>, runs: &[RunId], op: &Op) -> Answer {
    match op {
        Op::Reserve { run, who, amount, limits } => {
            let (run, limits) = (runs[*run], limits.as_slice().into());
            let ask = Reserve { run, subjects: who.subjects(), amount: *amount, limits };
            Answer::Reserved(ledger.reserve(ask).await)
        }
        Op::Extend { run, more } => Answer::Reserved(ledger.extend(runs[*run], *more).await),
        Op::Settle { run, parts } => Answer::Settled(ledger.settle(runs[*run], bill(parts)).await),
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
        Op::Crash => Answer::Passed,
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
        let sqlite = || StoreSpec::Sqlite { path: case.path().join("t.db"), full_sync: false };
        let redis = StoreSpec::Redis { url: server.url(), relaxed: false };
        let open = |spec| Store::open_with_clock(spec, Clock::Stepped(clock.clone())).expect("opens");
        let (mut model, scripts) = (Ledger::new(&open(sqlite())), Ledger::new(&open(redis)));
        let mut open_runs = Open::default();
        // Ids are minted once: who has settled a run never asks for it again, and the stores need not agree on it.
        let mut settled = HashSet::new();
        let runs: Vec<RunId> = (0..RUNS).map(|_| RunId::mint()).collect();
        runtime.block_on(async {
            for (step, op) in ops.iter().enumerate() {
                if matches!(op, Op::Reserve { run, .. } if settled.contains(run)) {
                    continue;
                }
                if matches!(op, Op::Crash) {
                    drop(model);
                    model = Ledger::new(&open(sqlite()));
                    // The file is read on another thread: it must be, before the clock goes on.
                    model.check().await.expect("works");
                    // On a file everything starts anew with its process: the term of every hold, and when the last
                    // sweep was. On Redis both live on.
                    server.command(&["DEL", "hg:sweeps"]);
                    let open: Vec<RunId> = open_runs.0.iter().map(|run| runs[*run]).collect();
                    scripts.renew(&open).await.expect("renews");
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
