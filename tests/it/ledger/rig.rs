//! A ledger on either store, with a clock that the test steps.

#![allow(clippy::panic, reason = "a helper that finds another answer than its test needs must fail that test")]

use std::sync::Arc;

use headgate::domain::caller::Caller;
use headgate::domain::ids::RunId;
use headgate::domain::limit::{Limit, LimitView, Quota, Scope, Unit, Window};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Amount, Expired, Ledger, Reserve, Reserved, Subjects, UsageReport, Used};
use headgate::store::{Clock, SteppedClock, Store, StoreError, StoreSpec};
use tempfile::TempDir;

pub use crate::support::redis::RedisServer;

/// 2026-11-24 12:00:00 UTC.
pub const NOON_MS: u64 = 1_795_521_600_000;
pub const HOUR_MS: u64 = 3_600_000;

/// Runs one async test against a ledger on SQLite and against one on Redis.
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::ledger::rig::Rig::sqlite()).await;
            })+
        }
        mod on_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::ledger::rig::Rig::redis()).await;
            })+
        }
    };
}
pub(crate) use on_both_stores;

pub struct Rig {
    pub ledger: Ledger,
    pub store: Store,
    pub clock: Arc<SteppedClock>,
    pub spec: StoreSpec,
    pub redis: Option<RedisServer>,
    pub dir: TempDir,
}

impl Rig {
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("headgate.db");
        Self::open(StoreSpec::Sqlite { path, full_sync: false }, None, dir)
    }

    pub fn redis() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let server = RedisServer::start(dir.path());
        Self::open(StoreSpec::Redis { url: server.url(), relaxed: false }, Some(server), dir)
    }

    fn open(spec: StoreSpec, redis: Option<RedisServer>, dir: TempDir) -> Self {
        let clock = SteppedClock::at(NOON_MS);
        let store = Store::open_with_clock(spec.clone(), Clock::Stepped(Arc::clone(&clock))).expect("the store opens");
        Rig { ledger: Ledger::new(&store), store, clock, spec, redis, dir }
    }

    /// Another gateway process on the same Redis, or the same process again on SQLite.
    pub fn second_ledger(&self) -> Ledger {
        match &self.spec {
            StoreSpec::Sqlite { .. } => Ledger::new(&self.store),
            StoreSpec::Redis { .. } => {
                let clock = Clock::Stepped(Arc::clone(&self.clock));
                Ledger::new(&Store::open_with_clock(self.spec.clone(), clock).expect("opens again"))
            }
        }
    }

    /// The same store after every handle to it was dropped, without any orderly end.
    pub fn reopened(self) -> Self {
        let Rig { ledger, store, clock, spec, redis, dir } = self;
        drop((ledger, store));
        let store = Store::open_with_clock(spec.clone(), Clock::Stepped(Arc::clone(&clock))).expect("reopens");
        Rig { ledger: Ledger::new(&store), store, clock, spec, redis, dir }
    }

    pub async fn reserve(&self, run: RunId, amount: u64, limits: &[Limit]) -> Result<Reserved, StoreError> {
        reserve(&self.ledger, run, ann(), amount, limits).await
    }

    /// Takes a hold that must fit.
    pub async fn hold(&self, amount: u64, limits: &[Limit]) -> RunId {
        let run = RunId::mint();
        let answer = self.reserve(run, amount, limits).await;
        assert!(matches!(answer, Ok(Reserved::Held { .. })), "{answer:?}");
        run
    }

    /// Lets time pass as in a living process: with a sweep every few seconds.
    pub async fn pass(&self, ms: u64) -> Vec<Expired> {
        let (mut left, mut expired) = (ms, Vec::new());
        while left > 0 {
            let step = left.min(10_000);
            self.clock.advance(step);
            expired.extend(self.ledger.expire().await.expect("sweeps"));
            left -= step;
        }
        expired
    }

    pub async fn usage(&self) -> UsageReport {
        self.ledger.usage().await.expect("reads usage")
    }

    /// Takes a hold that must fit, of a run that counts for more than its caller.
    pub async fn hold_for(&self, subjects: Subjects, amount: Amount, limits: &[Limit]) -> RunId {
        let run = RunId::mint();
        let answer = self.ask(run, subjects, amount, limits).await;
        assert!(matches!(answer, Ok(Reserved::Held { .. })), "{answer:?}");
        run
    }

    pub async fn ask(
        &self,
        run: RunId,
        subjects: Subjects,
        amount: Amount,
        limits: &[Limit],
    ) -> Result<Reserved, StoreError> {
        self.ledger.reserve(Reserve { run, subjects, amount, limits: limits.into() }).await
    }

    /// Settled and held nano-dollars of today.
    pub async fn usd(&self, scope: Scope, id: &str) -> (u64, u64) {
        usd(&self.usage().await, scope, id)
    }
}

pub fn usd(report: &UsageReport, scope: Scope, id: &str) -> (u64, u64) {
    match used(report, scope, id, Unit::Usd, &Window::DAY) {
        Some(Used::Parted { settled, held }) => (settled, held),
        other => {
            assert_eq!(other, None, "dollars of a day are told apart");
            (0, 0)
        }
    }
}

/// What one counter stands at.
pub fn used(report: &UsageReport, scope: Scope, id: &str, unit: Unit, window: &Window) -> Option<Used> {
    let mut all = report.counters.iter();
    all.find(|c| c.scope == scope && c.id == id && c.unit == unit && c.window == *window).map(|c| c.used)
}

pub async fn reserve(
    ledger: &Ledger,
    run: RunId,
    caller: Caller,
    amount: u64,
    limits: &[Limit],
) -> Result<Reserved, StoreError> {
    let (subjects, amount) = (Subjects::of(caller), NanoUsd::new(amount).into());
    ledger.reserve(Reserve { run, subjects, amount, limits: limits.into() }).await
}

pub fn ann() -> Caller {
    Caller { key: "web".into(), team: "core".into(), user: "ann@example.org".into(), alone: false }
}

pub fn usd_per_day(scope: Scope, max_nano: u64) -> Limit {
    limit(scope, Unit::Usd, max_nano, "day")
}

pub fn requests(scope: Scope, max: u64, window_ms: u64) -> Limit {
    Limit::new(scope, Quota { unit: Unit::Requests, max, window: Window::Sliding { ms: window_ms } })
}

/// `window` as it is written: `month@Europe/Berlin`, `1m`, `open`.
pub fn limit(scope: Scope, unit: Unit, max: u64, window: &str) -> Limit {
    Limit::new(scope, Quota { unit, max, window: window.parse().expect("a window") })
}

/// The view and the wait of an answer that must be a refusal.
pub fn refused(answer: Result<Reserved, StoreError>) -> (LimitView, u64) {
    match answer {
        Ok(Reserved::Refused { view, retry_after_ms }) => (view, retry_after_ms),
        other => panic!("not refused: {other:?}"),
    }
}

/// The views of an answer that must be a hold.
pub fn held(answer: Result<Reserved, StoreError>) -> Vec<LimitView> {
    match answer {
        Ok(Reserved::Held { limits }) => limits,
        other => panic!("not held: {other:?}"),
    }
}
