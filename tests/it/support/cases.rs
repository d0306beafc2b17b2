//! Many cases on one gateway: each has targets of its own, so that breakers, scripts and counts don't mix.

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::TestGateway;

/// Adds two tiers. `name` goes from `{provider}/{name}` to `{name}-fallback` at the other provider, `{name}-alone` has
/// the first of them only.
pub fn tiers_of_its_own(config: &mut Value, name: &str, provider: &str) {
    let other = if provider == "openai" { "anthropic" } else { "openai" };
    let (primary, fallback) = (format!("{provider}/{name}"), format!("{other}/{name}-fallback"));
    config["tiers"][name] = json!({ "primary": primary, "fallback": fallback, "max_tokens": 100 });
    config["tiers"][format!("{name}-alone")] = json!({ "primary": primary, "max_tokens": 100 });
    for target in [primary, fallback] {
        config["prices"][target] = json!({ "input": 1, "output": 10 });
    }
}

/// Runs all cases, a few at a time: each has time-outs that a crowd would make it miss.
pub async fn each<C, F: Future<Output = ()>>(cases: impl IntoIterator<Item = C>, check: impl Fn(C) -> F) {
    stream::iter(cases).map(check).buffer_unordered(8).for_each(|()| async {}).await;
}

impl TestGateway {
    /// The line of the run with this request id.
    pub async fn finished_as(&self, request_id: &str) -> Value {
        let line = || self.log().into_iter().find(|line| line["request_id"] == request_id);
        super::until("its run has finished", || line().is_some()).await;
        line().expect("just seen")
    }
}
