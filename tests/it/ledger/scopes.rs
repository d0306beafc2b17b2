//! Whom a run counts for besides its caller: its tier, its targets, what its metadata says.

use std::collections::BTreeMap;

use headgate::domain::ids::RunId;
use headgate::domain::limit::{Limit, Scope, Unit};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Amount, Bill, Settled, Subjects, Used};

use super::rig::{HOUR_MS, Rig, ann, held, limit, on_both_stores, refused, requests, usd_per_day, used};

on_both_stores!(
    every_scope_counts_for_itself_and_all_of_them_bind_one_run,
    a_limit_on_a_scope_that_a_run_is_not_in_does_not_bind_it,
    a_limit_on_targets_binds_every_target_of_the_plan_with_the_whole_amount,
    a_settlement_charges_the_targets_that_were_called_and_frees_the_others,
    one_refusing_target_of_a_plan_leaves_all_scopes_untouched,
    an_expired_run_is_charged_to_the_operators_scopes_and_to_no_callers,
    a_late_settlement_charges_targets_and_callers_what_it_really_was,
    odd_ids_count_like_any_other,
);

fn subjects(tier: &str, targets: &[&str], feature: &str) -> Subjects {
    Subjects {
        caller: ann(),
        tier: tier.into(),
        targets: targets.iter().map(|target| (*target).into()).collect(),
        metadata: BTreeMap::from([("feature".to_owned(), feature.to_owned())]),
        fingerprint: None,
    }
}

fn two_targets() -> Subjects {
    subjects("standard", &["one/large", "two/small"], "search")
}

fn usd(nano: u64) -> Amount {
    NanoUsd::new(nano).into()
}

fn all_scopes() -> [Scope; 8] {
    let feature = Scope::Metadata("feature".into());
    [Scope::User, Scope::Key, Scope::Team, Scope::Tier, Scope::Model, Scope::Provider, Scope::Global, feature]
}

fn bill(total: u64, targets: &[(&str, u64)]) -> Bill {
    let targets = targets.iter().map(|(target, nano)| ((*target).to_owned(), usd(*nano))).collect();
    Bill { total: usd(total), targets }
}

/// Settled and held nano-dollars of today for both models and both providers of the plan.
async fn of_targets(rig: &Rig) -> [(u64, u64); 4] {
    let report = rig.usage().await;
    let of = |scope, id| super::rig::usd(&report, scope, id);
    [
        of(Scope::Model, "one/large"),
        of(Scope::Model, "two/small"),
        of(Scope::Provider, "one"),
        of(Scope::Provider, "two"),
    ]
}

fn target_limits(max: u64) -> [Limit; 2] {
    [usd_per_day(Scope::Model, max), usd_per_day(Scope::Provider, max)]
}

async fn every_scope_counts_for_itself_and_all_of_them_bind_one_run(rig: Rig) {
    for scope in all_scopes() {
        let limits = [usd_per_day(Scope::Global, 1_000_000), usd_per_day(scope.clone(), 10)];
        let before = rig.usage().await;
        let (view, _) = refused(rig.ask(RunId::mint(), two_targets(), usd(11), &limits).await);
        assert_eq!(view.limit.scope, scope);
        assert_eq!(rig.usage().await, before, "{scope}");
    }
    let limits = all_scopes().map(|scope| usd_per_day(scope, 10));
    rig.hold_for(two_targets(), usd(10), &limits).await;
    let report = rig.usage().await;
    let ids = ["ann@example.org", "web", "core", "standard", "one/large", "one", "", "search"];
    for (scope, id) in all_scopes().into_iter().zip(ids) {
        let name = scope.to_string();
        assert_eq!(super::rig::usd(&report, scope, id), (0, 10), "{name}");
    }
}

async fn a_limit_on_a_scope_that_a_run_is_not_in_does_not_bind_it(rig: Rig) {
    let limits = [Scope::Tier, Scope::Model, Scope::Provider, Scope::Metadata("feature".into())]
        .map(|scope| usd_per_day(scope, 1));
    let views = held(rig.ask(RunId::mint(), Subjects::of(ann()), usd(50), &limits).await);
    assert!(views.is_empty(), "{views:?}");
    // Another value of the same key is another budget.
    rig.hold_for(subjects("", &[], "search"), usd(1), &limits).await;
    refused(rig.ask(RunId::mint(), subjects("", &[], "search"), usd(1), &limits).await);
    rig.hold_for(subjects("", &[], "chat"), usd(1), &limits).await;
}

async fn a_limit_on_targets_binds_every_target_of_the_plan_with_the_whole_amount(rig: Rig) {
    rig.hold_for(two_targets(), usd(7), &target_limits(10)).await;
    assert_eq!(of_targets(&rig).await, [(0, 7); 4]);
    let other = subjects("standard", &["two/large", "two/small"], "search");
    let (view, _) = refused(rig.ask(RunId::mint(), other, usd(4), &target_limits(10)).await);
    assert_eq!((view.before, view.subject.contains("two")), (7, true));
    // Another provider's budget is untouched.
    rig.hold_for(subjects("standard", &["three/x"], "search"), usd(10), &target_limits(10)).await;
}

async fn a_settlement_charges_the_targets_that_were_called_and_frees_the_others(rig: Rig) {
    let slots = [requests(Scope::Model, 1, HOUR_MS), limit(Scope::Provider, Unit::Requests, 1, "day")];
    let limits = [target_limits(100).as_slice(), &slots].concat();
    let run = rig.hold_for(two_targets(), usd(50), &limits).await;
    // The first target failed after it had cost 3, the second was never called.
    assert_eq!(rig.ledger.settle(run, bill(3, &[("one/large", 3)])).await, Ok(Settled::Booked));
    assert_eq!(of_targets(&rig).await, [(3, 0), (0, 0), (3, 0), (0, 0)]);
    assert_eq!(rig.usd(Scope::Global, "").await, (3, 0));
    refused(rig.ask(RunId::mint(), two_targets(), usd(0), &slots).await);
    rig.hold_for(subjects("standard", &["two/small"], "search"), usd(0), &slots).await;
}

async fn one_refusing_target_of_a_plan_leaves_all_scopes_untouched(rig: Rig) {
    rig.hold_for(subjects("standard", &["two/small"], "search"), usd(10), &target_limits(10)).await;
    let limits = [target_limits(10).as_slice(), &[requests(Scope::User, 5, HOUR_MS)]].concat();
    let before = rig.usage().await;
    refused(rig.ask(RunId::mint(), two_targets(), usd(1), &limits).await);
    assert_eq!(rig.usage().await, before);
}

async fn an_expired_run_is_charged_to_the_operators_scopes_and_to_no_callers(rig: Rig) {
    let limits = all_scopes().map(|scope| usd_per_day(scope, 100));
    rig.hold_for(two_targets(), usd(10), &limits).await;
    rig.pass(60_000).await;
    let report = rig.usage().await;
    let settled = |scope, id| super::rig::usd(&report, scope, id);
    for (scope, id) in [(Scope::User, "ann@example.org"), (Scope::Key, "web"), (Scope::Team, "core")] {
        assert_eq!(settled(scope, id), (0, 0), "{id}");
    }
    assert_eq!(settled(Scope::Metadata("feature".into()), "search"), (0, 0));
    assert_eq!((settled(Scope::Global, ""), settled(Scope::Tier, "standard")), ((10, 0), (10, 0)));
    assert_eq!(of_targets(&rig).await, [(10, 0); 4]);
    assert_eq!(report.platform_waste, NanoUsd::new(10));
}

async fn a_late_settlement_charges_targets_and_callers_what_it_really_was(rig: Rig) {
    let limits = all_scopes().map(|scope| usd_per_day(scope, 100));
    let run = rig.hold_for(two_targets(), usd(10), &limits).await;
    rig.pass(60_000).await;
    let late = bill(12, &[("one/large", 4), ("two/small", 8)]);
    assert_eq!(rig.ledger.settle(run, late).await, Ok(Settled::Corrected));
    assert_eq!(of_targets(&rig).await, [(4, 0), (8, 0), (4, 0), (8, 0)]);
    assert_eq!((rig.usd(Scope::Tier, "standard").await, rig.usd(Scope::Key, "web").await), ((12, 0), (12, 0)));
    assert_eq!(rig.usage().await.platform_waste, NanoUsd::ZERO);
}

async fn odd_ids_count_like_any_other(rig: Rig) {
    let odd = "a b:c|d;e=f%{g}/ü\n";
    let scope = Scope::Metadata("feature".into());
    let limits = [
        limit(scope.clone(), Unit::Usd, 10, "month@Europe/Berlin"),
        limit(scope.clone(), Unit::Tokens, 10, "90s"),
        limit(scope.clone(), Unit::Concurrent, 1, "open"),
        requests(scope.clone(), 9, 1_000),
    ];
    let run = rig.hold_for(subjects("", &[], odd), Amount { tokens: 4, ..usd(3) }, &limits).await;
    rig.ledger.extend(run, Amount { tokens: 2, ..usd(1) }).await.expect("extends");
    let report = rig.usage().await;
    let of = |limit: &Limit| used(&report, scope.clone(), odd, limit.quota.unit, &limit.quota.window);
    assert_eq!(
        limits.each_ref().map(of),
        [Some(Used::Parted { settled: 0, held: 4 }), Some(Used::Whole(6)), Some(Used::Whole(1)), Some(Used::Whole(1))]
    );
    // A value of any length is cut, not refused.
    rig.hold_for(subjects("", &[], &"ü".repeat(100_000)), usd(1), &limits).await;
}
