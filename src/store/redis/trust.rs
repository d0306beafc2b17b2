//! Whether this Redis still is the one that was written to, and still keeps what it is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use redis::Pipeline;

use super::super::StoreError;
use super::{Redis, checks};

/// Set by whoever first opens the store, to a value of its own.
pub(super) const EPOCH_KEY: &str = "hg:epoch";

/// The epoch that an operator has accepted although what was before it is lost.
pub(super) const ACCEPTED_KEY: &str = "hg:accepted";

/// There once a gateway has noticed a loss that it can't mend; a gateway that starts would know nothing of it.
pub(super) const LOST_KEY: &str = "hg:lost";

/// What to do about a loss.
pub(super) const REMEDY: &str =
    "restore it from a newer copy, or accept that budgets start anew with `headgate store accept-loss`";

/// Looks at the server's settings are so many checks apart.
const SETTINGS_EVERY: u32 = 5;

pub(super) struct Trust {
    /// What [`EPOCH_KEY`] must hold; empty where nobody asks.
    epoch: ArcSwap<String>,
    /// Why nothing is admitted, until a check has found it mended.
    shut: ArcSwapOption<StoreError>,
    checks: AtomicU32,
    /// Keys that the server had evicted at the first check; all ones before it.
    evicted: AtomicU64,
}

impl Trust {
    pub(super) fn new(epoch: Option<String>) -> Self {
        Trust {
            epoch: ArcSwap::from_pointee(epoch.unwrap_or_default()),
            shut: ArcSwapOption::empty(),
            checks: AtomicU32::new(0),
            evicted: AtomicU64::new(u64::MAX),
        }
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut.load().is_some()
    }

    /// Errors: why nothing may be admitted.
    pub(super) fn admits(&self) -> Result<(), StoreError> {
        match &*self.shut.load() {
            Some(why) => Err(StoreError::clone(why)),
            None => Ok(()),
        }
    }
}

impl Redis {
    /// The value that the epoch key must have: a Redis that was emptied under running gateways has another or none, and
    /// must not be taken for one in which nobody has spent anything. Empty where the operator accepts just that.
    pub fn epoch(&self) -> Arc<String> {
        self.shared.trust.epoch.load_full()
    }

    /// False where the operator accepts a Redis that may forget.
    pub fn is_strict(&self) -> bool {
        !self.shared.trust.epoch.load().is_empty()
    }

    /// To be called by who finds another epoch. Nothing is admitted any more.
    pub fn emptied(&self) -> StoreError {
        let what = "this Redis was emptied or replaced while the gateway ran, and what was spent is forgotten";
        self.shut(StoreError::Corrupt(format!("{what}; {REMEDY}")))
    }

    /// To be called by who finds that `writes` of its own are forgotten, here and there.
    pub fn lost_too_much(&self, writes: u64) -> StoreError {
        let what = format!(
            "this Redis is an old copy: it has forgotten {writes} writes of this process that the process does not \
             remember either"
        );
        self.shut(StoreError::Corrupt(format!("{what}; {REMEDY}")))
    }

    /// To be called by who finds that writes of its own are forgotten that it can repeat. Until then nobody is served.
    pub fn lost_its_tail(&self) -> StoreError {
        let error = StoreError::Unavailable("it has forgotten its last writes; they are being repeated".to_owned());
        self.shared.health.fails(&error);
        error
    }

    /// To be called by who has found everything in order.
    pub fn is_sound(&self) {
        self.shared.trust.shut.store(None);
        self.wrote();
    }

    /// Leaves word of a loss for gateways that start later.
    pub async fn warn_others(&self) -> Result<(), StoreError> {
        self.command(redis::cmd("SET").arg(LOST_KEY).arg("").arg("NX")).await
    }

    /// True where an operator has accepted the loss: the new epoch is ours from now on.
    pub async fn is_accepted(&self) -> Result<bool, StoreError> {
        let keys: [Option<String>; 2] = self.command(redis::cmd("MGET").arg(EPOCH_KEY).arg(ACCEPTED_KEY)).await?;
        match keys {
            [Some(epoch), Some(accepted)] if epoch == accepted => {
                self.shared.trust.epoch.store(Arc::new(epoch));
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Looks every few calls whether the server evicts keys or keeps no log any more. One that has evicted any may have
    /// forgotten what was spent: it counts as emptied, for all gateways.
    pub async fn check_settings(&self) -> Result<(), StoreError> {
        let trust = &self.shared.trust;
        let is_due = trust.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(SETTINGS_EVERY) || trust.is_shut();
        if !self.is_strict() || !is_due {
            return Ok(());
        }
        let mut info = Pipeline::new();
        for section in ["memory", "persistence", "stats"] {
            info.cmd("INFO").arg(section);
        }
        let info = self.pipeline::<Vec<String>>(&info).await?.concat();
        let evicted = checks::evicted_keys(&info);
        if trust.evicted.load(Ordering::Relaxed) < evicted {
            self.warn_others().await?;
            self.command::<redis::Value>(redis::cmd("DEL").arg(EPOCH_KEY)).await?;
        }
        trust.evicted.store(evicted, Ordering::Relaxed);
        checks::check_durability(&info).map_err(|error| self.shut(error))
    }

    fn shut(&self, error: StoreError) -> StoreError {
        self.shared.trust.shut.store(Some(Arc::new(error.clone())));
        self.shared.health.fails(&error);
        error
    }
}
