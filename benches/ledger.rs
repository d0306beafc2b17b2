//! What an admission and a settlement cost: by the number of limits that bind, and by the number of users known.
//!
//! `cargo bench --bench ledger [redis://…]`, with `USERS=1000000` for the largest step. Compare within one run only.

#![allow(clippy::print_stdout, reason = "a table is what this program is for")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use headgate::domain::caller::Caller;
use headgate::domain::ids::RunId;
use headgate::domain::limit::{Limit, Quota, Scope, Unit, Window};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Amount, Ledger, Reserve, Reserved, Subjects};
use headgate::store::{Store, StoreSpec};

const LIMITS: [usize; 3] = [1, 8, 64];
const USERS: [usize; 4] = [1, 100, 10_000, 1_000_000];
const RUNS: usize = 500;
/// Asked at once, as a loaded gateway does.
const AT_ONCE: usize = 8;

const CALENDAR: [&str; 8] = [
    "day",
    "hour",
    "month",
    "day@Europe/Berlin",
    "month@Europe/Berlin",
    "day@America/New_York",
    "hour@Asia/Kolkata",
    "day@Asia/Tokyo",
];

/// A mix of windows and units; none of them ever refuses.
fn limits(count: usize) -> Arc<[Limit]> {
    let limit = |n: usize| {
        let scope = [Scope::User, Scope::Key, Scope::Global][n % 3].clone();
        let ms = 60_000 + n as u64;
        let (unit, window) = match n % 4 {
            0 => (Unit::Usd, Window::Sliding { ms }),
            1 => (Unit::Requests, Window::Sliding { ms }),
            2 => (Unit::Tokens, Window::Sliding { ms }),
            _ => (Unit::Usd, CALENDAR[n / 4 % CALENDAR.len()].parse().expect("a window")),
        };
        Limit::new(scope, Quota { unit, max: 1 << 52, window })
    };
    (0..count).map(limit).collect()
}

fn ask(user: usize, limits: &Arc<[Limit]>) -> Reserve {
    let caller = Caller { key: "web".into(), team: "core".into(), user: format!("user-{user}").into(), alone: false };
    Reserve {
        run: RunId::mint(),
        subjects: Subjects::of(caller),
        amount: Amount { usd: NanoUsd::new(1_000), tokens: 10 },
        limits: Arc::clone(limits),
    }
}

/// Takes and settles one run each for these users and returns the time per run.
async fn runs(ledger: &Ledger, users: impl Iterator<Item = usize>, limits: &Arc<[Limit]>) -> Duration {
    let asks: Vec<Reserve> = users.map(|user| ask(user, limits)).collect();
    let (began, count) = (Instant::now(), asks.len());
    let mut asks = asks.into_iter();
    loop {
        let some: Vec<Reserve> = asks.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            break;
        }
        let one = |ask: Reserve| async move {
            let run = ask.run;
            // A crowded machine may be slower than the store's time limit; both verbs are safe to repeat.
            while !matches!(ledger.reserve(ask.clone()).await, Ok(Reserved::Held { .. })) {}
            while ledger.settle(run, NanoUsd::new(500)).await.is_err() {}
        };
        join_all(some.into_iter().map(one)).await;
    }
    began.elapsed() / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}

async fn table(name: &str, ledger: &Ledger, most_users: usize) {
    let mut first = None;
    println!("{name}: time per admission and settlement, relative to 1 limit and 1 user");
    println!("{:>10} {}", "users", LIMITS.map(|count| format!("{count:>4} limits")).join(" "));
    let mut known = 0;
    for users in USERS.into_iter().filter(|users| *users <= most_users) {
        runs(ledger, known..users, &limits(1)).await;
        known = users;
        let mut cells = Vec::new();
        for count in LIMITS {
            let limits = limits(count);
            let some = |seed: usize| (0..RUNS).map(move |n| (seed + n * 7_919) % users);
            runs(ledger, some(1), &limits).await;
            let mut took = [Duration::ZERO; 3];
            for (n, took) in took.iter_mut().enumerate() {
                *took = runs(ledger, some(n), &limits).await;
            }
            took.sort();
            let base = *first.get_or_insert(took[1].as_secs_f64());
            cells.push(format!("{:>11.2}", took[1].as_secs_f64() / base));
        }
        println!("{users:>10} {}", cells.join(" "));
    }
}

fn main() {
    let url = std::env::args().skip(1).find(|arg| arg.starts_with("redis"));
    let most_users = std::env::var("USERS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = StoreSpec::Sqlite { path: folder.path().join("bench.db"), full_sync: false };
    let stores = [("SQLite", Some(sqlite)), ("Redis", url.map(|url| StoreSpec::Redis { url, relaxed: true }))];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (name, spec) in stores {
        let Some(spec) = spec else { continue };
        let ledger = Ledger::new(&Store::open(spec).expect("opens"));
        runtime.block_on(table(name, &ledger, most_users));
    }
}
