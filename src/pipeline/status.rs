//! What probes and operators are told about the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

/// Shared by both listeners and the reload loop.
#[derive(Debug, Default)]
pub struct Status {
    config_error: ArcSwapOption<String>,
    draining: AtomicBool,
}

impl Status {
    /// Why the last edit is not in force; none when it is.
    pub fn config_error(&self) -> Option<Arc<String>> {
        self.config_error.load_full()
    }

    pub fn set_config_error(&self, error: Option<String>) {
        self.config_error.store(error.map(Arc::new));
    }

    /// The process is on its way out and takes no new runs.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}
