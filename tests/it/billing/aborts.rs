//! Clients that leave before the first token, in the middle, after the last: what was used is paid, in every provider
//! format, and the receipt tells it.

use headgate::simulator::{Fault, Step};
use serde_json::json;

use super::{PAIRS, Pair, RATES_NANO, answered_by, gateway, priced, receipt_of};
use crate::support::cases::each;
use crate::support::wire::Wire;
use crate::support::{TestGateway, until};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// The provider has the call, and nothing was said.
    BeforeTheFirst,
    /// Plain: half of the body has come. Stream: three words were delivered.
    InTheMiddle,
    /// Every word of a stream was delivered, its end was not.
    BeforeTheEnd,
    /// The client has the whole answer.
    AfterTheLast,
}

const WORDS: [&str; 5] = ["streaming", "onwards", "through", "several", "sentences"];

struct Case {
    pair: Pair,
    stream: bool,
    moment: Moment,
    model: String,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for pair in PAIRS {
        for stream in [false, true] {
            for moment in [Moment::BeforeTheFirst, Moment::InTheMiddle, Moment::BeforeTheEnd, Moment::AfterTheLast] {
                if stream || moment != Moment::BeforeTheEnd {
                    let shape = if stream { "stream" } else { "plain" };
                    let model = format!("{moment:?}-{shape}-{}", pair.name());
                    cases.push(Case { pair, stream, moment, model });
                }
            }
        }
    }
    cases
}

impl Case {
    fn step(&self) -> Step {
        let fault = match (self.moment, self.stream) {
            (Moment::BeforeTheFirst, false) => Some(Fault::HangBeforeHead),
            (Moment::BeforeTheFirst, true) => Some(Fault::Stall { after: 0 }),
            (Moment::InTheMiddle, _) => Some(Fault::Stall { after: 3 }),
            (Moment::BeforeTheEnd, _) => Some(Fault::Stall { after: 5 }),
            (Moment::AfterTheLast, _) => None,
        };
        answered_by(self.pair.kind, Step { fault, ..Step::text(WORDS.join(" ")) })
    }

    /// Output tokens that the client has seen when it leaves, or could have.
    fn delivered(&self) -> u64 {
        match (self.moment, self.stream) {
            (Moment::BeforeTheFirst, _) | (Moment::InTheMiddle, false) => 0,
            (Moment::InTheMiddle, true) => 3,
            (Moment::BeforeTheEnd | Moment::AfterTheLast, _) => 5,
        }
    }

    /// Asks, and leaves at the moment.
    async fn leave(&self, gw: &TestGateway) {
        let mut wire = Wire::connect(gw.gateway.client).await;
        let body = self.pair.question(&self.model, self.stream).to_string();
        wire.ask(self.pair.path, &body, &[("x-request-id", &self.model)]).await;
        match (self.moment, self.stream) {
            (Moment::BeforeTheFirst, _) | (Moment::InTheMiddle, false) => {
                until("the provider has the call", || gw.mock.model_counts(&self.model).open_calls == 1).await;
            }
            (Moment::InTheMiddle | Moment::BeforeTheEnd, true) | (Moment::BeforeTheEnd, false) => {
                wire.head().await;
                let last = WORDS[usize::try_from(self.delivered()).unwrap() - 1];
                wire.until(|text| text.contains(last)).await;
            }
            (Moment::AfterTheLast, false) => {
                let head = wire.head().await;
                wire.sized(&head).await;
            }
            (Moment::AfterTheLast, true) => {
                wire.head().await;
                assert!(wire.rest().await.whole, "{}", self.model);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_pays_what_was_used_never_nothing_and_never_more_than_the_hold() {
    let cases = cases();
    let gw = gateway(|config| {
        for case in &cases {
            priced(config, case.pair.kind, &case.model);
        }
    })
    .await;
    each(&cases, |case| left(&gw, case)).await;
    assert_eq!(gw.log().len(), cases.len(), "one run for each");
    let prices: u64 = gw.log().iter().map(|line| line["cost_nano"].as_u64().expect("a price")).sum();
    assert_eq!(gw.at_rest().await, prices);
}

async fn left(gw: &TestGateway, case: &Case) {
    gw.mock.script(&case.model, vec![case.step()]);
    case.leave(gw).await;
    let line = gw.finished_as(&case.model).await;
    let receipt = receipt_of(gw, line["run"].as_str().expect("a run")).await;
    let name = format!("{:?}, {} over {}, stream {}", case.moment, case.pair.path, case.pair.kind, case.stream);
    let [price, hold] = ["price_nano", "hold_nano"].map(|part| receipt[part].as_u64().expect("an amount"));
    assert!(0 < price && price <= hold, "{name}: {price} of {hold}");

    let (billed, whole) = (gw.mock.model_counts(&case.model), case.moment == Moment::AfterTheLast);
    let [input, .., output] = RATES_NANO;
    let bill = billed.input_tokens * input + case.delivered() * output;
    if whole {
        assert_eq!((billed.output_tokens, price), (5, bill), "{name}: the provider's own bill");
        assert_eq!((&receipt["outcome"], &receipt["counted"]), (&json!("ok"), &json!(false)), "{name}");
    } else {
        assert!(price >= bill, "{name}: {price}, the provider bills {bill}");
        assert_eq!(
            (&receipt["outcome"], &receipt["counted"]),
            (&json!("client_gone"), &json!(true)),
            "{name}: {receipt}"
        );
    }
    let usage = &receipt["usage"];
    assert!(usage["output"].as_u64().expect("a count") >= case.delivered(), "{name}: {usage}");
    assert!(usage["input"].as_u64().expect("a count") > 0, "{name}: {usage}");
}
