//! What only a shared server can do to us, and what only it shows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headgate::domain::ids::RunId;
use headgate::domain::limit::Scope;
use headgate::domain::money::NanoUsd;
use headgate::ledger::Ledger;
use headgate::store::{Store, StoreError, StoreSpec};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::rig::{RedisServer, Rig, ann, refused, reserve, usd_per_day};
use crate::support::{PATIENCE, told_when};

/// The stated 250 ms, and what a busy machine may add to any measurement.
const ANSWER_WITHIN: Duration = Duration::from_millis(250 + 250);

fn server(rig: &Rig) -> &RedisServer {
    rig.redis.as_ref().expect("a Redis rig")
}

/// Every verb once; each must say within its time that there is no store.
async fn every_verb_is_unavailable(ledger: &Ledger, run: RunId) {
    let price = NanoUsd::new(1);
    for verb in 0..7 {
        let asked = Instant::now();
        let answer = match verb {
            0 => reserve(ledger, RunId::mint(), ann(), 1, &[]).await.map(|_| ()),
            1 => ledger.extend(run, price).await.map(|_| ()),
            2 => ledger.settle(run, price).await.map(|_| ()),
            3 => ledger.void(run).await,
            4 => ledger.renew(&[run]).await,
            5 => ledger.expire().await.map(|_| ()),
            _ => ledger.usage().await.map(|_| ()),
        };
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "verb {verb}: {answer:?}");
        assert!(asked.elapsed() < ANSWER_WITHIN, "verb {verb} took {:?}", asked.elapsed());
    }
}

/// Waits until the store answers again; it must by itself.
async fn heals(store: &Store, ledger: &Ledger) {
    let checked = told_when("the store is back", PATIENCE, async || ledger.check().await, Result::is_ok).await;
    checked.expect("just seen");
    assert!(store.is_up());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_is_unavailable_in_time_and_used_again_when_it_goes_on() {
    let rig = Rig::redis();
    let limits = [usd_per_day(Scope::User, 10)];
    let run = rig.hold(4, &limits).await;
    server(&rig).signal("STOP");

    every_verb_is_unavailable(&rig.ledger, run).await;
    assert!(!rig.store.is_up());
    let late = RunId::mint();
    rig.reserve(late, 6, &limits).await.expect_err("no answer");

    server(&rig).signal("CONT");
    heals(&rig.store, &rig.ledger).await;
    // Whichever of the verbs above the server still carries out, in whatever order, these ids are over now.
    rig.ledger.void(late).await.expect("voids");
    rig.ledger.void(run).await.expect("voids");
    let report = rig.usage().await;
    assert!(super::rig::usd(&report, Scope::User, "ann@example.org").0 <= 1, "{report:?}");
    rig.hold(9, &limits).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_dies_is_unavailable_at_once_and_its_successor_knows_every_hold() {
    let mut rig = Rig::redis();
    let limits = [usd_per_day(Scope::User, 10)];
    let run = rig.hold(4, &limits).await;
    let server = rig.redis.take().expect("a Redis rig");
    let port = server.port;
    drop(server);

    every_verb_is_unavailable(&rig.ledger, run).await;

    rig.redis = Some(RedisServer::start_on(rig.dir.path(), port).expect("the port is still free"));
    heals(&rig.store, &rig.ledger).await;
    refused(rig.reserve(RunId::mint(), 7, &limits).await);
    rig.ledger.settle(run, NanoUsd::new(3)).await.expect("settles");
    rig.hold(7, &limits).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_between_two_calls_goes_unnoticed() {
    let mut rig = Rig::redis();
    rig.hold(4, &[]).await;
    let server = rig.redis.take().expect("a Redis rig");
    let port = server.port;
    drop(server);
    rig.redis = Some(RedisServer::start_on(rig.dir.path(), port).expect("the port is still free"));
    // The old connection is dead and the scripts are not known any more: both are put right within the call.
    rig.hold(1, &[]).await;
}

/// Forwards connections to a server until `freeze` is told: those of that moment go silent for good, as when a peer
/// vanishes without a word. Later ones work.
async fn freezable_proxy(to: u16, freeze: Arc<Notify>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let freeze = Arc::clone(&freeze);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", to)).await.expect("the server listens");
                tokio::select! {
                    // First: what arrives together with the word must not get through.
                    biased;
                    () = freeze.notified() => std::future::pending().await,
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                }
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_goes_silent_costs_one_call_per_thread_and_is_replaced() {
    let rig = Rig::redis();
    let freeze = Arc::new(Notify::new());
    let port = freezable_proxy(server(&rig).port, Arc::clone(&freeze)).await;
    let spec = StoreSpec::Redis { url: format!("redis://127.0.0.1:{port}"), relaxed: false };
    let store = tokio::task::spawn_blocking(|| Store::open(spec)).await.expect("no panic").expect("opens");
    let ledger = Ledger::new(&store);
    ledger.check().await.expect("answers");
    freeze.notify_waiters();
    let lost = ledger.check().await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    heals(&store, &ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_admits_nothing_and_goes_on_when_there_is_room() {
    let rig = Rig::redis();
    let run = rig.hold(1, &[]).await;
    server(&rig).command(&["CONFIG", "SET", "maxmemory", "1"]);
    let answer = rig.reserve(RunId::mint(), 1, &[]).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    // What is read is served, and proves nothing.
    assert_eq!(rig.usd(Scope::Global, "").await, (0, 1));
    assert!(matches!(rig.ledger.check().await, Err(StoreError::Unavailable(_))));
    assert!(!rig.store.is_up());
    server(&rig).command(&["CONFIG", "SET", "maxmemory", "0"]);
    rig.ledger.check().await.expect("takes writes again");
    assert!(rig.store.is_up());
    rig.ledger.settle(run, NanoUsd::new(1)).await.expect("settles");
    assert_eq!(rig.usd(Scope::Global, "").await, (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_may_forget_is_refused_unless_that_is_accepted() {
    let rig = Rig::redis();
    let open = |relaxed| Store::open(StoreSpec::Redis { url: server(&rig).url(), relaxed }).map(|store| store.kind());
    for (key, forgetful, sound) in [("maxmemory-policy", "allkeys-lru", "noeviction"), ("appendonly", "no", "yes")] {
        server(&rig).command(&["CONFIG", "SET", key, forgetful]);
        assert!(matches!(open(false), Err(StoreError::Refused(_))), "{key}");
        assert_eq!(open(true), Ok("redis"), "{key}");
        server(&rig).command(&["CONFIG", "SET", key, sound]);
        assert_eq!(open(false), Ok("redis"), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redis_at_the_start_is_said_with_its_address_and_without_its_password() {
    let rig = Rig::redis();
    let port = server(&rig).port;
    drop(rig);
    let spec = StoreSpec::Redis { url: format!("redis://:s3cret@127.0.0.1:{port}"), relaxed: false };
    let Err(StoreError::Unavailable(why)) = Store::open(spec.clone()).map(|_| ()) else { panic!("it opened") };
    assert!(why.contains(&port.to_string()), "{why}");
    assert!(!format!("{why} {spec:?}").contains("s3cret"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn todays_dollars_can_be_read_by_hand() {
    let rig = Rig::redis();
    let said = |key: &str| match server(&rig).command(&["GET", key]) {
        redis::Value::BulkString(text) => String::from_utf8(text).expect("text"),
        other => panic!("{key}: {other:?}"),
    };
    for (price, total) in [(12_500_000, "0.0125"), (987_500_000, "1"), (9_007_198_000_000_001, "9007199.000000001")] {
        let run = rig.hold(price, &[]).await;
        rig.ledger.settle(run, NanoUsd::new(price)).await.expect("settles");
        assert_eq!(said("ai:cost:global:2026-11-24"), total);
        assert_eq!(said("ai:cost:user:ann%40example.org:2026-11-24"), total);
    }
    let redis::Value::Int(left) = server(&rig).command(&["TTL", "ai:cost:global:2026-11-24"]) else { panic!("a time") };
    assert!((86_400..=10 * 86_400).contains(&left), "{left} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_date_of_a_cost_key_is_right_on_every_kind_of_day() {
    let rig = Rig::redis();
    for (unix_seconds, date) in [
        (0, "1970-01-01"),
        (951_782_400, "2000-02-29"),
        (951_868_800, "2000-03-01"),
        (1_798_675_200, "2026-12-31"),
        (1_798_761_600, "2027-01-01"),
        (1_835_395_200, "2028-02-29"),
        (4_107_542_400, "2100-03-01"),
    ] {
        rig.clock.set_wall(unix_seconds * 1_000);
        let run = rig.hold(1, &[]).await;
        rig.ledger.settle(run, NanoUsd::new(1)).await.expect("settles");
        let key = format!("ai:cost:global:{date}");
        assert_eq!(server(&rig).command(&["EXISTS", &key]), redis::Value::Int(1), "{date}");
    }
}
