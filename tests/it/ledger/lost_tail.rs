//! A Redis that has forgotten its last moments, or everything.

use headgate::domain::ids::RunId;
use headgate::domain::limit::{Scope, Unit};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Amount, Bill, Ledger, Settled, Subjects};
use headgate::store::{Store, StoreError};
use tempfile::TempDir;

use super::rig::{Rig, ann, limit, refused, requests, reserve, usd, usd_per_day};

/// The server dies and comes back with what the copy holds.
fn restore(rig: &mut Rig, copy: &TempDir) {
    let server = rig.redis.take().expect("a Redis rig");
    rig.redis = Some(server.replaced_by_copy(rig.dir.path(), copy.path()));
}

async fn repeated(ledger: &Ledger) -> usize {
    ledger.check().await.expect("repeats").repeated_writes
}

/// Holds, extensions, settlements and voids, of the runs given and of new ones.
async fn work(rig: &Rig, ledger: &Ledger, old: &[RunId]) -> Vec<RunId> {
    let limits = [
        usd_per_day(Scope::User, 1_000_000),
        requests(Scope::User, 1_000, 60_000),
        limit(Scope::Team, Unit::Tokens, 1_000_000, "5m"),
        limit(Scope::Global, Unit::Concurrent, 1_000, "open"),
        limit(Scope::Model, Unit::Usd, 1_000_000, "month@Europe/Berlin"),
    ];
    let subjects = || Subjects { targets: vec!["one/large".into(), "two/small".into()], ..Subjects::of(ann()) };
    let amount = |nano: u64| Amount { usd: NanoUsd::new(nano), tokens: nano };
    let bill = |nano| Bill { total: amount(nano), targets: vec![("one/large".to_owned(), amount(nano))] };
    let mut new = Vec::new();
    for nano in [100, 200, 300, 400] {
        let run = RunId::mint();
        let ask = headgate::ledger::Reserve {
            run,
            subjects: subjects(),
            amount: amount(nano),
            limits: limits.clone().into(),
        };
        ledger.reserve(ask).await.expect("reserves");
        rig.clock.advance(7);
        new.push(run);
    }
    for (at, run) in old.iter().chain(&new[..3]).enumerate() {
        match at % 3 {
            0 => ledger.settle(*run, bill(30)).await.map(|_| ()).expect("settles"),
            1 => ledger.extend(*run, amount(11)).await.map(|_| ()).expect("extends"),
            _ => ledger.void(*run).await.expect("voids"),
        }
        rig.clock.advance(7);
    }
    new
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_restored_from_an_old_copy_is_told_everything_since_and_admits_nothing_before() {
    let mut rig = Rig::redis();
    let other = rig.second_ledger();
    // Given two processes that went on writing after a copy was taken.
    let (mine, others) = (work(&rig, &rig.ledger, &[]).await, work(&rig, &other, &[]).await);
    let copy = rig.redis.as_ref().expect("a Redis rig").copy_of(rig.dir.path());
    let at_copy = rig.usd(Scope::Global, "").await;
    let mine = work(&rig, &rig.ledger, &[mine[1], mine[3]]).await;
    work(&rig, &other, &[others[1], others[3]]).await;
    let before = rig.usage().await;
    assert_ne!(usd(&before, Scope::Global, ""), at_copy);

    // When the server comes back with the copy, a second time while it is being mended.
    for times in 1..=2 {
        restore(&mut rig, &copy);
        assert_eq!(rig.usd(Scope::Global, "").await, at_copy, "time {times}");
        for answer in [
            rig.reserve(RunId::mint(), 1, &[]).await.map(|_| ()),
            rig.ledger.settle(mine[3], NanoUsd::new(1)).await.map(|_| ()),
        ] {
            assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        }
        assert!(!rig.store.is_up());
        if times == 1 {
            rig.ledger.check().await.expect("repeats");
        }
    }

    // Then each of the two tells it what it had forgotten, once, and it is as if nothing had been.
    assert!(rig.ledger.check().await.expect("repeats").repeated_writes > 5);
    assert!(other.check().await.expect("repeats").repeated_writes > 5);
    assert_eq!(rig.usage().await, before);
    assert!(rig.store.is_up());
    assert_eq!((repeated(&rig.ledger).await, repeated(&other).await), (0, 0));
    assert_eq!(rig.ledger.settle(mine[3], NanoUsd::new(1)).await, Ok(Settled::Booked));
    rig.hold(1, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_at_its_limit_is_refused_by_a_store_that_had_forgotten_what_it_spent() {
    let mut rig = Rig::redis();
    let limits = [usd_per_day(Scope::User, 10)];
    let copy = rig.redis.as_ref().expect("a Redis rig").copy_of(rig.dir.path());
    let run = rig.hold(10, &limits).await;
    rig.ledger.settle(run, NanoUsd::new(10)).await.expect("settles");

    restore(&mut rig, &copy);
    assert_eq!(rig.usd(Scope::User, "ann@example.org").await, (0, 0), "the copy knows of nothing");

    rig.reserve(RunId::mint(), 1, &limits).await.expect_err("not before it is mended");
    assert_eq!(repeated(&rig.ledger).await, 2);
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
    assert_eq!(rig.usd(Scope::User, "ann@example.org").await, (10, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_redis_is_not_a_fresh_budget_until_an_operator_says_so() {
    let rig = Rig::redis();
    let limits = [usd_per_day(Scope::User, 10)];
    let run = rig.hold(6, &limits).await;
    rig.ledger.settle(run, NanoUsd::new(6)).await.expect("settles");
    rig.hold(4, &limits).await;
    let before = rig.usage().await;
    assert_eq!(Store::accept_loss(&rig.spec), Ok(false));
    rig.redis.as_ref().expect("a Redis rig").command(&["FLUSHALL"]);

    // Neither the gateway that runs admits anything, nor does another start.
    for _ in 0..2 {
        let answer = rig.reserve(RunId::mint(), 1, &limits).await;
        assert!(matches!(&answer, Err(StoreError::Corrupt(why)) if why.contains("accept-loss")), "{answer:?}");
        assert!(matches!(rig.ledger.check().await, Err(StoreError::Corrupt(_))));
        assert!(!rig.store.is_up());
    }
    let Err(StoreError::Corrupt(why)) = Store::open(rig.spec.clone()).map(|_| ()) else { panic!("it started") };
    assert!(why.contains("accept-loss"), "{why}");

    // Once the loss is accepted, the one that ran adds what it knows.
    assert_eq!(Store::accept_loss(&rig.spec), Ok(true));
    assert_eq!(repeated(&rig.ledger).await, 3);
    assert_eq!(rig.usage().await, before);
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
    refused(reserve(&rig.second_ledger(), RunId::mint(), ann(), 1, &limits).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_begins_to_evict_is_noticed_and_what_it_has_evicted_is_a_loss() {
    let rig = Rig::redis();
    let server = rig.redis.as_ref().expect("a Redis rig");
    let set = |key: &str, value: &str| server.command(&["CONFIG", "SET", key, value]);
    let check = async || {
        // The settings are looked at every few checks.
        for _ in 0..5 {
            rig.ledger.check().await?;
        }
        Ok(())
    };
    check().await.expect("sound");

    set("maxmemory-policy", "allkeys-lru");
    let evicting = check().await;
    assert!(matches!(&evicting, Err(StoreError::Refused(why)) if why.contains("noeviction")), "{evicting:?}");
    let answer = rig.reserve(RunId::mint(), 1, &[]).await;
    assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
    set("maxmemory-policy", "noeviction");
    check().await.expect("sound again");
    rig.hold(1, &[]).await;

    set("maxmemory-policy", "allkeys-lru");
    set("maxmemory", "1");
    server.command(&["PING"]);
    set("maxmemory", "0");
    set("maxmemory-policy", "noeviction");
    assert!(matches!(check().await, Err(StoreError::Corrupt(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_the_server_has_dropped_are_sent_again() {
    let rig = Rig::redis();
    let run = rig.hold(4, &[]).await;
    rig.redis.as_ref().expect("a Redis rig").command(&["SCRIPT", "FLUSH"]);
    assert_eq!(rig.ledger.settle(run, NanoUsd::new(3)).await, Ok(Settled::Booked));
    rig.hold(1, &[]).await;
    assert_eq!(rig.usd(Scope::Global, "").await, (3, 1));
}
