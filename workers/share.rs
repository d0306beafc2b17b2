//! Shares the health of targets with the other replicas: every second, and at once when it changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::pipeline::Hall;

const TICK: Duration = Duration::from_secs(1);

pub(super) async fn run(hall: Arc<Hall>, stop: CancellationToken) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = hall.targets().has_news() => {}
        }
        // The sweep tells of a store that does not answer; until it does, this process goes by its own view.
        if let Err(error) = hall.targets().exchange().await {
            tracing::debug!(%error, "the health of targets was not shared");
        }
        hall.metrics().replicas.set(hall.targets().replicas().into());
    }
}
