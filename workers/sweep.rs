//! The sweep: keeps the holds of this process alive, ends those of dead ones, hands in late settlements, and shows
//! what only a look from outside can tell (store, breakers, policies).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::ids::RunId;
use crate::pipeline::Hall;
use crate::store::StoreError;
use crate::targets::BreakerState;
use crate::telemetry::{HookLabel, TargetLabel};

const TICK: Duration = Duration::from_secs(1);

/// Ticks between two renewals; a hold lives four times as long without one.
const RENEW_EVERY: u32 = 15;

const EXPIRE_EVERY: u32 = 5;

/// A third of the time after which a silent process counts as dead.
const SHOW_LIFE_EVERY: u32 = 2;

const PURGE_EVERY: u32 = 60;

/// A job of a dead process is claimed again within its lease and this.
const JOBS_EVERY: u32 = 2;

pub(super) async fn run(hall: Arc<Hall>, stop: CancellationToken) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut store_was_up, mut strays) = (true, HashSet::new());
    for tick in 0_u32.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = work(&hall, tick, &mut strays).await {
            tracing::debug!(%error, "the rest of a sweep waits for the next one");
        }
        store_was_up = tell_store(&hall, store_was_up);
        show(&hall);
    }
}

/// `strays` are jobs that this process was given and did not know when it last looked.
async fn work(hall: &Hall, tick: u32, strays: &mut HashSet<RunId>) -> Result<(), StoreError> {
    hall.money().check().await?;
    hall.money().retry_waiting().await;
    if tick.is_multiple_of(RENEW_EVERY) {
        hall.money().renew().await?;
    }
    hall.stop_asked().await?;
    if tick.is_multiple_of(EXPIRE_EVERY) {
        expire(hall).await?;
    }
    if tick.is_multiple_of(SHOW_LIFE_EVERY) {
        hall.show_life().await?;
    }
    if tick.is_multiple_of(JOBS_EVERY) {
        *strays = hall.keep_jobs_going(strays).await?;
    }
    if tick.is_multiple_of(PURGE_EVERY) {
        hall.purge().await?;
    }
    Ok(())
}

async fn expire(hall: &Hall) -> Result<(), StoreError> {
    let ended = hall.money().expire().await?;
    if ended > 0 {
        tracing::warn!(ended, "holds of runs whose process is gone were ended; their price is platform waste");
    }
    Ok(())
}

/// At most two log lines a second, however the store flickers.
fn tell_store(hall: &Hall, was_up: bool) -> bool {
    let (trouble, up) = (hall.money().take_store_trouble(), hall.money().is_store_up());
    hall.metrics().store_up.set(i64::from(up));
    if let Some(error) = &trouble {
        tracing::error!(
            error,
            "the store takes no writes: new calls are refused with 503 until it does, unless their limits say otherwise"
        );
    }
    if up && (trouble.is_some() || !was_up) {
        tracing::info!("the store takes writes again");
    }
    up
}

fn show(hall: &Hall) {
    for (target, state) in hall.targets().states(Instant::now()) {
        let number = match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        hall.metrics().breaker_state.get_or_create(&TargetLabel { target }).set(number);
    }
    for (hook, failures) in hall.snapshot().policies.failures().iter() {
        hall.metrics().policy_failures.get_or_create(&HookLabel { hook }).set(failures.total);
    }
}
