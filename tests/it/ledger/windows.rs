//! Calendars, sliding windows of any unit, and runs that are open at the same time.

use headgate::domain::ids::RunId;
use headgate::domain::limit::{Limit, Scope, Unit};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Amount, Bill, Reserved, Settled, Subjects, Used};

use super::rig::{HOUR_MS, Rig, ann, held, limit, on_both_stores, refused, used};

on_both_stores!(
    a_calendar_window_ends_where_its_time_zone_says,
    a_month_is_one_budget_and_the_next_a_fresh_one,
    what_is_admitted_in_a_calendar_window_is_charged_to_it_whenever_it_ends,
    requests_and_tokens_are_counted_over_the_calendar_too,
    money_in_a_sliding_window_frees_as_its_oldest_parts_leave,
    no_window_ever_holds_more_tokens_than_its_limit,
    a_settlement_refunds_the_tokens_that_were_not_used,
    a_settlement_after_its_window_has_passed_changes_nothing_there,
    an_extension_counts_in_the_window_from_its_own_time,
    an_ask_larger_than_the_limit_never_fits,
    a_lowered_limit_says_when_enough_has_left,
    an_open_run_holds_its_place_until_it_ends,
    a_place_is_freed_when_its_hold_expires,
    windows_of_every_kind_bind_one_run_all_or_none,
);

fn tokens(tokens: u64) -> Amount {
    Amount { usd: NanoUsd::ZERO, tokens }
}

fn usd(nano: u64) -> Amount {
    NanoUsd::new(nano).into()
}

fn caller() -> Subjects {
    Subjects::of(ann())
}

async fn hold(rig: &Rig, amount: Amount, limit: &Limit) -> RunId {
    rig.hold_for(caller(), amount, std::slice::from_ref(limit)).await
}

/// How much is used and how long until the ask fits, of an ask that must be refused.
async fn wait(rig: &Rig, amount: Amount, limit: &Limit) -> (u64, u64) {
    let answer = rig.ask(RunId::mint(), caller(), amount, std::slice::from_ref(limit)).await;
    let (view, wait) = refused(answer);
    assert_eq!(&view.limit, limit);
    (view.before, wait)
}

async fn stands_at(rig: &Rig, limit: &Limit) -> Option<Used> {
    used(&rig.usage().await, limit.scope.clone(), "ann@example.org", limit.quota.unit, &limit.quota.window)
}

async fn a_calendar_window_ends_where_its_time_zone_says(rig: Rig) {
    // 12:00 UTC is 13:00 in Berlin, 17:30 in Kolkata.
    let ends = [("hour", 60), ("day", 12 * 60), ("day@Europe/Berlin", 11 * 60), ("hour@Asia/Kolkata", 30)];
    for (window, minutes) in ends {
        let limit = limit(Scope::Key, Unit::Usd, 10, window);
        let run = hold(&rig, usd(10), &limit).await;
        assert_eq!(wait(&rig, usd(1), &limit).await, (10, minutes * 60_000), "{window}");
        rig.ledger.settle(run, NanoUsd::new(10)).await.expect("settles");
    }
    rig.clock.advance(30 * 60_000 - 1);
    let kolkata = limit(Scope::Key, Unit::Usd, 10, "hour@Asia/Kolkata");
    wait(&rig, usd(1), &kolkata).await;
    rig.clock.advance(1);
    hold(&rig, usd(10), &kolkata).await;
}

async fn a_month_is_one_budget_and_the_next_a_fresh_one(rig: Rig) {
    let month = limit(Scope::User, Unit::Usd, 10, "month");
    let run = hold(&rig, usd(8), &month).await;
    rig.ledger.settle(run, NanoUsd::new(6)).await.expect("settles");
    // From the 24th at noon to the 30th.
    rig.clock.advance(6 * 24 * HOUR_MS);
    assert_eq!(wait(&rig, usd(5), &month).await, (6, 12 * HOUR_MS));
    assert_eq!(stands_at(&rig, &month).await, Some(Used::Parted { settled: 6, held: 0 }));
    rig.clock.advance(12 * HOUR_MS);
    assert_eq!(stands_at(&rig, &month).await, None);
    hold(&rig, usd(10), &month).await;
}

async fn what_is_admitted_in_a_calendar_window_is_charged_to_it_whenever_it_ends(rig: Rig) {
    let hour = limit(Scope::User, Unit::Usd, 10, "hour");
    let (early, late) = (hold(&rig, usd(6), &hour).await, hold(&rig, usd(4), &hour).await);
    rig.clock.advance(HOUR_MS);
    rig.ledger.settle(early, NanoUsd::new(5)).await.expect("settles");
    rig.ledger.void(late).await.expect("voids");
    assert_eq!(stands_at(&rig, &hour).await, None);
    hold(&rig, usd(10), &hour).await;
}

async fn requests_and_tokens_are_counted_over_the_calendar_too(rig: Rig) {
    let requests = limit(Scope::User, Unit::Requests, 2, "day");
    let token = limit(Scope::User, Unit::Tokens, 100, "day");
    let limits = [requests.clone(), token.clone()];
    let first = rig.hold_for(caller(), tokens(60), &limits).await;
    let bill = Bill { total: tokens(20), targets: Vec::new() };
    assert_eq!(rig.ledger.settle(first, bill).await, Ok(Settled::Booked));
    let second = rig.hold_for(caller(), tokens(80), &limits).await;
    assert_eq!(stands_at(&rig, &token).await, Some(Used::Parted { settled: 20, held: 80 }));
    assert_eq!(stands_at(&rig, &requests).await, Some(Used::Whole(2)));
    assert_eq!(wait(&rig, tokens(0), &requests).await, (2, 12 * HOUR_MS));
    assert_eq!(wait(&rig, tokens(1), &token).await, (100, 12 * HOUR_MS));
    rig.ledger.void(second).await.expect("voids");
    rig.hold_for(caller(), tokens(80), &limits).await;
}

async fn money_in_a_sliding_window_frees_as_its_oldest_parts_leave(rig: Rig) {
    let rolling = limit(Scope::User, Unit::Usd, 10, "24h");
    for nano in [4, 3, 2] {
        hold(&rig, usd(nano), &rolling).await;
        rig.clock.advance(HOUR_MS);
    }
    // 9 are used. 1 fits now, 2 when the first has left, 8 when the first two have.
    assert_eq!(wait(&rig, usd(2), &rolling).await, (9, 21 * HOUR_MS + 1));
    assert_eq!(wait(&rig, usd(8), &rolling).await, (9, 22 * HOUR_MS + 1));
    rig.clock.advance(21 * HOUR_MS);
    wait(&rig, usd(2), &rolling).await;
    rig.clock.advance(1);
    hold(&rig, usd(5), &rolling).await;
    wait(&rig, usd(1), &rolling).await;
    assert_eq!(stands_at(&rig, &rolling).await, Some(Used::Whole(10)));
}

async fn no_window_ever_holds_more_tokens_than_its_limit(rig: Rig) {
    let (max, window_ms) = (1_000, 1_000);
    let per_second = limit(Scope::User, Unit::Tokens, max, "1s");
    let mut used: Vec<(u64, u64)> = Vec::new();
    for step in 0..400u64 {
        let (asked, charged) = (100 + 37 * step % 300, 50 + 29 * step % 150);
        let run = RunId::mint();
        let answer = rig.ask(run, caller(), tokens(asked), std::slice::from_ref(&per_second)).await;
        if matches!(answer, Ok(Reserved::Held { .. })) {
            let charged = charged.min(asked);
            let bill = Bill { total: tokens(charged), targets: Vec::new() };
            rig.ledger.settle(run, bill).await.expect("settles");
            used.push((step * 41, charged));
        }
        rig.clock.advance(41);
    }
    for (from, _) in &used {
        let within = used.iter().filter(|(at, _)| (*from..=from + window_ms).contains(at));
        let sum: u64 = within.map(|(_, tokens)| tokens).sum();
        assert!(sum <= max, "{sum} tokens in the second from {from}");
    }
    let (seconds, all): (u64, u64) = (400 * 41 / 1_000, used.iter().map(|(_, tokens)| tokens).sum());
    assert!(all > seconds * max / 2, "only {all} tokens in {seconds} s: false refusals");
}

async fn a_settlement_refunds_the_tokens_that_were_not_used(rig: Rig) {
    let minute = limit(Scope::User, Unit::Tokens, 100, "1m");
    let run = hold(&rig, tokens(90), &minute).await;
    wait(&rig, tokens(11), &minute).await;
    rig.clock.advance(10_000);
    rig.ledger.settle(run, Bill { total: tokens(30), targets: Vec::new() }).await.expect("settles");
    hold(&rig, tokens(70), &minute).await;
    // The 30 leave a minute after they were admitted, not after they were settled.
    assert_eq!(wait(&rig, tokens(30), &minute).await, (100, 50_001));
}

async fn a_settlement_after_its_window_has_passed_changes_nothing_there(rig: Rig) {
    let minute = limit(Scope::User, Unit::Tokens, 100, "1m");
    let run = hold(&rig, tokens(90), &minute).await;
    rig.clock.advance(60_001);
    let other = hold(&rig, tokens(100), &minute).await;
    rig.ledger.settle(run, Bill { total: tokens(80), targets: Vec::new() }).await.expect("settles");
    assert_eq!(wait(&rig, tokens(1), &minute).await, (100, 60_001));
    rig.ledger.void(other).await.expect("voids");
    assert_eq!(stands_at(&rig, &minute).await, None);
}

async fn an_extension_counts_in_the_window_from_its_own_time(rig: Rig) {
    let minute = limit(Scope::User, Unit::Tokens, 100, "1m");
    let run = hold(&rig, tokens(40), &minute).await;
    rig.clock.advance(30_000);
    let views = held(rig.ledger.extend(run, tokens(20)).await);
    assert_eq!((views[0].before, views[0].after), (40, 60));
    rig.clock.advance(30_001);
    assert_eq!(wait(&rig, tokens(50), &minute).await, (60, 30_000));
    rig.clock.advance(30_000);
    // All of it has left; with the next extension it is back.
    let answer = rig.ledger.extend(run, tokens(41)).await;
    let (view, _) = refused(answer);
    assert_eq!(view.before, 60);
    held(rig.ledger.extend(run, tokens(40)).await);
    assert_eq!(wait(&rig, tokens(1), &minute).await, (100, 60_001));
    rig.ledger.settle(run, Bill { total: tokens(10), targets: Vec::new() }).await.expect("settles");
    assert_eq!(stands_at(&rig, &minute).await, Some(Used::Whole(10)));
}

async fn an_ask_larger_than_the_limit_never_fits(rig: Rig) {
    let minute = limit(Scope::User, Unit::Tokens, 100, "1m");
    wait(&rig, tokens(101), &minute).await;
    wait(&rig, tokens(u64::MAX), &minute).await;
    hold(&rig, tokens(100), &minute).await;
}

async fn a_lowered_limit_says_when_enough_has_left(rig: Rig) {
    let wide = limit(Scope::User, Unit::Requests, 50, "1m");
    for _ in 0..5 {
        hold(&rig, usd(0), &wide).await;
        rig.clock.advance(1_000);
    }
    // 5 are used; under a limit of 2 another fits when four have left.
    let narrow = limit(Scope::User, Unit::Requests, 2, "1m");
    assert_eq!(wait(&rig, usd(0), &narrow).await, (5, 58_001));
}

async fn an_open_run_holds_its_place_until_it_ends(rig: Rig) {
    let two = limit(Scope::User, Unit::Concurrent, 2, "open");
    let (first, second) = (hold(&rig, usd(1), &two).await, hold(&rig, usd(1), &two).await);
    assert_eq!(wait(&rig, usd(1), &two).await, (2, 1_000));
    rig.ledger.extend(first, usd(1)).await.expect("extends");
    assert_eq!(stands_at(&rig, &two).await, Some(Used::Whole(2)));
    rig.ledger.settle(first, NanoUsd::new(1)).await.expect("settles");
    let third = hold(&rig, usd(1), &two).await;
    rig.ledger.void(second).await.expect("voids");
    rig.ledger.void(second).await.expect("voids again");
    let fourth = hold(&rig, usd(1), &two).await;
    wait(&rig, usd(1), &two).await;
    for run in [third, fourth] {
        rig.ledger.settle(run, NanoUsd::ZERO).await.expect("settles");
    }
    assert_eq!(stands_at(&rig, &two).await, None);
}

async fn a_place_is_freed_when_its_hold_expires(rig: Rig) {
    let one = limit(Scope::User, Unit::Concurrent, 1, "open");
    let run = hold(&rig, usd(1), &one).await;
    rig.pass(30_000).await;
    rig.ledger.renew(&[run]).await.expect("renews");
    rig.pass(50_000).await;
    wait(&rig, usd(1), &one).await;
    rig.pass(10_000).await;
    hold(&rig, usd(1), &one).await;
    // What comes late for the dead run does not free the place of the living.
    rig.ledger.settle(run, NanoUsd::new(1)).await.expect("settles");
    wait(&rig, usd(1), &one).await;
}

async fn windows_of_every_kind_bind_one_run_all_or_none(rig: Rig) {
    let windows = ["hour", "day", "month", "day@Europe/Berlin", "1m", "24h"];
    let mut limits: Vec<Limit> = windows.map(|window| limit(Scope::User, Unit::Usd, 100, window)).into();
    limits.extend(windows.map(|window| limit(Scope::Key, Unit::Tokens, 100, window)));
    limits.extend(windows.map(|window| limit(Scope::Global, Unit::Requests, 100, window)));
    limits.push(limit(Scope::Team, Unit::Concurrent, 2, "open"));
    let all = rig.ask(RunId::mint(), caller(), Amount { tokens: 10, ..usd(10) }, &limits).await;
    assert_eq!(held(all).len(), limits.len());
    let before = rig.usage().await;
    for (place, refusing) in limits.iter().enumerate() {
        let mut tighter = limits.clone();
        tighter[place].quota.max = 1;
        let (view, _) = refused(rig.ask(RunId::mint(), caller(), Amount { tokens: 10, ..usd(10) }, &tighter).await);
        assert_eq!((&view.limit.scope, &view.limit.quota.window), (&refusing.scope, &refusing.quota.window));
        assert_eq!(rig.usage().await, before);
    }
}
