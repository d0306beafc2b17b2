//! The hall: the story of a run, from the door's call to its settlement, in order, in one function.
//!
//! A run is its own task. It owns the upstream call and the hold; the door holds a [`RunHandle`] and only copies
//! bytes. Whatever happens (answer, refusal, failure, hang-up, panic), the last act of the task is to settle.

mod admit;
mod attempt;
mod client;
mod exchange;
mod failures;
mod follow;
mod headers;
mod jobs;
mod journaled;
mod judge;
mod live;
mod moderate;
mod money;
mod plain;
mod reading;
mod receipt;
mod recorder;
mod refusal;
mod route;
mod run;
mod settle;
mod snapshot;
mod spend;
mod status;
mod stream;
mod upkeep;
mod usage;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub use client::{Frame, Head, RunHandle};
pub use follow::Follower;
pub use jobs::{Enqueued, said_while_waiting};
pub use journaled::Journaled;
pub use money::Money;
pub use receipt::Receipt;
pub use run::Call;
pub use snapshot::Snapshot;
pub use spend::Spend;
pub use status::Status;

use crate::journal::Journal;
use crate::queue::{Queue, QueueError};
use crate::runs::{Jobs, KeptRuns, Process, Runs};
use crate::store::Store;
use crate::targets::Targets;
use crate::telemetry::Metrics;

use client::Client;
use exchange::Delivered;
use live::LiveRuns;
use run::{End, Run};

/// Where finished runs are written as JSON lines.
pub type LogSink = Box<dyn Fn(String) + Send + Sync>;

/// Everything that runs share. One per process.
pub struct Hall {
    snapshot: ArcSwap<Snapshot>,
    money: Money,
    runs: Runs,
    kept: KeptRuns,
    journal: Journal,
    jobs: Jobs,
    queue: Queue,
    live: LiveRuns,
    /// For runs that may outlive their connection's thread.
    runtime: Handle,
    targets: Targets,
    metrics: Arc<Metrics>,
    status: Status,
    log: LogSink,
}

impl Hall {
    /// `runtime` takes the runs that may outlive their connection.
    /// Errors: a queue that can't be reached at the store's address.
    pub fn new(
        first: Snapshot,
        store: &Store,
        metrics: Arc<Metrics>,
        log: LogSink,
        runtime: Handle,
    ) -> Result<Arc<Self>, QueueError> {
        metrics.config_generation.set(first.generation);
        let process = Process::mint();
        Ok(Arc::new(Hall {
            snapshot: ArcSwap::from_pointee(first),
            money: Money::new(store, Arc::clone(&metrics)),
            runs: Runs::new(store),
            kept: KeptRuns::new(store, &process),
            journal: Journal::new(store),
            jobs: Jobs::new(store, &process),
            queue: Queue::new(store)?,
            live: LiveRuns::default(),
            runtime,
            targets: Targets::new(store),
            metrics,
            status: Status::default(),
            log,
        }))
    }

    /// The config generation in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts a new generation in force. Runs under way keep the one they started with.
    pub fn swap(&self, next: Snapshot) {
        self.metrics.config_generation.set(next.generation);
        self.snapshot.store(Arc::new(next));
    }

    pub fn money(&self) -> &Money {
        &self.money
    }

    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    pub fn kept(&self) -> &KeptRuns {
        &self.kept
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    pub fn status(&self) -> &Status {
        &self.status
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Starts the run of `call`, on the current thread's runtime unless it may outlive the connection. `connection` is
    /// cancelled when the client leaves; dropping the handle means the same.
    pub fn start(
        self: &Arc<Self>,
        call: Call,
        journaled: Option<Journaled>,
        connection: &CancellationToken,
    ) -> RunHandle {
        let (client, handle) = client::link(connection, self.snapshot.load().config.timeouts.write);
        let hall = Arc::clone(self);
        match journaled {
            None => tokio::spawn(async move { hall.run(call, client).await }),
            Some(how) => tokio::spawn(async move { hall.journaled(call, how, client).await }),
        };
        handle
    }

    async fn run(self: Arc<Self>, call: Call, mut client: Client) {
        self.metrics.runs_open.inc();
        let mut run = Run::new(call, self.snapshot());
        // A defect of ours must still settle what the run holds, and must not take the thread's other runs along.
        let story = AssertUnwindSafe(self.story(&mut run, &mut client)).catch_unwind().await;
        let end = story.unwrap_or_else(|panic| Err(End::panicked(&run.call.run, panic.as_ref())));
        self.settle(run, end, client).await;
        self.metrics.runs_open.dec();
    }

    /// admit -> route -> reserve -> moderate -> attempt. What follows, on every path, is `settle`.
    async fn story(&self, run: &mut Run, client: &mut Client) -> Result<Delivered, End> {
        if let Some(error) = run.call.job.as_ref().and_then(|job| job.refused.clone()) {
            return Err(error.into());
        }
        let plan = self.admit(run)?;
        self.reserve(run, &plan).await?;
        self.moderate(run, &plan, client).await?;
        self.attempt(run, &plan, client).await
    }
}
