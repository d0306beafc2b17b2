//! Runs queued jobs. A ticket wakes a worker; it claims one job after another until none is queued.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::pipeline::Hall;
use crate::queue::Work;

/// The wait before a worker whose queue failed is started anew; doubled for every further failure in a row.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);

/// Serves the queue until `stop`, whatever happens to its connection. Jobs under way go on by themselves.
pub(super) async fn run(hall: Arc<Hall>, stop: CancellationToken) {
    let concurrency = hall.snapshot().config.background.concurrency as usize;
    let places = Arc::new(Semaphore::new(concurrency));
    let work = {
        let (hall, stop) = (Arc::clone(&hall), stop.clone());
        Work::new(move || work(Arc::clone(&hall), Arc::clone(&places), stop.clone()).boxed())
    };
    let mut wait = BACK_OFF_MIN;
    while !stop.is_cancelled() {
        // apalis hands a name's tickets to nobody else while it seems alive: every start has a name of its own.
        let name = format!("headgate-{}", Uuid::new_v4().simple());
        match hall.queue().serve(name, work.clone(), stop.clone()).await {
            Ok(()) => wait = BACK_OFF_MIN,
            Err(error) => {
                tracing::warn!(%error, again_in_ms = wait.as_millis(), "the worker lost its queue and starts anew");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep(wait) => {}
                }
                wait = (wait * 2).min(BACK_OFF_MAX);
            }
        }
    }
}

/// Works until nothing is queued, if there is a free place: a worker that lost its queue may have left jobs behind.
async fn work(hall: Arc<Hall>, places: Arc<Semaphore>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let Ok(_place) = places.try_acquire() else { return };
        match hall.work().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::debug!(%error, "no job was claimed; the sweep calls again");
                return;
            }
        }
    }
}
