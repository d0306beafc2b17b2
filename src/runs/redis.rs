//! Run records on Redis: one key per run that expires by itself, and a set of the newest.

use redis::Pipeline;
use tokio_util::task::TaskTracker;

use crate::domain::ids::RunId;
use crate::domain::record::RunRecord;
use crate::store::StoreError;
use crate::store::redis::Redis;

use super::{KEPT, RECENT_MAX, decode, encode};

/// All of one score, so that the set is ordered by id, which is by time.
const NEWEST: &str = "hg:runs:newest";

pub(super) struct RedisRuns {
    store: Redis,
    under_way: TaskTracker,
}

impl RedisRuns {
    pub fn new(store: Redis) -> Self {
        RedisRuns { store, under_way: TaskTracker::new() }
    }

    pub fn finish(&self, record: &RunRecord) {
        let Some(text) = encode(record) else { return };
        let (store, run) = (self.store.clone(), record.id);
        self.under_way.spawn(async move {
            let oldest = -1 - i64::try_from(RECENT_MAX).unwrap_or(i64::MAX);
            let mut commands = Pipeline::new();
            commands.cmd("SET").arg(key(run)).arg(text).arg("EX").arg(KEPT.as_secs()).ignore();
            commands.cmd("ZADD").arg(NEWEST).arg(0).arg(run.to_string()).ignore();
            commands.cmd("ZREMRANGEBYRANK").arg(NEWEST).arg(0).arg(oldest).ignore();
            if let Err(error) = store.pipeline::<()>(&commands).await {
                tracing::debug!(%run, %error, "a run record was not stored");
            }
        });
    }

    pub async fn find(&self, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        let text: Option<String> = self.store.command(redis::cmd("GET").arg(key(run))).await?;
        Ok(text.and_then(|text| decode(&text)))
    }

    pub async fn recent(&self, limit: usize) -> Result<Vec<RunRecord>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let newest: Vec<String> = self.store.command(redis::cmd("ZREVRANGE").arg(NEWEST).arg(0).arg(limit - 1)).await?;
        if newest.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("MGET");
        for run in newest.iter().filter_map(|run| RunId::parse(run)) {
            command.arg(key(run));
        }
        let texts: Vec<Option<String>> = self.store.command(&command).await?;
        Ok(texts.into_iter().flatten().filter_map(|text| decode(&text)).collect())
    }

    pub async fn flush(&self) {
        self.under_way.close();
        self.under_way.wait().await;
        self.under_way.reopen();
    }
}

fn key(run: RunId) -> String {
    format!("hg:run:{run}")
}
