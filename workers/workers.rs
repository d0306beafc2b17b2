//! Work that no connection owns: one file per kind.

mod respond;
mod share;
mod sweep;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::pipeline::Hall;

/// Starts what every process has to do, on the current runtime. It ends soon after `stop` is cancelled.
pub fn upkeep(hall: &Arc<Hall>, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(sweep::run(Arc::clone(hall), stop.clone())),
        tokio::spawn(share::run(Arc::clone(hall), stop.clone())),
    ]
}

/// Starts to run queued jobs on `runtime`. No further job is begun once `drain` is cancelled.
pub fn respond(hall: &Arc<Hall>, runtime: &Handle, drain: &CancellationToken) -> JoinHandle<()> {
    runtime.spawn(respond::run(Arc::clone(hall), drain.clone()))
}
