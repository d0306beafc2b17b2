//! Clients that leave: the provider is hung up on within a second, and what was delivered is paid.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use headgate::simulator::{Fault, Step};

use crate::support::cases::{each, tiers_of_its_own};
use crate::support::rest::counted;
use crate::support::wire::Wire;
use crate::support::{TestGateway, question, streamed, until};

/// A second is promised; the rest is for a crowded machine.
const NOTICED: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The provider has a plain call and says nothing.
    PlainCall,
    /// The provider has half of a plain answer out.
    HalfABody,
    /// A stream without content: the client has no head yet.
    HeldHead,
    /// A stream whose head and comments are out, without content.
    Comments,
    /// A stream that stopped in the middle.
    IdleStream,
    /// A stream with an event every few milliseconds.
    BusyStream,
    /// A stream as fast as it goes.
    RushingStream,
}

/// How the client leaves.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// As a process that ends: closed, with or without a reset.
    Close,
    /// Only the sending side: a FIN and nothing else.
    HalfClose,
}

#[derive(Clone, Debug)]
struct Case {
    name: String,
    provider: &'static str,
    moment: Moment,
    leaving: Leaving,
}

fn cases() -> Vec<Case> {
    use Moment::{BusyStream, Comments, HalfABody, HeldHead, IdleStream, PlainCall, RushingStream};
    let mut cases = Vec::new();
    for moment in [PlainCall, HalfABody, HeldHead, Comments, IdleStream, BusyStream, RushingStream] {
        for leaving in [Leaving::Close, Leaving::HalfClose] {
            for provider in ["openai", "anthropic"] {
                let name = format!("{moment:?}-{leaving:?}-{provider}");
                cases.push(Case { name, provider, moment, leaving });
            }
        }
    }
    cases
}

impl Case {
    fn step(&self) -> Step {
        // More than the buffers on the way can hold, so that it can't be over before the client has left.
        let long = Step { words: Some(100_000), ..Step::text("streaming") };
        match self.moment {
            Moment::PlainCall => Step::fault(Fault::HangBeforeHead),
            Moment::HalfABody => Step::fault(Fault::Stall { after: 1 }),
            Moment::HeldHead | Moment::Comments => Step::fault(Fault::Stall { after: 0 }),
            Moment::IdleStream => Step { fault: Some(Fault::Stall { after: 3 }), ..Step::text("streaming on and on") },
            Moment::BusyStream => Step { gap_ms: 5, ..long },
            Moment::RushingStream => long,
        }
    }

    fn body(&self) -> Value {
        match self.moment {
            Moment::PlainCall | Moment::HalfABody => question(&self.name),
            _ => streamed(&self.name),
        }
    }

    /// Waits until the call is where the case wants it.
    async fn reach(&self, gw: &TestGateway, wire: &mut Wire) {
        match self.moment {
            Moment::PlainCall | Moment::HalfABody | Moment::HeldHead => {
                until("the provider has the call", || gw.mock.model_counts(&self.name).open_calls == 1).await;
            }
            Moment::Comments => {
                assert_eq!(wire.head().await.status, 200, "{}", self.name);
                wire.until(|text| text.starts_with(':')).await;
            }
            Moment::IdleStream => {
                assert_eq!(wire.head().await.status, 200, "{}", self.name);
                wire.until(|text| text.contains("and")).await;
            }
            Moment::BusyStream | Moment::RushingStream => {
                assert_eq!(wire.head().await.status, 200, "{}", self.name);
                wire.until(|text| text.matches("streaming").count() >= 3).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_is_hung_up_on_within_a_second_and_what_was_delivered_is_paid() {
    for comments in [false, true] {
        let cases: Vec<Case> =
            cases().into_iter().filter(|case| matches!(case.moment, Moment::Comments) == comments).collect();
        let gw = TestGateway::with(|config| {
            counted(config);
            config["timeouts"] = json!({ "head_hold": if comments { "20ms" } else { "1h" }, "keep_alive": "20ms" });
            for case in &cases {
                tiers_of_its_own(config, &case.name, case.provider);
                // Room for a stream that outlives the moment.
                config["tiers"][&case.name]["max_tokens"] = json!(100_000);
            }
        })
        .await;
        let first = &cases[0].name;
        let hold = gw.hold_of(&question(first), first).await;
        each(&cases, |case| leave(&gw, case, hold)).await;
        let total: u64 = gw.log().iter().map(|line| line["cost_nano"].as_u64().expect("a price")).sum();
        assert_eq!(gw.at_rest().await, total);
        assert_eq!(gw.log().len(), cases.len() + 1, "one line for each run");
    }
}

async fn leave(gw: &TestGateway, case: &Case, hold: u64) {
    let name = &case.name;
    let before = gw.mock.model_counts(name);
    gw.mock.script(name, vec![case.step()]);
    let mut wire = Wire::chat(gw, &case.body(), &[("x-request-id", name)]).await;
    case.reach(gw, &mut wire).await;

    let left = Instant::now();
    let mut wire = match case.leaving {
        Leaving::Close => {
            drop(wire);
            None
        }
        Leaving::HalfClose => {
            wire.socket.shutdown().await.expect("an open connection");
            Some(wire)
        }
    };
    until("the provider is hung up on", || gw.mock.model_counts(name).aborted == before.aborted + 1).await;
    assert!(left.elapsed() < NOTICED, "{name}: after {:?}", left.elapsed());

    let line = gw.finished_as(name).await;
    assert_eq!((&line["outcome"], &line["status"]), (&json!("client_gone"), &json!(499)), "{name}: {line}");
    assert_eq!(line["attempts"].as_array().map(Vec::len), Some(1), "{name}: nobody else is asked: {line}");
    let cost = line["cost_nano"].as_u64().expect("a price");
    assert!(0 < cost && cost <= hold, "{name}: {cost} of {hold}");
    if matches!(case.moment, Moment::IdleStream) {
        let billed = gw.mock.model_counts(name);
        let price = billed.input_tokens * 1_000 + billed.output_tokens * 10_000;
        assert!(billed.output_tokens == 3 && cost >= price, "{name}: settled {cost}, the provider bills {price}");
    }
    let half_closed =
        wire.as_mut().filter(|_| !matches!(case.moment, Moment::PlainCall | Moment::HalfABody | Moment::HeldHead));
    if let Some(wire) = half_closed {
        assert!(!wire.rest().await.whole, "{name}: no whole answer after all");
    }
}

#[tokio::test]
async fn a_kept_connection_is_watched_in_every_call() {
    let gw = TestGateway::with(counted).await;
    for leaving in [Leaving::Close, Leaving::HalfClose] {
        let (before, runs) = (gw.mock.model_counts("first"), gw.log().len());
        gw.mock.script("first", vec![Step::text("one"), Step::text("two"), Step::fault(Fault::HangBeforeHead)]);
        let mut wire = Wire::connect(gw.gateway.client).await;
        for answer in ["one", "two"] {
            wire.ask("/v1/chat/completions", &question("single").to_string(), &[]).await;
            let head = wire.head().await;
            let body = String::from_utf8(wire.sized(&head).await).unwrap();
            assert!(body.contains(answer), "{body}");
        }
        wire.ask("/v1/chat/completions", &question("single").to_string(), &[]).await;
        until("the provider has the call", || gw.mock.model_counts("first").calls == before.calls + 3).await;
        let left = Instant::now();
        match leaving {
            Leaving::Close => drop(wire),
            Leaving::HalfClose => wire.socket.shutdown().await.unwrap(),
        }
        until("the provider is hung up on", || gw.mock.model_counts("first").aborted == before.aborted + 1).await;
        assert!(left.elapsed() < NOTICED, "{leaving:?}: after {:?}", left.elapsed());
        assert_eq!(gw.finished(runs + 3).await["outcome"], "client_gone");
    }
    gw.at_rest().await;
}

#[tokio::test]
async fn a_client_that_leaves_after_the_last_byte_has_had_its_answer() {
    let gw = TestGateway::with(counted).await;
    for n in 1..=40 {
        let body = if n % 2 == 0 { question("single") } else { streamed("single") };
        let mut wire = Wire::chat(&gw, &body, &[]).await;
        let head = wire.head().await;
        if n % 2 == 0 {
            wire.sized(&head).await;
        } else {
            assert!(wire.rest().await.whole);
        }
        drop(wire);
        let line = gw.finished(n).await;
        assert_eq!((&line["outcome"], &line["status"]), (&json!("ok"), &json!(200)), "call {n}: {line}");
    }
    gw.at_rest().await;
}

#[tokio::test]
async fn one_client_that_leaves_takes_nobody_along() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![Step { gap_ms: 20, words: Some(60), ..Step::text("word") }]);
    let mut stays = Wire::chat(&gw, &streamed("single"), &[]).await;
    stays.head().await;
    for _ in 0..10 {
        let mut leaves = Wire::chat(&gw, &streamed("single"), &[]).await;
        leaves.head().await;
    }
    assert!(stays.rest().await.whole);
    until("the others are gone", || gw.mock.model_counts("first").aborted == 10).await;
}
