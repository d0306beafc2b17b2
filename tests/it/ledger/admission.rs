//! What is admitted and what is refused.

use std::sync::Arc;

use headgate::domain::caller::Caller;
use headgate::domain::ids::RunId;
use headgate::domain::limit::{DAY_MS, Scope};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Ledger, Reserved, Used};
use headgate::store::StoreError;

use super::rig::{HOUR_MS, NOON_MS, Rig, ann, held, on_both_stores, refused, requests, reserve, usd_per_day};

on_both_stores!(
    exactly_as_many_parallel_reserves_fit_as_the_limit_pays_for,
    two_gateways_share_one_limit,
    all_limits_take_or_none_does,
    what_is_held_counts_at_once_and_a_void_frees_it,
    a_limit_admits_up_to_its_last_nano_dollar,
    a_view_tells_what_was_used_before_and_after,
    no_window_ever_holds_more_than_its_limit,
    a_retry_after_the_stated_wait_fits_and_one_before_does_not,
    a_refused_request_consumes_nothing,
    a_voided_request_gives_its_slot_back,
    the_limit_that_heals_last_is_named,
    a_counter_outlives_a_change_of_its_maximum,
    a_counter_named_twice_is_incremented_once_under_the_lowest_maximum,
    a_team_limit_binds_a_team_and_nobody_without_one,
    the_same_reserve_twice_takes_once,
    an_extension_is_held_under_the_limits_of_its_hold,
    an_extension_needs_an_open_hold,
    an_amount_beyond_what_can_be_counted_is_refused_even_without_limits,
);

async fn race(ledgers: [Ledger; 2]) -> (usize, usize) {
    let limits = [usd_per_day(Scope::User, 99 * 1_000 + 999)];
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let (ledger, limits) = (ledgers[n % 2].clone(), limits.clone());
            tokio::spawn(async move { reserve(&ledger, RunId::mint(), ann(), 1_000, &limits).await })
        })
        .collect();
    let (mut yes, mut no) = (0, 0);
    for task in tasks {
        match task.await.expect("no panic").expect("the store answers") {
            Reserved::Held { .. } => yes += 1,
            Reserved::Refused { .. } => no += 1,
            Reserved::Away { .. } => panic!("the store is there"),
        }
    }
    (yes, no)
}

async fn exactly_as_many_parallel_reserves_fit_as_the_limit_pays_for(rig: Rig) {
    assert_eq!(race([rig.ledger.clone(), rig.ledger.clone()]).await, (99, 101));
    assert_eq!(rig.usd(Scope::User, "ann@example.org").await, (0, 99_000));
}

async fn two_gateways_share_one_limit(rig: Rig) {
    assert_eq!(race([rig.ledger.clone(), rig.second_ledger()]).await, (99, 101));
}

async fn all_limits_take_or_none_does(rig: Rig) {
    let limits = [usd_per_day(Scope::User, 10), requests(Scope::User, 5, 60_000), usd_per_day(Scope::Key, 3)];
    let (view, _) = refused(rig.reserve(RunId::mint(), 4, &limits).await);
    assert_eq!(view.limit, limits[2]);
    let report = rig.usage().await;
    assert!(report.counters.iter().all(|c| c.scope == Scope::Global), "{report:?}");
    assert_eq!((rig.usd(Scope::Global, "").await, report.open_holds), ((0, 0), 0));
}

async fn what_is_held_counts_at_once_and_a_void_frees_it(rig: Rig) {
    let limits = [usd_per_day(Scope::Global, 10)];
    let first = rig.hold(6, &limits).await;
    refused(rig.reserve(RunId::mint(), 5, &limits).await);
    rig.ledger.void(first).await.expect("voids");
    rig.hold(10, &limits).await;
}

async fn a_limit_admits_up_to_its_last_nano_dollar(rig: Rig) {
    // Large enough that a double printed with 14 digits would round it.
    let max = 9_007_199_254_740_990;
    let limits = [usd_per_day(Scope::User, max)];
    rig.hold(max - 1, &limits).await;
    refused(rig.reserve(RunId::mint(), 2, &limits).await);
    rig.hold(1, &limits).await;
    assert_eq!(rig.usd(Scope::User, "ann@example.org").await, (0, max));
}

async fn a_view_tells_what_was_used_before_and_after(rig: Rig) {
    let limits = [usd_per_day(Scope::User, 100), requests(Scope::Key, 5, 60_000)];
    rig.hold(10, &limits).await;
    rig.clock.advance(1_000);
    let views = held(rig.reserve(RunId::mint(), 20, &limits).await);
    let seen: Vec<_> = views.iter().map(|v| (&v.limit, v.subject.as_str(), v.before, v.after)).collect();
    assert_eq!(seen, [(&limits[0], "ann@example.org", 10, 30), (&limits[1], "web", 1, 2)]);
    let midnight = NOON_MS - NOON_MS % DAY_MS + DAY_MS;
    assert_eq!((views[0].resets_at_ms, views[1].resets_at_ms), (midnight, NOON_MS + 60_001));
}

async fn no_window_ever_holds_more_than_its_limit(rig: Rig) {
    let (max, window_ms) = (3, 1_000);
    let limits = [requests(Scope::User, max, window_ms)];
    let mut admitted: Vec<u64> = Vec::new();
    for step in 0..400u64 {
        if matches!(rig.reserve(RunId::mint(), 1, &limits).await, Ok(Reserved::Held { .. })) {
            admitted.push(step * 37);
        }
        rig.clock.advance(37);
    }
    for (first, after) in admitted.iter().zip(&admitted[3..]) {
        assert!(after - first > window_ms, "4 requests within {} ms", after - first);
    }
    // And not a request fewer than that: a whole window of steps is 28, so every 28 steps at least 3 fit.
    assert!(admitted.len() >= 3 * (400 / 28), "{} admitted", admitted.len());
}

async fn a_retry_after_the_stated_wait_fits_and_one_before_does_not(rig: Rig) {
    let limits = [requests(Scope::User, 2, 10_000)];
    rig.hold(1, &limits).await;
    rig.clock.advance(4_000);
    rig.hold(1, &limits).await;
    rig.clock.advance(1_000);
    let (view, wait) = refused(rig.reserve(RunId::mint(), 1, &limits).await);
    assert_eq!((view.before, view.after, view.remaining()), (2, 2, 0));
    rig.clock.advance(wait - 1);
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
    rig.clock.advance(1);
    rig.hold(1, &limits).await;
}

async fn a_refused_request_consumes_nothing(rig: Rig) {
    let limits = [requests(Scope::User, 1, 10_000)];
    rig.hold(1, &limits).await;
    for _ in 0..20 {
        rig.clock.advance(500);
        refused(rig.reserve(RunId::mint(), 1, &limits).await);
    }
    rig.clock.advance(1);
    rig.hold(1, &limits).await;
}

async fn a_voided_request_gives_its_slot_back(rig: Rig) {
    let limits = [requests(Scope::User, 1, 10_000)];
    let run = rig.hold(1, &limits).await;
    rig.ledger.void(run).await.expect("voids");
    let run = rig.hold(1, &limits).await;
    rig.ledger.settle(run, NanoUsd::new(1)).await.expect("settles");
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
}

async fn the_limit_that_heals_last_is_named(rig: Rig) {
    let limits = [requests(Scope::User, 1, 60_000), usd_per_day(Scope::Key, 5), requests(Scope::Key, 1, HOUR_MS)];
    rig.hold(5, &limits).await;
    let (view, wait) = refused(rig.reserve(RunId::mint(), 5, &limits).await);
    assert_eq!((&view.limit, wait), (&limits[1], 12 * HOUR_MS));
    let (view, wait) = refused(rig.reserve(RunId::mint(), 0, &limits).await);
    assert_eq!((&view.limit, wait), (&limits[2], HOUR_MS + 1));
}

async fn a_counter_outlives_a_change_of_its_maximum(rig: Rig) {
    rig.hold(6, &[usd_per_day(Scope::User, 10), requests(Scope::User, 9, 60_000)]).await;
    let (view, _) = refused(rig.reserve(RunId::mint(), 1, &[usd_per_day(Scope::User, 5)]).await);
    assert_eq!((view.before, view.remaining()), (6, 0));
    refused(rig.reserve(RunId::mint(), 1, &[requests(Scope::User, 1, 60_000)]).await);
    rig.hold(14, &[usd_per_day(Scope::User, 20)]).await;
}

async fn a_counter_named_twice_is_incremented_once_under_the_lowest_maximum(rig: Rig) {
    let limits = [usd_per_day(Scope::User, 10), usd_per_day(Scope::User, 7), requests(Scope::Key, 4, 1_000)];
    let limits = [limits.as_slice(), &[requests(Scope::Key, 2, 1_000)]].concat();
    let views = held(rig.reserve(RunId::mint(), 7, &limits).await);
    let seen: Vec<_> = views.iter().map(|v| (v.max(), v.after)).collect();
    assert_eq!(seen, [(7, 7), (2, 1)]);
    assert_eq!(rig.usd(Scope::User, "ann@example.org").await, (0, 7));
}

async fn a_team_limit_binds_a_team_and_nobody_without_one(rig: Rig) {
    let limits = [usd_per_day(Scope::Team, 5)];
    rig.hold(5, &limits).await;
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
    let loner = Caller { team: "".into(), ..ann() };
    assert!(held(reserve(&rig.ledger, RunId::mint(), loner, 50, &limits).await).is_empty());
}

async fn the_same_reserve_twice_takes_once(rig: Rig) {
    let limits = [usd_per_day(Scope::User, 10), requests(Scope::User, 3, 60_000)];
    let run = RunId::mint();
    let first = held(rig.reserve(run, 8, &limits).await);
    assert_eq!(held(rig.reserve(run, 8, &limits).await), first);
    assert_eq!((rig.usd(Scope::User, "ann@example.org").await, rig.usage().await.open_holds), ((0, 8), 1));
}

async fn an_extension_is_held_under_the_limits_of_its_hold(rig: Rig) {
    let limits = [usd_per_day(Scope::User, 10), requests(Scope::User, 1, 60_000), usd_per_day(Scope::Team, 20)];
    let run = rig.hold(4, &limits).await;
    let views = held(rig.ledger.extend(run, NanoUsd::new(5)).await);
    let seen: Vec<_> = views.iter().map(|v| (&v.limit, v.before, v.after)).collect();
    assert_eq!(seen, [(&limits[0], 4, 9), (&limits[2], 4, 9)]);

    let (view, _) = refused(rig.ledger.extend(run, NanoUsd::new(2)).await);
    assert_eq!((&view.limit, view.before, view.after), (&limits[0], 9, 9));
    assert_eq!((rig.usd(Scope::Team, "core").await, rig.usd(Scope::Global, "").await), ((0, 9), (0, 9)));

    rig.ledger.settle(run, NanoUsd::new(3)).await.expect("settles");
    assert_eq!(rig.usd(Scope::User, "ann@example.org").await, (3, 0));
}

async fn an_extension_needs_an_open_hold(rig: Rig) {
    let unknown = RunId::mint();
    assert_eq!(rig.ledger.extend(unknown, NanoUsd::new(1)).await, Err(StoreError::NoHold(unknown)));
    let run = rig.hold(1, &[]).await;
    rig.ledger.settle(run, NanoUsd::new(1)).await.expect("settles");
    assert_eq!(rig.ledger.extend(run, NanoUsd::new(1)).await, Err(StoreError::NoHold(run)));
}

async fn an_amount_beyond_what_can_be_counted_is_refused_even_without_limits(rig: Rig) {
    let limits: Arc<[_]> = Arc::default();
    for amount in [u64::MAX, (1 << 53) + 1] {
        refused(rig.reserve(RunId::mint(), amount, &limits).await);
    }
    assert!(held(rig.reserve(RunId::mint(), 1 << 53, &limits).await).is_empty());
    let report = rig.usage().await;
    let all = Used::Parted { settled: 0, held: 1 << 53 };
    assert!(report.counters.iter().all(|c| c.used == all), "{report:?}");
}
