//! Holds and limits, nothing else: money and request slots are taken before anything is sent, and every hold ends
//! exactly once: settled, voided or expired.
//!
//! A *counter* is identified by scope, subject, unit and window, never by its maximum, so that a changed limit finds
//! what was consumed before. Dollars per UTC day are always counted for the user and for `global`. Both stores keep
//! the same rules: on SQLite they are the [`book`], on Redis one script per verb.
//!
//! A calendar window is charged what was admitted in it, whenever the run ends. A sliding window counts a run from
//! its admission, or its last extension, for its length: no stretch of that length holds more than the limit.

mod ask;
mod away;
mod binding;
mod book;
mod counter;
mod held;
mod redis;
mod report;
mod shares;
mod shelf;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::RunId;
use crate::domain::limit::{LimitView, OnStoreError};
use crate::domain::money::NanoUsd;
use crate::store::{Now, Store, StoreError};

pub use ask::{Amount, Bill, Reserve, Subjects};
pub use held::{HeldCounter, HeldRun, HoldState};
pub use report::{CounterUsage, UsageReport, Used};

use away::{Away, End};
use shares::{Lease, Shares};
use shelf::Shelf;

/// How long a hold lives without a renewal.
pub const HOLD_TTL: Duration = Duration::from_secs(60);

/// How often a process should renew the holds of its open runs.
pub const RENEW_EVERY: Duration = Duration::from_secs(15);

/// How often some process should sweep with [`Ledger::expire`].
pub const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The answer to [`Ledger::reserve`] and [`Ledger::extend`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Taken under every limit. One view for each counter that `limits` named, in their order; for an extension those
    /// in dollars and tokens only.
    Held { limits: Vec<LimitView> },
    /// The store is away. Taken from what this process may spend meanwhile; the views are of that.
    Away { limits: Vec<LimitView> },
    /// Taken under none. The view is the limit that takes longest to heal among those that refuse. A retry after
    /// `retry_after_ms` fits, if nobody else comes first and the amount fits the limit at all. For concurrent runs, and
    /// where more than a thousand entries must leave a sliding window, it is only the time to ask again.
    Refused { view: LimitView, retry_after_ms: u64 },
}

/// What a settlement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The hold ended and the price is booked, in full even where it is above the hold.
    Booked,
    /// The hold had expired: its estimated booking is replaced by the price.
    Corrected,
    /// There is no such hold: settled or voided before, or never taken. Nothing changed.
    Nothing,
}

/// A hold that nobody renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    pub run: RunId,
    /// Charged to the operator's scopes (global, tier, model, provider) in full, as platform waste; the caller's own
    /// are charged nothing.
    pub amount: NanoUsd,
}

/// What [`Ledger::check`] found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Writes of this process that the store had forgotten.
    pub repeated_writes: usize,
    /// Runs that were admitted while the store was away and that it now knows.
    pub returned_runs: usize,
    /// What those of them that have ended have cost.
    pub returned_usd: NanoUsd,
}

/// The ledger. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    store: Store,
    shelf: Shelf,
    away: Arc<Away>,
    shares: Arc<Shares>,
}

impl Ledger {
    pub fn new(store: &Store) -> Self {
        Ledger { shelf: Shelf::new(store), store: store.clone(), away: Arc::default(), shares: Arc::default() }
    }

    /// Sets `amount` aside and counts one request, under every limit that binds or under none, in one step. The dollars
    /// of user and global are held whether limited or not. A limit on the team binds no caller without one; one on
    /// models or providers binds every target that the run may call, each with the whole amount.
    ///
    /// While the store does not answer, the limits say whether the hold is taken in this process instead.
    ///
    /// Errors: after [`StoreError::Unavailable`] the hold may or may not be taken; the asker must [`void`] the id until
    /// that succeeds. [`StoreError::NoHold`]: the id was voided or has expired; nothing was taken.
    ///
    /// [`void`]: Ledger::void
    pub async fn reserve(&self, ask: Reserve) -> Result<Reserved, StoreError> {
        if ask.limits.iter().all(|limit| limit.on_store_error == OnStoreError::Deny) {
            return self.shelf.reserve(ask).await;
        }
        let answer = self.shelf.reserve(ask.clone()).await;
        match &answer {
            Ok(Reserved::Held { limits }) => self.shares.see(&ask.limits, limits),
            Ok(Reserved::Refused { view, .. }) if self.shares.give_up(view) => {
                self.pay_back().await?;
                return self.shelf.reserve(ask).await;
            }
            Err(error) if self.is_away(error) => {
                if let Some(taken) = self.away.reserve(&ask, &self.shares, self.now()) {
                    return Ok(taken);
                }
            }
            _ => {}
        }
        answer
    }

    /// Enlarges the hold under the same limits on dollars and tokens, all or nothing. It is no further request.
    ///
    /// Errors: [`StoreError::NoHold`] without an open hold. After [`StoreError::Unavailable`] the hold may be larger or
    /// not, until it ends.
    pub async fn extend(&self, run: RunId, more: impl Into<Amount>) -> Result<Reserved, StoreError> {
        let more = more.into();
        if let Some(answer) = self.away.extend(run, more, self.now()) {
            return answer;
        }
        self.shelf.extend(run, more).await
    }

    /// Ends the hold and books the bill into the windows in which the hold was taken. Safe to repeat.
    pub async fn settle(&self, run: RunId, bill: impl Into<Bill>) -> Result<Settled, StoreError> {
        let bill = bill.into();
        if self.away.settle(run, &bill, self.now()) {
            return Ok(Settled::Booked);
        }
        self.shelf.settle(run, bill).await
    }

    /// Gives the hold and its requests back: nothing was sent. Safe to repeat. Where it comes before its reserve,
    /// the reserve will take nothing.
    pub async fn void(&self, run: RunId) -> Result<(), StoreError> {
        if self.away.void(run, self.now()) {
            return Ok(());
        }
        self.shelf.void(run).await
    }

    /// Starts the [`HOLD_TTL`] of these holds anew; ids without an open hold are passed over.
    pub async fn renew(&self, runs: &[RunId]) -> Result<(), StoreError> {
        self.shelf.renew(runs).await
    }

    /// Ends every hold that was not renewed in time, and removes what no rule asks for any more. After a pause of the
    /// sweeps themselves (a stopped process, an outage of the store) the first ones end nothing, so that living
    /// processes can renew first.
    pub async fn expire(&self) -> Result<Vec<Expired>, StoreError> {
        self.shelf.expire().await
    }

    /// What is known of the hold of `run`; none once it is settled or voided, or where it never was.
    pub async fn held(&self, run: RunId) -> Result<Option<HeldRun>, StoreError> {
        self.shelf.held(run).await
    }

    /// Looks after the store, about once a second: whether it takes writes, and on Redis whether it still is what it was.
    /// A Redis that has forgotten its last moments (restored from a copy, failed over to a replica that lagged) is told
    /// again what this process has written in them; nothing new is admitted before. Then it is told of what was admitted
    /// while it was away, and shares of limits are set aside.
    ///
    /// Errors: [`StoreError::Corrupt`] for a loss that can't be mended like that; an operator has to decide.
    pub async fn check(&self) -> Result<Checked, StoreError> {
        let mut checked = Checked { repeated_writes: self.shelf.check().await?, ..Checked::default() };
        self.hand_over(&mut checked).await?;
        self.tend_shares(false).await?;
        Ok(checked)
    }

    /// Leaves nothing of this process in the store that it no longer needs. To be called at its end.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.hand_over(&mut Checked::default()).await?;
        self.tend_shares(true).await
    }

    /// Tells the store of the runs that were admitted without it. It takes them whatever its counters say: shares stand for
    /// what was promised, and the rest was allowed.
    async fn hand_over(&self, checked: &mut Checked) -> Result<(), StoreError> {
        while let Some((run, amount, binds)) = self.away.next() {
            self.shelf.take(run, amount, binds, true).await?;
            match self.away.told(run) {
                None => {}
                Some(End::Settle(bill)) => {
                    let usd = bill.total.usd;
                    self.shelf.settle(run, bill).await?;
                    checked.returned_usd = checked.returned_usd.saturating_add(usd);
                    self.away.gone(run);
                }
                Some(End::Void) => {
                    self.shelf.void(run).await?;
                    self.away.gone(run);
                }
            }
            checked.returned_runs += 1;
        }
        Ok(())
    }

    /// Takes every share anew that is due, and then gives the old hold back, so that one of them always stands.
    async fn tend_shares(&self, at_the_end: bool) -> Result<(), StoreError> {
        for (bind, amount) in self.shares.due(self.now().unix_ms, at_the_end) {
            let (hold, ends_ms, counter) = (RunId::mint(), bind.ends_ms, bind.counter.clone());
            let taken = match amount {
                0 => None,
                _ => match self.shelf.take(hold, shares::amount_of(&counter, amount), vec![bind], false).await {
                    Ok(Reserved::Held { .. }) => Some(Lease { hold, amount, ends_ms }),
                    Ok(_) => None,
                    Err(error) => {
                        self.shares.owes([hold]);
                        return Err(error);
                    }
                },
            };
            self.shares.replace(&counter, taken);
        }
        self.pay_back().await
    }

    async fn pay_back(&self) -> Result<(), StoreError> {
        for hold in self.shares.owed() {
            self.shelf.void(hold).await?;
            self.shares.paid(hold);
        }
        Ok(())
    }

    /// Whether an error means that the store is away, and not that it refuses or is merely busy.
    fn is_away(&self, error: &StoreError) -> bool {
        match error {
            StoreError::Unavailable(_) => true,
            StoreError::NotAsked(_) => !self.store.is_up(),
            StoreError::Refused(_) | StoreError::Corrupt(_) | StoreError::NoHold(_) | StoreError::Superseded(_) => {
                false
            }
        }
    }

    /// By the store's clock, as far as it is known.
    fn now(&self) -> Now {
        Now { unix_ms: self.shelf.now_ms(&self.store), ..self.store.clock().now() }
    }

    /// Reads every live counter. Each is exact by itself; on Redis they are not all of one instant.
    pub async fn usage(&self) -> Result<UsageReport, StoreError> {
        self.shelf.usage().await
    }
}
