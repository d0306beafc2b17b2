//! What commands read in the store, beside a running gateway or after one has ended. Nothing here writes.

use std::time::Duration;

use crate::config::Config;
use crate::domain::ids::RunId;
use crate::domain::record::RunRecord;
use crate::ledger::{HeldRun, Ledger};
use crate::pipeline::Spend;
use crate::runs::Runs;
use crate::store::{Store, StoreError};

use super::StartError;
use super::build;

/// A record is written behind the end of its run, within half a second.
const RECORD_IS_LATE: Duration = Duration::from_millis(600);

/// What is known of a run.
pub enum Explained {
    Ended(Box<RunRecord>),
    /// It has a hold and no record: it is under way, or its process has died.
    Held(HeldRun),
}

/// What has been spent against every limit.
pub async fn usage(config: &Config) -> Result<Spend, StartError> {
    let store = open(config)?;
    let report = Ledger::new(&store).usage().await.map_err(unread)?;
    Ok(Spend::new(&report, config))
}

/// What became of `run`; none where nothing is known of it.
pub async fn explain(config: &Config, run: RunId) -> Result<Option<Explained>, StartError> {
    let store = open(config)?;
    let (runs, ledger) = (Runs::new(&store), Ledger::new(&store));
    if let Some(known) = find(&runs, &ledger, run).await? {
        return Ok(Some(known));
    }
    tokio::time::sleep(RECORD_IS_LATE).await;
    find(&runs, &ledger, run).await
}

async fn find(runs: &Runs, ledger: &Ledger, run: RunId) -> Result<Option<Explained>, StartError> {
    if let Some(record) = runs.find(run).await.map_err(unread)? {
        return Ok(Some(Explained::Ended(Box::new(record))));
    }
    Ok(ledger.held(run).await.map_err(unread)?.map(Explained::Held))
}

fn open(config: &Config) -> Result<Store, StartError> {
    Store::open_read_only(build::store_spec(&config.store)).map_err(unread)
}

fn unread(error: StoreError) -> StartError {
    StartError(error.to_string())
}
