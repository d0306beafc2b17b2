//! Runaway guards: they stop what goes on and on, and nothing else.

use headgate::domain::ids::RunId;
use headgate::domain::limit::{Limit, Scope, Unit};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Reserved, Subjects};

use super::rig::{HOUR_MS, Rig, ann, limit, on_both_stores, refused};

on_both_stores!(
    a_loop_stays_stopped_as_long_as_it_goes_on_and_ends_with_a_pause,
    requests_that_differ_are_no_loop,
    a_refusal_by_a_budget_is_no_sign_of_a_loop,
    a_guard_on_spending_has_an_account_of_its_own,
    the_night_that_cost_2400_dollars_costs_cents,
);

fn same(body: &str) -> Subjects {
    Subjects { fingerprint: Some(body.to_owned()), ..Subjects::of(ann()) }
}

fn looping(max: u64, window: &str) -> Limit {
    limit(Scope::User, Unit::Identical, max, window)
}

async fn ask(rig: &Rig, body: &str, nano: u64, limits: &[Limit]) -> Reserved {
    rig.ask(RunId::mint(), same(body), NanoUsd::new(nano).into(), limits).await.expect("answers")
}

fn is_held(answer: &Reserved) -> bool {
    matches!(answer, Reserved::Held { .. })
}

async fn a_loop_stays_stopped_as_long_as_it_goes_on_and_ends_with_a_pause(rig: Rig) {
    let limits = [looping(3, "1m")];
    for _ in 0..3 {
        assert!(is_held(&ask(&rig, "a", 1, &limits).await));
    }
    // One a second for ten minutes: ten windows, and not one call more.
    for _ in 0..600 {
        rig.clock.advance(1_000);
        let (view, _) = refused(Ok(ask(&rig, "a", 1, &limits).await));
        assert_eq!((&view.limit, view.subject.as_str(), view.before), (&limits[0], "ann@example.org", 3));
    }
    // Who waits as long as it is told is served: the last three came within three seconds.
    let (_, wait) = refused(Ok(ask(&rig, "a", 1, &limits).await));
    assert!((57_000..=60_001).contains(&wait), "{wait}");
    rig.clock.advance(wait);
    assert!(is_held(&ask(&rig, "a", 1, &limits).await));
}

async fn requests_that_differ_are_no_loop(rig: Rig) {
    let limits = [looping(1, "1m")];
    for body in ["a", "b", "c"] {
        assert!(is_held(&ask(&rig, body, 1, &limits).await));
    }
    let (view, _) = refused(Ok(ask(&rig, "b", 1, &limits).await));
    assert_eq!(view.limit.quota.unit, Unit::Identical);
    // Nobody else's same request counts, and none that nobody compared.
    let other = Subjects { caller: headgate::domain::caller::Caller { user: "bob".into(), ..ann() }, ..same("b") };
    assert!(is_held(&rig.ask(RunId::mint(), other, NanoUsd::ZERO.into(), &limits).await.expect("answers")));
    for _ in 0..3 {
        rig.hold(1, &limits).await;
    }
    assert!(rig.usage().await.counters.iter().all(|counter| counter.unit != Unit::Identical));
}

async fn a_refusal_by_a_budget_is_no_sign_of_a_loop(rig: Rig) {
    let limits = [looping(2, "1h"), limit(Scope::User, Unit::Usd, 10, "1m")];
    assert!(is_held(&ask(&rig, "a", 10, &limits).await));
    for _ in 0..20 {
        let (view, _) = refused(Ok(ask(&rig, "a", 10, &limits).await));
        assert_eq!(view.limit.quota.unit, Unit::Usd);
    }
    rig.clock.advance(60_001);
    assert!(is_held(&ask(&rig, "a", 10, &limits).await));
}

async fn a_guard_on_spending_has_an_account_of_its_own(rig: Rig) {
    // Above the limit over the same time: still the guard's maximum decides for the guard.
    let limits = [limit(Scope::User, Unit::Usd, 10, "1h"), limit(Scope::User, Unit::SpendRate, 7, "1h")];
    assert!(is_held(&ask(&rig, "a", 7, &limits).await));
    let (view, wait) = refused(Ok(ask(&rig, "a", 1, &limits).await));
    assert_eq!((&view.limit, view.before, wait), (&limits[1], 7, HOUR_MS + 1));
    let (view, _) = refused(Ok(ask(&rig, "a", 1, &limits[1..]).await));
    assert_eq!(view.limit.quota.unit.guard(), Some("usd_per_hour"));
}

/// The guide's incident: a client retries one request against a verbose model for three hours and pays $2,400. At two
/// cents an answer that is eleven calls a second; this replays one of them in every two seconds.
async fn the_night_that_cost_2400_dollars_costs_cents(rig: Rig) {
    const ANSWER_NANO: u64 = 20_480_000;
    const PAUSE_MS: u64 = 2_000;
    let limits = [looping(20, "1m"), limit(Scope::User, Unit::SpendRate, 1_000_000_000, "1h")];
    let (mut calls, mut tries) = (0, 0);
    while tries * PAUSE_MS < 3 * HOUR_MS {
        let run = RunId::mint();
        let answer = rig.ask(run, same("write on"), NanoUsd::new(ANSWER_NANO).into(), &limits).await;
        if is_held(&answer.expect("answers")) {
            rig.ledger.settle(run, NanoUsd::new(ANSWER_NANO)).await.expect("settles");
            calls += 1;
        }
        tries += 1;
        rig.clock.advance(PAUSE_MS);
    }
    assert_eq!((tries, calls), (5_400, 20));
    assert!(calls * ANSWER_NANO < 500_000_000, "41 cents");
}
