//! Work that no connection owns: one file per kind.

mod sweep;

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::pipeline::Hall;

/// Starts every worker on the current runtime. They end soon after `stop` is cancelled.
pub fn start(hall: &Arc<Hall>, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    vec![tokio::spawn(sweep::run(Arc::clone(hall), stop.clone()))]
}
