//! What goes on while the store is away, and that the books are right when it is back.

use headgate::domain::ids::RunId;
use headgate::domain::limit::{Limit, OnStoreError, Scope, Unit};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Checked, Ledger, Reserved, Settled};
use headgate::store::{StoreError, StoreSpec};
use rusqlite::Connection;

use super::rig::{Rig, ann, held, limit, on_both_stores, refused, reserve, usd, usd_per_day};
use crate::support::{PATIENCE, told_when};

on_both_stores!(
    one_limit_that_denies_is_enough_to_refuse,
    a_limit_that_allows_admits_once_more_what_it_admits_and_all_of_it_is_booked_later,
    a_shared_limit_admits_a_twentieth_and_no_more_and_holds_exactly,
    a_run_that_outlives_the_outage_goes_on_as_any_other,
    a_share_is_in_nobodys_way_while_the_store_answers,
    a_share_whose_process_is_gone_is_charged_as_waste,
    a_process_that_ends_gives_its_shares_back
);

const ANN: &str = "ann@example.org";

/// The store does not take what it is asked, until this is dropped.
enum Outage<'a> {
    Redis(&'a Rig),
    /// Another program's transaction.
    Sqlite(Connection),
}

impl<'a> Outage<'a> {
    fn begin(rig: &'a Rig) -> Self {
        match (&rig.spec, &rig.redis) {
            (StoreSpec::Sqlite { path, .. }, _) => {
                let other = Connection::open(path).expect("opens");
                other.execute_batch("BEGIN IMMEDIATE").expect("locks the file");
                Outage::Sqlite(other)
            }
            (_, Some(server)) => {
                server.signal("STOP");
                Outage::Redis(rig)
            }
            _ => panic!("a Redis rig without its server"),
        }
    }
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        match self {
            Outage::Redis(rig) => rig.redis.as_ref().expect("it began").signal("CONT"),
            Outage::Sqlite(other) => other.execute_batch("ROLLBACK").expect("unlocks"),
        }
    }
}

fn on_error(rule: OnStoreError, limit: Limit) -> Limit {
    Limit { on_store_error: rule, ..limit }
}

/// A limit of 1,000 on everybody, of which each process keeps 50 for bad times.
fn shared() -> [Limit; 1] {
    [on_error(OnStoreError::LocalShare, usd_per_day(Scope::Global, 1_000))]
}

async fn away(ledger: &Ledger, amount: u64, limits: &[Limit]) -> RunId {
    let run = RunId::mint();
    let answer = reserve(ledger, run, ann(), amount, limits).await;
    assert!(matches!(answer, Ok(Reserved::Away { .. })), "{answer:?}");
    run
}

async fn no_room(ledger: &Ledger, amount: u64, limits: &[Limit]) {
    let answer = reserve(ledger, RunId::mint(), ann(), amount, limits).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_) | StoreError::NotAsked(_))), "{answer:?}");
}

/// A call that was refused may be on its way still; its id is over then.
async fn heals(rig: &Rig) -> Checked {
    let checked = told_when("the store is back", PATIENCE, async || rig.ledger.check().await, Result::is_ok).await;
    checked.expect("just seen")
}

async fn one_limit_that_denies_is_enough_to_refuse(rig: Rig) {
    let limits = [
        on_error(OnStoreError::Allow, usd_per_day(Scope::User, 100)),
        on_error(OnStoreError::Deny, usd_per_day(Scope::Global, 1_000)),
    ];
    rig.hold(1, &limits).await;
    let outage = Outage::begin(&rig);
    no_room(&rig.ledger, 1, &limits).await;
    no_room(&rig.ledger, 1, &[]).await;
    // A guard is no limit: it neither denies nor is enough to go on.
    let guard = limit(Scope::User, Unit::SpendRate, 1_000, "1h");
    no_room(&rig.ledger, 1, std::slice::from_ref(&guard)).await;
    away(&rig.ledger, 1, &[limits[0].clone(), guard]).await;
    drop(outage);
}

async fn a_limit_that_allows_admits_once_more_what_it_admits_and_all_of_it_is_booked_later(rig: Rig) {
    let limits = [on_error(OnStoreError::Allow, usd_per_day(Scope::User, 10))];
    let before = rig.hold(10, &limits).await;
    rig.ledger.settle(before, NanoUsd::new(10)).await.expect("settles");

    let outage = Outage::begin(&rig);
    let first = away(&rig.ledger, 6, &limits).await;
    no_room(&rig.ledger, 5, &limits).await;
    assert_eq!(rig.ledger.settle(first, NanoUsd::new(4)).await, Ok(Settled::Booked));
    let second = away(&rig.ledger, 6, &limits).await;
    let given_up = away(&rig.ledger, 0, &limits).await;
    rig.ledger.void(given_up).await.expect("voids");
    drop(outage);

    let checked = heals(&rig).await;
    assert_eq!((checked.returned_runs, checked.returned_usd), (3, NanoUsd::new(4)));
    assert_eq!(rig.usd(Scope::User, ANN).await, (14, 6));
    assert_eq!(rig.ledger.settle(second, NanoUsd::new(5)).await, Ok(Settled::Booked));
    assert_eq!((rig.usd(Scope::User, ANN).await, rig.usd(Scope::Global, "").await), ((19, 0), (19, 0)));
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
    assert_eq!(rig.usage().await.open_holds, 0);
}

async fn a_shared_limit_admits_a_twentieth_and_no_more_and_holds_exactly(rig: Rig) {
    let limits = shared();
    let other = rig.second_ledger();
    // Given two processes with a share each, and a limit that others have used up besides.
    let run = rig.hold(100, &limits).await;
    rig.ledger.settle(run, NanoUsd::new(100)).await.expect("settles");
    held(reserve(&other, RunId::mint(), ann(), 0, &limits).await);
    for ledger in [&rig.ledger, &other] {
        ledger.check().await.expect("sets its share aside");
    }
    assert_eq!(rig.usd(Scope::Global, "").await, (100, 100));
    assert_eq!(rig.usd(Scope::User, ANN).await, (100, 0), "a share is on the limit's account alone");
    let third = rig.second_ledger();
    held(reserve(&third, RunId::mint(), ann(), 800, &limits).await);

    // When the store is away, each goes on within its own.
    let outage = Outage::begin(&rig);
    let (mine, others) = (away(&rig.ledger, 50, &limits).await, away(&other, 30, &limits).await);
    no_room(&rig.ledger, 1, &limits).await;
    no_room(&other, 21, &limits).await;
    rig.ledger.settle(mine, NanoUsd::new(45)).await.expect("settles");
    let more = away(&rig.ledger, 5, &limits).await;
    rig.ledger.settle(more, NanoUsd::new(5)).await.expect("settles");
    no_room(&third, 1, &limits).await;
    drop(outage);

    // Then what was spent is within the limit once the shares are given back, to the nano-dollar.
    heals(&rig).await;
    other.check().await.expect("hands over");
    for ledger in [&rig.ledger, &other] {
        ledger.close().await.expect("gives its share back");
    }
    assert_eq!(rig.usd(Scope::Global, "").await, (150, 830));
    other.settle(others, NanoUsd::new(30)).await.expect("settles");
    assert_eq!(rig.usd(Scope::Global, "").await, (180, 800));
    held(rig.reserve(RunId::mint(), 20, &limits).await);
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
}

async fn a_run_that_outlives_the_outage_goes_on_as_any_other(rig: Rig) {
    let limits = [on_error(OnStoreError::Allow, usd_per_day(Scope::User, 100))];
    rig.hold(1, &limits).await;
    let outage = Outage::begin(&rig);
    let run = away(&rig.ledger, 6, &limits).await;
    let grown = rig.ledger.extend(run, NanoUsd::new(3)).await;
    assert!(matches!(grown, Ok(Reserved::Away { .. })), "{grown:?}");
    drop(outage);

    heals(&rig).await;
    assert_eq!(rig.usd(Scope::User, ANN).await, (0, 10));
    held(rig.ledger.extend(run, NanoUsd::new(2)).await);
    assert_eq!(rig.usd(Scope::User, ANN).await, (0, 12));
    assert_eq!(rig.ledger.settle(run, NanoUsd::new(11)).await, Ok(Settled::Booked));
    assert_eq!(rig.usd(Scope::User, ANN).await, (11, 1));
}

async fn a_share_is_in_nobodys_way_while_the_store_answers(rig: Rig) {
    let limits = shared();
    held(rig.reserve(RunId::mint(), 0, &limits).await);
    rig.ledger.check().await.expect("sets its share aside");
    assert_eq!(rig.usd(Scope::Global, "").await, (0, 50));
    // All of the limit is admitted, and the share given up for it.
    rig.hold(1_000, &limits).await;
    assert_eq!(rig.usd(Scope::Global, "").await, (0, 1_000));
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
}

async fn a_share_whose_process_is_gone_is_charged_as_waste(rig: Rig) {
    held(rig.reserve(RunId::mint(), 0, &shared()).await);
    rig.ledger.check().await.expect("sets its share aside");
    let rig = rig.reopened();
    // A file's holds have a whole new term from the first sweep on.
    rig.pass(80_000).await;
    assert_eq!((rig.usd(Scope::Global, "").await, rig.usage().await.platform_waste), ((50, 0), NanoUsd::new(50)));
}

async fn a_process_that_ends_gives_its_shares_back(rig: Rig) {
    let run = rig.hold(0, &shared()).await;
    rig.ledger.void(run).await.expect("voids");
    rig.ledger.check().await.expect("sets its share aside");
    assert_eq!(rig.usage().await.open_holds, 1);
    rig.ledger.close().await.expect("gives it back");
    let report = rig.usage().await;
    assert_eq!((usd(&report, Scope::Global, ""), report.open_holds), ((0, 0), 0));
}
