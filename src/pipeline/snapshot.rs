//! One config generation: parsed config, compiled policies, prices.

use std::sync::Arc;

use crate::config::Config;
use crate::policy::Policies;
use crate::pricing::PriceBook;

/// Immutable; a run sees exactly one from start to end.
pub struct Snapshot {
    pub generation: u64,
    pub config: Arc<Config>,
    pub policies: Policies,
    pub prices: PriceBook,
}
