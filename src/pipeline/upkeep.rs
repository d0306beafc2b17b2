//! What the sweep does for jobs: those of dead processes start again, strays are given back, bills are paid.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::domain::ids::RunId;
use crate::domain::kept::Pen;
use crate::ledger::{Bill, Settled};
use crate::store::StoreError;

use super::Hall;

/// What an ended job owes, noted with its end: if its process dies before it pays, another one does.
#[derive(Serialize, Deserialize)]
pub(super) struct Owed {
    pub hold: RunId,
    pub bill: Bill,
}

impl Owed {
    pub(super) fn text(&self) -> Option<String> {
        serde_json::to_string(self).inspect_err(|error| tracing::error!(%error, "a bill can't be written")).ok()
    }
}

impl Hall {
    /// Puts jobs of dead processes back into the queue, and calls for workers where jobs wait. `strays` are jobs that
    /// this process was given and knew nothing of when it was last called; it answers the new ones.
    pub async fn keep_jobs_going(&self, strays: &HashSet<RunId>) -> Result<HashSet<RunId>, StoreError> {
        let revived = self.jobs.revive().await?;
        if revived > 0 {
            tracing::warn!(revived, "jobs of processes that are gone are queued again");
        }
        let live: HashSet<RunId> = self.live.ids().into_iter().collect();
        let mut unknown = HashSet::new();
        for pen in self.jobs.mine().await?.into_iter().filter(|pen| !live.contains(&pen.run)) {
            // A claim may be on its way to us: once is no proof.
            if strays.contains(&pen.run) {
                tracing::warn!(run = %pen.run, "a job was claimed and the answer lost; it is queued again");
                self.jobs.hand_back(pen).await?;
            } else {
                unknown.insert(pen.run);
            }
        }
        let waiting = self.jobs.queued().await?;
        self.metrics.jobs_queued.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.call_workers(waiting.min(self.snapshot().config.background.concurrency.into())).await;
        self.pay_what_is_owed().await?;
        if let Err(error) = self.queue.tidy().await {
            tracing::debug!(%error, "used tickets were not removed");
        }
        Ok(unknown)
    }

    /// Gives back what is under way: this process ends, and has done nothing wrong.
    pub async fn hand_jobs_back(&self) {
        for pen in self.live.pens() {
            if let Err(error) = self.jobs.hand_back(pen).await {
                // Its lease runs out instead, and that start counts.
                tracing::warn!(run = %pen.run, %error, "a job was not given back");
            }
        }
    }

    async fn pay_what_is_owed(&self) -> Result<(), StoreError> {
        for (run, text) in self.jobs.unpaid().await? {
            match serde_json::from_str::<Owed>(&text) {
                Ok(owed) => {
                    self.money.ledger().settle(owed.hold, owed.bill).await?;
                }
                Err(error) => tracing::error!(%run, %error, "a bill can't be read; its hold expires as platform waste"),
            }
            self.jobs.paid(run).await?;
        }
        Ok(())
    }

    /// Pays for a job that has ended under `pen`. Whoever was overtaken pays nothing: what its work cost is ours, and
    /// its hold expires as such. True where the hold had expired.
    pub(super) async fn pay_for_job(&self, pen: Pen, overtaken: bool, bill: Option<Bill>) -> bool {
        let overtaken = overtaken && !self.jobs.was_cancelled(pen).await.unwrap_or(false);
        let mut settled = None;
        match bill {
            _ if overtaken => self.money.abandon(pen.hold()),
            Some(bill) => settled = self.money.settle(pen.hold(), bill).await,
            None => self.money.void(pen.hold()).await,
        }
        if !overtaken && let Err(error) = self.jobs.paid(pen.run).await {
            tracing::debug!(run = %pen.run, %error, "a bill is paid and still noted; it will be found paid");
        }
        settled == Some(Settled::Corrected)
    }
}
