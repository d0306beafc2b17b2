//! What is booked, where and when.

use headgate::domain::ids::RunId;
use headgate::domain::limit::{DAY_MS, Scope};
use headgate::domain::money::NanoUsd;
use headgate::ledger::Settled;
use headgate::store::StoreError;

use super::rig::{HOUR_MS, NOON_MS, Rig, on_both_stores, refused, requests, usd_per_day};

on_both_stores!(
    a_settlement_books_the_price_in_every_scope_and_frees_the_rest,
    a_run_that_costs_nothing_ends_like_any_other,
    a_second_settlement_changes_nothing_and_says_so,
    a_price_above_the_hold_is_booked_in_full,
    a_second_void_changes_nothing,
    a_void_after_the_settlement_changes_nothing,
    a_void_that_comes_first_lets_its_reserve_take_nothing,
    money_is_booked_into_the_day_of_the_hold,
    a_new_day_is_a_new_budget,
    a_clock_that_steps_back_finds_what_was_spent_and_doubles_no_window,
);

const ANN: &str = "ann@example.org";

async fn a_settlement_books_the_price_in_every_scope_and_frees_the_rest(rig: Rig) {
    let run = rig.hold(100, &[usd_per_day(Scope::Key, 100), usd_per_day(Scope::Team, 100)]).await;
    assert_eq!(rig.ledger.settle(run, NanoUsd::new(42)).await, Ok(Settled::Booked));
    for (scope, id) in [(Scope::User, ANN), (Scope::Key, "web"), (Scope::Team, "core"), (Scope::Global, "")] {
        assert_eq!(rig.usd(scope, id).await, (42, 0), "{id}");
    }
    assert_eq!(rig.usage().await.open_holds, 0);
}

async fn a_run_that_costs_nothing_ends_like_any_other(rig: Rig) {
    let (settled, voided, expired) = (rig.hold(0, &[]).await, rig.hold(0, &[]).await, rig.hold(0, &[]).await);
    assert_eq!(rig.ledger.settle(settled, NanoUsd::ZERO).await, Ok(Settled::Booked));
    rig.ledger.void(voided).await.expect("voids");
    assert_eq!(rig.pass(60_000).await.len(), 1);
    assert_eq!(rig.ledger.settle(expired, NanoUsd::ZERO).await, Ok(Settled::Corrected));
    assert_eq!((rig.usd(Scope::Global, "").await, rig.usage().await.open_holds), ((0, 0), 0));
}

async fn a_second_settlement_changes_nothing_and_says_so(rig: Rig) {
    let run = rig.hold(100, &[]).await;
    rig.ledger.settle(run, NanoUsd::new(42)).await.expect("settles");
    assert_eq!(rig.ledger.settle(run, NanoUsd::new(7)).await, Ok(Settled::Nothing));
    assert_eq!(rig.ledger.settle(RunId::mint(), NanoUsd::new(7)).await, Ok(Settled::Nothing));
    assert_eq!(rig.usd(Scope::Global, "").await, (42, 0));
}

async fn a_price_above_the_hold_is_booked_in_full(rig: Rig) {
    let run = rig.hold(10, &[usd_per_day(Scope::User, 10)]).await;
    assert_eq!(rig.ledger.settle(run, NanoUsd::new(25)).await, Ok(Settled::Booked));
    assert_eq!(rig.usd(Scope::User, ANN).await, (25, 0));
    refused(rig.reserve(RunId::mint(), 1, &[usd_per_day(Scope::User, 10)]).await);
}

async fn a_second_void_changes_nothing(rig: Rig) {
    let (kept, voided) = (rig.hold(5, &[]).await, rig.hold(7, &[]).await);
    for _ in 0..3 {
        rig.ledger.void(voided).await.expect("voids");
    }
    assert_eq!((rig.usd(Scope::Global, "").await, rig.usage().await.open_holds), ((0, 5), 1));
    rig.ledger.void(kept).await.expect("voids");
    assert_eq!(rig.usd(Scope::Global, "").await, (0, 0));
}

async fn a_void_after_the_settlement_changes_nothing(rig: Rig) {
    let run = rig.hold(5, &[]).await;
    rig.ledger.settle(run, NanoUsd::new(5)).await.expect("settles");
    rig.ledger.void(run).await.expect("voids");
    assert_eq!(rig.usd(Scope::Global, "").await, (5, 0));
}

async fn a_void_that_comes_first_lets_its_reserve_take_nothing(rig: Rig) {
    let run = RunId::mint();
    rig.ledger.void(run).await.expect("voids");
    let late = rig.reserve(run, 5, &[requests(Scope::User, 1, 60_000)]).await;
    assert_eq!(late, Err(StoreError::NoHold(run)));
    assert_eq!(rig.ledger.settle(run, NanoUsd::new(5)).await, Ok(Settled::Nothing));
    assert_eq!(rig.usd(Scope::Global, "").await, (0, 0));
    rig.hold(5, &[requests(Scope::User, 1, 60_000)]).await;
}

async fn money_is_booked_into_the_day_of_the_hold(rig: Rig) {
    let before_midnight = rig.hold(100, &[]).await;
    let midnight = NOON_MS - NOON_MS % DAY_MS + DAY_MS;
    for _ in 0..12 {
        rig.ledger.renew(&[before_midnight]).await.expect("renews");
        rig.clock.advance(HOUR_MS);
    }
    rig.clock.advance(1);
    assert_eq!(rig.usd(Scope::Global, "").await, (0, 0), "a new day starts at zero");
    rig.ledger.settle(before_midnight, NanoUsd::new(60)).await.expect("settles");
    assert_eq!(rig.usd(Scope::Global, "").await, (0, 0));
    rig.clock.set_wall(midnight - 1);
    assert_eq!(rig.usd(Scope::Global, "").await, (60, 0));
}

async fn a_new_day_is_a_new_budget(rig: Rig) {
    let limits = [usd_per_day(Scope::User, 10)];
    let run = rig.hold(10, &limits).await;
    rig.ledger.settle(run, NanoUsd::new(10)).await.expect("settles");
    let (view, wait) = refused(rig.reserve(RunId::mint(), 1, &limits).await);
    assert_eq!(view.resets_at_ms, NOON_MS + 12 * HOUR_MS);
    rig.clock.advance(wait - 1);
    refused(rig.reserve(RunId::mint(), 1, &limits).await);
    rig.clock.advance(1);
    rig.hold(10, &limits).await;
}

async fn a_clock_that_steps_back_finds_what_was_spent_and_doubles_no_window(rig: Rig) {
    let limits = [usd_per_day(Scope::User, 10), requests(Scope::Key, 1, 60_000)];
    rig.hold(6, &limits).await;
    for back in [HOUR_MS, 2 * HOUR_MS] {
        rig.clock.set_wall(NOON_MS - back);
        refused(rig.reserve(RunId::mint(), 5, &[usd_per_day(Scope::User, 10)]).await);
        refused(rig.reserve(RunId::mint(), 1, &[requests(Scope::Key, 1, 60_000)]).await);
    }
}
