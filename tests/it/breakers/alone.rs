//! Health of targets as one process sees it.

use std::time::{Duration, Instant};

use headgate::domain::ids::KeyId;
use headgate::targets::{BreakerRule, BreakerState, Targets};

const RULE: BreakerRule = BreakerRule { errors: 2, open: Duration::from_secs(30) };

fn fail(targets: &Targets, now: Instant) {
    targets.permit("t", &[], now).expect("closed").failed(RULE, now);
}

#[test]
fn errors_in_a_row_open_the_breaker_and_one_probe_closes_it() {
    let (targets, now) = (Targets::default(), Instant::now());
    fail(&targets, now);
    targets.permit("t", &[], now).expect("one error is not enough").succeeded(0, Duration::ZERO);
    fail(&targets, now);
    fail(&targets, now);
    assert_eq!(targets.permit("t", &[], now).expect_err("open"), now + RULE.open);
    let later = now + RULE.open;
    let probe = targets.permit("t", &[], later).expect("half open");
    assert!(targets.permit("t", &[], later).is_err(), "one probe at a time");
    probe.succeeded(0, Duration::ZERO);
    assert_eq!(targets.states(later), [("t".to_owned(), BreakerState::Closed)]);
    assert!(targets.permit("t", &[], later).is_ok());
}

#[test]
fn a_probe_that_was_cancelled_leaves_its_place_to_the_next_one() {
    let (targets, now) = (Targets::default(), Instant::now());
    fail(&targets, now);
    fail(&targets, now);
    let later = now + RULE.open;
    drop(targets.permit("t", &[], later).expect("half open"));
    targets.permit("t", &[], later).expect("free again").failed(RULE, later);
    assert_eq!(targets.permit("t", &[], later).expect_err("open again"), later + RULE.open);
}

#[test]
fn a_cool_down_keeps_everybody_away_and_is_neutral_to_the_breaker() {
    let (targets, now) = (Targets::default(), Instant::now());
    let until = now + Duration::from_secs(5);
    targets.cool("t", until);
    targets.cool("t", now);
    assert_eq!(targets.permit("t", &[], now).expect_err("cooling"), until);
    assert!(targets.permit("t", &[], until).is_ok());
    assert_eq!(targets.states(now), [("t".to_owned(), BreakerState::Closed)]);
}

#[test]
fn a_resting_target_is_a_last_resort_for_one_call_at_a_time_until_one_succeeds() {
    let (targets, now) = (Targets::default(), Instant::now());
    let until = now + Duration::from_secs(60);
    targets.rest("t", until);
    assert_eq!(targets.permit("t", &[], now).expect_err("resting"), until);
    let first = targets.last_resort("t", &[], now).expect("nobody tries yet");
    assert!(targets.last_resort("t", &[], now).is_none(), "one at a time");
    drop(first);
    targets.last_resort("t", &[], now).expect("free again").failed(RULE, now);
    assert_eq!(targets.permit("t", &[], now).expect_err("one error opens no breaker, and ends no rest"), until);
    targets.last_resort("t", &[], now).expect("free again").succeeded(0, Duration::ZERO);
    assert!(targets.permit("t", &[], now).is_ok());
}

#[test]
fn neither_a_cool_down_nor_an_open_breaker_has_a_last_resort() {
    let (targets, now) = (Targets::default(), Instant::now());
    let until = now + Duration::from_secs(60);
    targets.rest("t", until);
    targets.cool("t", now + Duration::from_secs(5));
    assert!(targets.last_resort("t", &[], now).is_none(), "the provider named a time");
    let later = now + Duration::from_secs(5);
    for _ in 0..RULE.errors {
        targets.last_resort("t", &[], later).expect("due").failed(RULE, later);
    }
    assert!(targets.last_resort("t", &[], later).is_none(), "the breaker is open");
}

#[test]
fn seconds_are_expected_from_measured_speed_only() {
    let (targets, now) = (Targets::default(), Instant::now());
    assert_eq!(targets.expected_seconds("t", 100), None);
    targets.permit("t", &[], now).expect("closed").succeeded(100, Duration::from_secs(2));
    assert_eq!(targets.expected_seconds("t", 100), Some(2.0));
}

fn keys() -> [KeyId; 2] {
    [KeyId::from_sha256([1; 32]), KeyId::from_sha256([2; 32])]
}

#[test]
fn the_first_key_that_works_is_used_for_every_target_of_its_provider() {
    let (targets, now, keys) = (Targets::default(), Instant::now(), keys());
    assert_eq!(targets.permit("t", &keys, now).expect("free").key_place(), 0);
    targets.rest_key(keys[0], now + Duration::from_secs(60));
    for target in ["t", "u"] {
        assert_eq!(targets.permit(target, &keys, now).expect("the second works").key_place(), 1);
    }
    targets.cool_key(keys[1], now + Duration::from_secs(5));
    assert_eq!(targets.permit("t", &keys, now).expect_err("no key works"), now + Duration::from_secs(5));
    assert_eq!(targets.permit("t", &keys, now + Duration::from_secs(5)).expect("due").key_place(), 1);
    assert_eq!(targets.permit("t", &keys, now + Duration::from_secs(60)).expect("due").key_place(), 0);
}

#[test]
fn a_resting_key_is_a_last_resort_for_one_call_at_a_time_until_one_succeeds() {
    let (targets, now, keys) = (Targets::default(), Instant::now(), keys());
    targets.cool_key(keys[0], now + Duration::from_secs(5));
    assert_eq!(targets.last_resort("t", &keys, now).map(|permit| permit.key_place()), None, "nothing rests");
    targets.rest_key(keys[1], now + Duration::from_secs(60));
    let first = targets.last_resort("t", &keys, now).expect("the second only rests");
    assert_eq!(first.key_place(), 1);
    assert!(targets.last_resort("u", &keys, now).is_none(), "one at a time, whatever the target");
    drop(first);
    targets.last_resort("u", &keys, now).expect("free again").succeeded(0, Duration::ZERO);
    assert_eq!(targets.permit("t", &keys, now).expect("healed for all targets").key_place(), 1);
}
