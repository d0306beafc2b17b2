//! Targets that answer nobody until somebody heals them: an account without credit, a refused key.

use headgate::simulator::{ErrorWords, Fault, StatusFault, Step};

use crate::support::{TestGateway, question, until};

fn out_of_credit() -> Step {
    let word = "insufficient_quota";
    let error = ErrorWords { kind: Some(word.into()), code: Some(word.into()), message: None };
    Step::fault(Fault::Status(StatusFault { status: 429, error, ..StatusFault::default() }))
}

#[tokio::test]
async fn a_target_without_credit_is_left_alone_by_every_call_that_has_another_one() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![out_of_credit()]);
    let first = gw.ask("standard").await;
    assert_eq!((first.status, first.header("x-headgate-attempts")), (200, "2"));
    for _ in 0..3 {
        let later = gw.ask("standard").await;
        assert_eq!((later.status, later.header("x-headgate-model")), (200, "anthropic/second"));
    }
    assert_eq!(gw.mock.model_counts("first").calls, 1);
}

#[tokio::test]
async fn a_tier_with_nothing_but_that_target_asks_it_once_per_call_and_hears_when_it_is_healed() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![out_of_credit(), out_of_credit(), Step::text("credit is back")]);
    for calls in 1..=2 {
        let refused = gw.ask("single").await;
        assert_eq!((refused.status, refused.code().as_str()), (402, "insufficient_quota"));
        assert_eq!(refused.header("x-should-retry"), "false");
        assert_eq!(gw.mock.model_counts("first").calls, calls);
    }
    assert_eq!(gw.ask("single").await.text(), "credit is back");
    // Healed for everybody: the tier that has another target is back at its primary too.
    assert_eq!(gw.ask("standard").await.header("x-headgate-model"), "openai/first");
}

#[tokio::test]
async fn only_one_call_at_a_time_finds_out_whether_it_is_healed() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![out_of_credit(), Step::fault(Fault::HangBeforeHead)]);
    assert_eq!(gw.ask("single").await.status, 402);
    let finding_out = tokio::spawn(gw.request(&question("single")).send());
    until("the second call has reached the provider", || gw.mock.model_counts("first").calls == 2).await;
    let refused = gw.ask("single").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "upstream_failed"));
    assert_eq!(gw.mock.model_counts("first").calls, 2, "the third call never left");
    finding_out.abort();
}
