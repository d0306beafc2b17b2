//! What is left when runs are over: money, gauges.

use serde_json::Value;

use headgate::simulator::{Fault, Step};

use super::wire::Wire;
use super::{TestGateway, until};

/// A global budget that no test reaches, so that settled and held money can be read.
pub fn counted(config: &mut Value) {
    config["limits"] = serde_json::json!([{ "scope": "global", "usd": 50, "per": "day" }]);
}

impl TestGateway {
    /// Nano-dollars that a call with this body sets aside: it is made, hangs at `model`, and is given up.
    pub async fn hold_of(&self, body: &Value, model: &str) -> u64 {
        let (calls, runs) = (self.mock.model_counts(model).calls, self.log().len());
        self.mock.script(model, vec![Step::fault(Fault::HangBeforeHead)]);
        let wire = Wire::chat(self, body, &[]).await;
        until("the call has arrived", || self.mock.model_counts(model).calls > calls).await;
        let (_, held) = self.spent("global").await;
        drop(wire);
        self.finished(runs + 1).await;
        self.mock.script(model, Vec::new());
        held
    }

    /// Waits until no run is left; then no call to a provider, no hold and no held dollar may be left either.
    /// Returns the nano-dollars settled.
    pub async fn at_rest(&self) -> u64 {
        until("no run is left", || self.gateway.hall().metrics().runs_open.get() == 0).await;
        let metrics = self.metrics().await;
        for gauge in ["headgate_runs_open", "headgate_upstream_open", "headgate_holds_open"] {
            assert!(metrics.lines().any(|line| line == format!("{gauge} 0")), "{gauge} is not back to 0:\n{metrics}");
        }
        let (settled, held) = self.spent("global").await;
        assert_eq!(held, 0, "money is still held");
        assert_eq!(self.usage().await["open_holds"], 0);
        settled
    }
}
