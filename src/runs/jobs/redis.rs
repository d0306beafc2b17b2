//! Jobs on Redis: a hash per job, a list per lane, a set of lanes ordered by their turns.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::ids::RunId;
use crate::domain::kept::{KeptState, Pen};
use crate::store::StoreError;
use crate::store::redis::{Redis, Script};

use super::super::{PROCESS_LEASE, Process};
use super::{Claimed, PAID_AT_ONCE};

/// Entries of cancelled jobs that one claim passes over at most.
const PASSED_OVER: u32 = 1_000;

#[derive(Clone)]
pub(super) struct RedisJobs {
    store: Redis,
    process: Process,
    scripts: Arc<Scripts>,
}

struct Scripts {
    claim: Script,
    end: Script,
    cancel: Script,
    mine: Script,
    hand_back: Script,
    revive: Script,
    unpaid: Script,
}

/// What `claim.lua` answers: run, fence, starts, work.
type Row = (String, u64, u32, Option<Vec<u8>>);

impl RedisJobs {
    pub fn new(store: Redis, process: Process) -> Self {
        let scripts = Scripts {
            claim: Script::new(&[include_str!("claim.lua")]),
            end: Script::new(&[include_str!("end.lua")]),
            cancel: Script::new(&[include_str!("cancel.lua")]),
            mine: Script::new(&[include_str!("mine.lua")]),
            hand_back: Script::new(&[include_str!("hand_back.lua")]),
            revive: Script::new(&[include_str!("revive.lua")]),
            unpaid: Script::new(&[include_str!("unpaid.lua")]),
        };
        RedisJobs { store, process, scripts: Arc::new(scripts) }
    }

    pub async fn claim(&self) -> Result<Option<Claimed>, StoreError> {
        let args = [self.process.as_bytes(), millis(PROCESS_LEASE), PASSED_OVER.to_string().into_bytes()];
        let row: Option<Row> = self.store.run(&self.scripts.claim, &args).await?;
        row.map(|(run, fence, starts, work)| {
            let run = RunId::parse(&run).ok_or_else(|| StoreError::Corrupt("the queue names no run".to_owned()))?;
            Ok(Claimed { pen: Pen { run, fence: Some(fence) }, starts, work: work.map(Bytes::from) })
        })
        .transpose()
    }

    pub async fn end(
        &self,
        pen: Pen,
        state: KeptState,
        bill: Option<String>,
        keep: Duration,
    ) -> Result<bool, StoreError> {
        let args =
            [name(pen.run), fence(pen), state.as_str().into(), bill.unwrap_or_default().into_bytes(), millis(keep)];
        self.store.run::<bool>(&self.scripts.end, &args).await
    }

    pub async fn cancel(&self, run: RunId, keep: Duration) -> Result<Option<Pen>, StoreError> {
        let fence: i64 = self.store.run(&self.scripts.cancel, &[name(run), millis(keep)]).await?;
        Ok(u64::try_from(fence).ok().map(|fence| Pen { run, fence: Some(fence) }))
    }

    pub async fn was_cancelled(&self, pen: Pen) -> Result<bool, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(format!("hg:job:{}", pen.run)).arg("cancelled");
        let cut: Option<u64> = self.store.command(&command).await?;
        Ok(pen.fence.is_some() && cut == pen.fence)
    }

    pub async fn mine(&self) -> Result<Vec<Pen>, StoreError> {
        let mine: Vec<(String, u64)> = self.store.run(&self.scripts.mine, &[self.process.as_bytes()]).await?;
        let pen = |(run, fence): (String, u64)| Some(Pen { run: RunId::parse(&run)?, fence: Some(fence) });
        Ok(mine.into_iter().filter_map(pen).collect())
    }

    pub async fn hand_back(&self, pen: Pen) -> Result<(), StoreError> {
        self.store.run::<i64>(&self.scripts.hand_back, &[name(pen.run), fence(pen)]).await.map(|_| ())
    }

    pub async fn revive(&self) -> Result<u64, StoreError> {
        self.store.run(&self.scripts.revive, &[]).await
    }

    pub async fn queued(&self) -> Result<u64, StoreError> {
        self.store.command(redis::cmd("SCARD").arg("hg:jobs:queued")).await
    }

    pub async fn unpaid(&self) -> Result<Vec<(RunId, String)>, StoreError> {
        let args = [PAID_AT_ONCE.to_string().into_bytes()];
        let owed: Vec<(String, String)> = self.store.run(&self.scripts.unpaid, &args).await?;
        Ok(owed.into_iter().filter_map(|(run, bill)| Some((RunId::parse(&run)?, bill))).collect())
    }

    pub async fn paid(&self, run: RunId) -> Result<(), StoreError> {
        let mut commands = redis::Pipeline::new();
        commands.cmd("SREM").arg("hg:jobs:unpaid").arg(run.to_string()).ignore();
        commands.cmd("HDEL").arg(format!("hg:job:{run}")).arg("bill").ignore();
        self.store.pipeline(&commands).await
    }
}

fn name(run: RunId) -> Vec<u8> {
    run.to_string().into_bytes()
}

fn fence(pen: Pen) -> Vec<u8> {
    pen.fence.unwrap_or_default().to_string().into_bytes()
}

fn millis(duration: Duration) -> Vec<u8> {
    duration.as_millis().to_string().into_bytes()
}
