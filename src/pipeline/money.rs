//! The ledger as runs use it: which holds this process keeps alive, and settlements that wait for the store.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::domain::limit::{LimitView, Unit};
use crate::ledger::{Amount, Bill, Checked, Ledger, Reserve, Reserved, Settled};
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// An end of a hold that the store has not taken yet.
#[derive(Clone, Debug)]
enum Waiting {
    Settle(RunId, Bill),
    Void(RunId),
}

/// A hold that was taken.
pub(super) struct Taken {
    pub limits: Vec<LimitView>,
    /// The store does not answer; the limits allow to go on without it.
    pub away: bool,
}

pub struct Money {
    store: Store,
    ledger: Ledger,
    metrics: Arc<Metrics>,
    open: Mutex<HashSet<RunId>>,
    waiting: Mutex<VecDeque<Waiting>>,
}

impl Money {
    pub(super) fn new(store: &Store, metrics: Arc<Metrics>) -> Self {
        Money {
            ledger: Ledger::new(store),
            store: store.clone(),
            metrics,
            open: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// Sets an amount aside under every limit, or under none.
    pub(super) async fn reserve(&self, ask: Reserve) -> Result<Taken, GatewayError> {
        let (run, amount) = (ask.run, ask.amount);
        match self.ledger.reserve(ask).await {
            Ok(Reserved::Held { limits }) => Ok(self.opened(run, Taken { limits, away: false })),
            Ok(Reserved::Away { limits }) => {
                self.metrics.store_away_runs.inc();
                Ok(self.opened(run, Taken { limits, away: true }))
            }
            Ok(Reserved::Refused { view, retry_after_ms }) => Err(refusal(view, retry_after_ms, amount)),
            Err(error) => {
                if matches!(error, StoreError::Unavailable(_)) {
                    // The answer may be lost and the hold taken: only its id can tell, so the id is voided.
                    self.wait(Waiting::Void(run));
                }
                Err(unavailable("reserve", &error))
            }
        }
    }

    /// Enlarges the hold of `run` before another attempt.
    pub(super) async fn extend(&self, run: RunId, more: Amount) -> Result<(), GatewayError> {
        match self.ledger.extend(run, more).await {
            Ok(Reserved::Held { .. } | Reserved::Away { .. }) => Ok(()),
            Ok(Reserved::Refused { view, retry_after_ms }) => Err(refusal(view, retry_after_ms, more)),
            Err(error) => Err(unavailable("extend", &error)),
        }
    }

    /// Books `bill` and frees the rest of the hold. What the store can't take now is retried until it can, and what
    /// that does nobody is told.
    pub(super) async fn settle(&self, run: RunId, bill: Bill) -> Option<Settled> {
        let settled = self.ledger.settle(run, bill.clone()).await;
        if let Err(error) = &settled {
            unavailable("settle", error);
            self.wait(Waiting::Settle(run, bill));
        }
        self.closed(&run);
        settled.ok()
    }

    /// Gives the whole hold back: nothing was sent.
    pub(super) async fn void(&self, run: RunId) {
        if let Err(error) = self.ledger.void(run).await {
            unavailable("void", &error);
            self.wait(Waiting::Void(run));
        }
        self.closed(&run);
    }

    /// Leaves the hold to expire: what it paid for is nobody's but ours.
    pub(super) fn abandon(&self, run: RunId) {
        self.closed(&run);
    }

    /// Keeps the holds of open runs from expiring. Called every 15 s.
    pub async fn renew(&self) -> Result<(), StoreError> {
        let open: Vec<RunId> = locked(&self.open).iter().copied().collect();
        if open.is_empty() {
            return Ok(());
        }
        self.ledger.renew(&open).await
    }

    /// Ends every hold whose process is gone. Returns how many.
    pub async fn expire(&self) -> Result<usize, StoreError> {
        Ok(self.ledger.expire().await?.len())
    }

    /// Tries again what the store could not take. Stops at the first that still fails.
    pub async fn retry_waiting(&self) {
        loop {
            let Some(next) = locked(&self.waiting).front().cloned() else { return };
            let taken = match next {
                Waiting::Settle(run, bill) => self.ledger.settle(run, bill).await.map(|_| ()),
                Waiting::Void(run) => self.ledger.void(run).await,
            };
            if taken.is_err() {
                return;
            }
            locked(&self.waiting).pop_front();
            self.metrics.settlements_waiting.dec();
        }
    }

    /// Looks after the store, so that readiness is not stale and a loss is noticed. Called every second.
    pub async fn check(&self) -> Result<(), StoreError> {
        let Checked { repeated_writes, returned_runs, returned_usd } = self.ledger.check().await?;
        if repeated_writes > 0 {
            self.metrics.store_repeated_writes.inc_by(u64::try_from(repeated_writes).unwrap_or(u64::MAX));
            tracing::warn!(
                repeated_writes,
                "the store had forgotten its last writes; those of this process were repeated"
            );
        }
        if returned_runs > 0 {
            tracing::warn!(returned_runs, %returned_usd, "the store was told of the runs that were admitted without it");
        }
        Ok(())
    }

    /// Leaves nothing of this process in the store that it no longer needs.
    pub async fn close(&self) {
        if let Err(error) = self.ledger.close().await {
            tracing::warn!(%error, "what this process has set aside in the store stays there until it expires");
        }
    }

    pub fn is_store_up(&self) -> bool {
        self.store.is_up()
    }

    /// What went wrong with the store since this was last asked.
    pub fn take_store_trouble(&self) -> Option<String> {
        self.store.take_trouble()
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn opened(&self, run: RunId, taken: Taken) -> Taken {
        locked(&self.open).insert(run);
        self.metrics.holds_open.inc();
        taken
    }

    fn wait(&self, what: Waiting) {
        locked(&self.waiting).push_back(what);
        self.metrics.settlements_waiting.inc();
    }

    fn closed(&self, run: &RunId) {
        if locked(&self.open).remove(run) {
            self.metrics.holds_open.dec();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Ids and amounts stay valid whatever panicked while they were locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refusal(view: LimitView, retry_after_ms: u64, asked: Amount) -> GatewayError {
    let (view, retry_after) = (Box::new(view), Duration::from_millis(retry_after_ms));
    match view.unit() {
        Unit::Identical => GatewayError::LoopDetected { view, retry_after },
        Unit::Usd | Unit::SpendRate => GatewayError::BudgetExceeded { view, asked: asked.usd, retry_after },
        Unit::Tokens => GatewayError::RateLimited { view, asked: asked.tokens, retry_after },
        Unit::Requests | Unit::Concurrent => GatewayError::RateLimited { view, asked: 1, retry_after },
    }
}

fn unavailable(verb: &str, error: &StoreError) -> GatewayError {
    tracing::debug!(verb, %error, "the store did not take a ledger call");
    GatewayError::StoreUnavailable
}
