//! The journal on Redis: one stream per run. Frame `n` is the entry `(n+1)-0`, because no entry may be `0-0`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::ids::RunId;
use crate::domain::kept::Pen;
use crate::store::StoreError;
use crate::store::redis::{Redis, Script};

use super::{PAGE, gap};

#[derive(Clone)]
pub(super) struct RedisJournal {
    store: Redis,
    append: Arc<Script>,
}

/// One entry of a stream: its id, and its fields as a flat list.
type Entry = (String, Vec<Vec<u8>>);

impl RedisJournal {
    pub fn new(store: Redis) -> Self {
        RedisJournal { store, append: Arc::new(Script::new(&[include_str!("append.lua")])) }
    }

    pub async fn append(&self, pen: Pen, first: u64, frames: Vec<Bytes>, keep: Duration) -> Result<(), StoreError> {
        let run = pen.run;
        let mut args = vec![run.to_string().into_bytes(), first.to_string().into_bytes()];
        args.push(keep.as_millis().to_string().into_bytes());
        args.push(pen.fence.map(|fence| fence.to_string()).unwrap_or_default().into_bytes());
        args.extend(frames.iter().map(|frame| frame.to_vec()));
        match self.store.run::<i64>(&self.append, &args).await? {
            1 => Ok(()),
            -1 => Err(StoreError::Superseded(run)),
            _ => Err(gap(run, first)),
        }
    }

    pub async fn read(&self, run: RunId, from: u64) -> Result<Vec<Bytes>, StoreError> {
        let mut command = redis::cmd("XRANGE");
        command.arg(key(run)).arg(format!("{}-0", from.saturating_add(1))).arg("+").arg("COUNT").arg(PAGE);
        let entries: Vec<Entry> = self.store.command(&command).await?;
        Ok(entries.into_iter().filter_map(|(_, fields)| fields.into_iter().nth(1).map(Bytes::from)).collect())
    }

    pub async fn forget(&self, run: RunId) -> Result<(), StoreError> {
        self.store.command(redis::cmd("DEL").arg(key(run))).await
    }
}

fn key(run: RunId) -> String {
    format!("hg:journal:{run}")
}
