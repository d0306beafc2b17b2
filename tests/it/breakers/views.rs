//! What one replica does is what the next one goes by, told step by step.

use std::time::{Duration, Instant};

use headgate::domain::ids::KeyId;
use headgate::store::{Store, StoreSpec};
use headgate::targets::{BreakerRule, Permit, Targets};
use tempfile::TempDir;

use crate::support::redis::RedisServer;
use crate::support::{PATIENCE, told_when};

const RULE: BreakerRule = BreakerRule { errors: 3, open: Duration::from_secs(60) };
/// Opens for no time: half open at once.
const AT_ONCE: BreakerRule = BreakerRule { errors: 3, open: Duration::ZERO };

struct Two {
    one: Targets,
    other: Targets,
    redis: RedisServer,
    _folder: TempDir,
}

async fn two() -> Two {
    let folder = TempDir::new().unwrap();
    let redis = RedisServer::start(folder.path());
    let open = || {
        let spec = StoreSpec::Redis { url: redis.url(), relaxed: false };
        async { Targets::new(&tokio::task::spawn_blocking(|| Store::open(spec)).await.unwrap().unwrap()) }
    };
    Two { one: open().await, other: open().await, redis, _folder: folder }
}

impl Two {
    /// The first tells, the other listens.
    async fn exchange(&self) {
        self.one.exchange().await.unwrap();
        self.other.exchange().await.unwrap();
    }
}

fn permit(targets: &Targets) -> Result<Permit, Instant> {
    targets.permit("t", &[], Instant::now())
}

fn fail(targets: &Targets, rule: BreakerRule, times: u32) {
    for _ in 0..times {
        permit(targets).expect("closed").failed(rule, Instant::now());
    }
}

fn succeed(permit: Permit) {
    permit.succeeded(0, Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_anywhere_ends_the_row_of_errors_everywhere() {
    let two = two().await;
    fail(&two.one, RULE, 2);
    two.exchange().await;
    succeed(permit(&two.other).unwrap());
    two.other.exchange().await.unwrap();
    fail(&two.other, RULE, 1);
    two.other.exchange().await.unwrap();
    two.exchange().await;
    assert!(permit(&two.other).is_ok() && permit(&two.one).is_ok(), "two and one are not three in a row");
    fail(&two.other, RULE, 1);
    two.other.exchange().await.unwrap();
    fail(&two.one, RULE, 1);
    two.exchange().await;
    assert!(permit(&two.other).is_err() && permit(&two.one).is_err(), "two and one after the success are");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cool_down_a_rest_and_a_keys_rest_hold_for_all_and_so_does_their_end() {
    let two = two().await;
    let (now, keys) = (Instant::now(), [KeyId::from_sha256([1; 32]), KeyId::from_sha256([2; 32])]);
    two.one.cool("cool", now + Duration::from_secs(60));
    two.one.rest("resting", now + Duration::from_secs(60));
    two.one.rest_key(keys[0], now + Duration::from_secs(60));
    two.exchange().await;
    let until = two.other.permit("cool", &[], now).expect_err("cooling");
    assert!(until > now + Duration::from_secs(50) && until < now + Duration::from_secs(70));
    assert!(two.other.last_resort("cool", &[], now).is_none(), "the provider named a time");
    assert!(two.other.permit("resting", &[], now).is_err());
    assert_eq!(two.other.permit("t", &keys, now).expect("the second works").key_place(), 1);

    succeed(two.other.last_resort("resting", &[], now).expect("it only rests"));
    let key = two.other.last_resort("t", &keys[..1], now).expect("it only rests");
    succeed(key);
    two.other.exchange().await.unwrap();
    two.one.exchange().await.unwrap();
    assert!(two.one.permit("resting", &[], now).is_ok(), "healed for all");
    assert_eq!(two.one.permit("t", &keys, now).expect("free").key_place(), 0, "healed for all");
    assert!(two.one.permit("cool", &[], now).is_err(), "and nothing else is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_probe_of_all_replicas_finds_out_and_who_asks_next_has_heard_how_it_ended() {
    let two = two().await;
    fail(&two.one, AT_ONCE, 3);
    two.exchange().await;

    let probe = permit(&two.one).expect("half open").confirmed().await.expect("nobody probes yet");
    let taken = permit(&two.other).expect("half open, as far as it knows").confirmed().await;
    assert_eq!(taken.expect_err("another one probes"), None);
    probe.failed(RULE, Instant::now());
    two.one.exchange().await.unwrap();
    let open = permit(&two.other).expect("half open, as far as it knows").confirmed().await;
    assert!(open.expect_err("opened again").expect("a time") > Instant::now() + Duration::from_secs(50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_after_a_probe_that_succeeded_needs_none() {
    let two = two().await;
    fail(&two.one, AT_ONCE, 3);
    two.exchange().await;
    succeed(permit(&two.one).expect("half open").confirmed().await.expect("nobody probes yet"));
    two.one.exchange().await.unwrap();
    let first = permit(&two.other).expect("half open, as far as it knows").confirmed().await.expect("it is closed");
    let second = permit(&two.other).expect("closed").confirmed().await.expect("closed");
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_was_cancelled_or_whose_process_died_leaves_its_place_to_the_next_one() {
    let two = two().await;
    fail(&two.one, AT_ONCE, 3);
    two.exchange().await;
    drop(permit(&two.one).expect("half open").confirmed().await.expect("nobody probes yet"));
    two.one.exchange().await.unwrap();
    let probe = permit(&two.other).expect("half open").confirmed().await.expect("free again");
    // The lease of who does not renew it ends by itself.
    let redis::Value::Int(left) = two.redis.command(&["PTTL", "hg:probe:t"]) else { panic!("no lease") };
    assert!((1..=6_000).contains(&left), "{left} ms");
    two.redis.command(&["DEL", "hg:probe:t"]);
    permit(&two.one).expect("half open").confirmed().await.expect("the other one is dead");
    drop(probe);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_without_the_store_goes_by_its_own_view_and_tells_it_later() {
    let Two { one, other, redis, _folder } = two().await;
    let port = redis.port;
    drop(redis);
    fail(&one, AT_ONCE, 3);
    assert!(one.exchange().await.is_err());
    let probe = permit(&one).expect("half open").confirmed().await.expect("the store has no say");
    assert!(permit(&one).is_err(), "one at a time");
    probe.failed(RULE, Instant::now());
    assert!(permit(&one).is_err());

    let _redis = RedisServer::start_on(_folder.path(), port).expect("the port is still free");
    let exchanged = async || one.exchange().await.is_ok() && other.exchange().await.is_ok();
    told_when("the store is back", PATIENCE, exchanged, |both| *both).await;
    assert!(permit(&other).is_err(), "what happened meanwhile is known to all");
}
