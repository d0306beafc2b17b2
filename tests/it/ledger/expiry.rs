//! Holds whose process is gone.

use headgate::domain::ids::RunId;
use headgate::domain::limit::Scope;
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Expired, Reserved, Settled};
use headgate::store::StoreError;

use super::rig::{HOUR_MS, Rig, on_both_stores, refused, requests, usd_per_day};

on_both_stores!(
    a_hold_that_nobody_renews_is_paid_by_the_operator_and_not_by_its_caller,
    a_renewed_hold_does_not_expire,
    a_late_settlement_corrects_the_expired_booking_once,
    a_late_void_takes_the_expired_booking_back,
    an_expired_hold_can_be_neither_extended_nor_reserved_again,
    an_expired_request_keeps_its_slot,
    after_a_pause_living_processes_renew_before_anything_expires,
    what_is_long_over_is_forgotten,
);

const ANN: &str = "ann@example.org";

async fn a_hold_that_nobody_renews_is_paid_by_the_operator_and_not_by_its_caller(rig: Rig) {
    let limits = [usd_per_day(Scope::User, 10), usd_per_day(Scope::Global, 20)];
    let run = rig.hold(10, &limits).await;
    assert_eq!(rig.pass(50_000).await, []);
    assert_eq!(rig.pass(10_000).await, [Expired { run, amount: NanoUsd::new(10) }]);
    let report = rig.usage().await;
    assert_eq!((report.platform_waste, report.open_holds), (NanoUsd::new(10), 0));
    assert_eq!((rig.usd(Scope::User, ANN).await, rig.usd(Scope::Global, "").await), ((0, 0), (10, 0)));
    assert_eq!(rig.pass(60_000).await, [], "once");
    rig.hold(10, &limits).await;
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
}

async fn a_renewed_hold_does_not_expire(rig: Rig) {
    let (living, dead) = (rig.hold(1, &[]).await, rig.hold(2, &[]).await);
    let mut expired = Vec::new();
    for _ in 0..20 {
        rig.ledger.renew(&[living, RunId::mint()]).await.expect("renews");
        expired.extend(rig.pass(15_000).await);
    }
    assert_eq!(expired, [Expired { run: dead, amount: NanoUsd::new(2) }]);
    assert_eq!(rig.ledger.settle(living, NanoUsd::new(1)).await, Ok(Settled::Booked));
}

async fn a_late_settlement_corrects_the_expired_booking_once(rig: Rig) {
    let run = rig.hold(100, &[usd_per_day(Scope::Key, 1_000)]).await;
    rig.pass(60_000).await;
    assert_eq!(rig.ledger.settle(run, NanoUsd::new(30)).await, Ok(Settled::Corrected));
    assert_eq!(rig.ledger.settle(run, NanoUsd::new(30)).await, Ok(Settled::Nothing));
    for (scope, id) in [(Scope::User, ANN), (Scope::Key, "web"), (Scope::Global, "")] {
        assert_eq!(rig.usd(scope, id).await, (30, 0), "{id}");
    }
    assert_eq!(rig.usage().await.platform_waste, NanoUsd::ZERO);
}

async fn a_late_void_takes_the_expired_booking_back(rig: Rig) {
    let limits = [requests(Scope::User, 1, HOUR_MS)];
    let run = rig.hold(100, &limits).await;
    rig.pass(60_000).await;
    rig.ledger.void(run).await.expect("voids");
    assert_eq!((rig.usd(Scope::Global, "").await, rig.usage().await.platform_waste), ((0, 0), NanoUsd::ZERO));
    rig.hold(1, &limits).await;
}

async fn an_expired_hold_can_be_neither_extended_nor_reserved_again(rig: Rig) {
    let run = rig.hold(1, &[]).await;
    rig.pass(60_000).await;
    assert_eq!(rig.ledger.extend(run, NanoUsd::new(1)).await, Err(StoreError::NoHold(run)));
    assert_eq!(rig.reserve(run, 1, &[]).await, Err(StoreError::NoHold(run)));
    assert_eq!(rig.usd(Scope::Global, "").await, (1, 0));
}

async fn an_expired_request_keeps_its_slot(rig: Rig) {
    let limits = [requests(Scope::User, 1, HOUR_MS)];
    rig.hold(1, &limits).await;
    rig.pass(60_000).await;
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
}

async fn after_a_pause_living_processes_renew_before_anything_expires(rig: Rig) {
    let (living, dead) = (rig.hold(1, &[]).await, rig.hold(2, &[]).await);
    rig.pass(10_000).await;
    rig.clock.advance(10 * 60_000);
    assert_eq!(rig.ledger.expire().await, Ok(vec![]), "the sweeps stood still, and so did the renewals");
    rig.ledger.renew(&[living]).await.expect("renews");
    assert_eq!(rig.pass(20_000).await, [Expired { run: dead, amount: NanoUsd::new(2) }]);
}

async fn what_is_long_over_is_forgotten(rig: Rig) {
    let expired = rig.hold(1, &[requests(Scope::User, 1, 1_000)]).await;
    let voided = RunId::mint();
    rig.ledger.void(voided).await.expect("voids");
    rig.pass(60_000).await;
    if rig.redis.is_some() {
        // There the server's own clock removes them.
        return;
    }
    rig.clock.advance(25 * HOUR_MS);
    rig.ledger.expire().await.expect("sweeps");
    assert_eq!(rig.ledger.settle(expired, NanoUsd::new(1)).await, Ok(Settled::Nothing));
    let answer = rig.reserve(voided, 1, &[]).await;
    assert!(matches!(answer, Ok(Reserved::Held { .. })), "{answer:?}");
}
