//! Runs that are kept: each says everything to the journal, and connections follow it there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::domain::kept::{Claim, KEPT_VERSION, KeptAbout, KeptName, KeptRun, KeptState};
use crate::runs::{Opened, Opening};
use crate::store::StoreError;

use super::Hall;
use super::client::Client;
use super::follow::{Follower, refused};
use super::live::Live;
use super::recorder::{Naming, Recorder};
use super::run::{Call, unix_ms};

/// How a run is kept, so that its answer can be read again.
#[derive(Clone, Debug)]
pub struct Journaled {
    /// The client's body, as it came.
    pub request: Bytes,
    pub claim: Option<Claim>,
    /// Leads to this run from now on.
    pub name: Option<KeptName>,
    /// A client that leaves does not end the run: another connection may come for the answer.
    pub outlives_connection: bool,
}

impl Hall {
    /// Starts the run of `call`, or follows the one that answers the same request already.
    pub(super) async fn journaled(self: Arc<Self>, call: Call, how: Journaled, mut client: Client) {
        let run = call.run;
        let follower = Follower { dialect: call.dialect, request_id: call.request_id.clone() };
        let about = KeptAbout {
            version: KEPT_VERSION,
            id: run,
            key: call.caller.key.to_string(),
            user: call.caller.user.to_string(),
            dialect: call.dialect.name().to_owned(),
            stream: call.decoded.stream,
            created_ms: unix_ms(),
            job: None,
        };
        let keep = self.snapshot().config.background.keep_results;
        let opening = Opening {
            about: &about,
            request: &how.request,
            claim: how.claim,
            name: how.name,
            head: None,
            queued: None,
        };
        let error = match self.kept.open(opening, keep).await {
            Ok(Opened::New) => {
                let live = self.start_kept(call, &how, keep, &client);
                return self.follow_live(&live, 0, follower, client).await;
            }
            Ok(Opened::Same(earlier)) => return self.follow(earlier, 0, follower, client).await,
            Ok(Opened::OtherBody) => GatewayError::IdempotencyKeyReused,
            Err(error) => {
                tracing::debug!(%run, %error, "a run was not kept, so it does not start");
                GatewayError::StoreUnavailable
            }
        };
        // A client that left needs no refusal.
        let _ = client.send_head(refused(follower.dialect, &error, &follower.request_id)).await;
    }

    /// Starts the run itself.
    fn start_kept(self: &Arc<Self>, call: Call, how: &Journaled, keep: Duration, client: &Client) -> Arc<Live> {
        let run = call.run;
        let stop = if how.outlives_connection { CancellationToken::new() } else { client.gone() };
        let live = self.live.start(run, stop.clone(), None);
        let (kept, journal) = (self.kept.clone(), self.journal.clone());
        let recorder = Recorder::new(run, Arc::clone(&live), kept, journal, keep, how.claim, Naming::of(&call));
        let hall = Arc::clone(self);
        let story = async move {
            Arc::clone(&hall).run(call, Client::journal(recorder, stop)).await;
            hall.live.remove(run);
        };
        if how.outlives_connection {
            // A connection's thread may end before the run does.
            self.runtime.spawn(story);
        } else {
            tokio::spawn(story);
        }
        live
    }

    /// Ends a journaled run on its caller's wish, wherever it runs.
    pub async fn stop(&self, run: RunId) -> Result<(), StoreError> {
        match self.live.find(run) {
            Some(live) => live.stop.cancel(),
            None => self.kept.ask_stop(run).await?,
        }
        Ok(())
    }

    /// Forgets a journaled run, its request and its answer. One that still runs is stopped.
    pub async fn delete(&self, kept: &KeptRun) -> Result<(), StoreError> {
        if kept.about.job.is_some() {
            self.cancel(kept).await?;
        } else if kept.state == KeptState::Running {
            self.stop(kept.about.id).await?;
        }
        self.kept.forget(kept.about.id, None).await?;
        self.journal.forget(kept.about.id).await
    }

    /// Ends runs of this process whose callers asked another one.
    pub async fn stop_asked(&self) -> Result<(), StoreError> {
        for run in self.kept.to_stop(&self.live.ids()).await? {
            self.stop(run).await?;
        }
        Ok(())
    }

    /// Shows the other processes that this one lives.
    pub async fn show_life(&self) -> Result<(), StoreError> {
        self.kept.show_life().await
    }

    /// Deletes what was kept long enough.
    pub async fn purge(&self) -> Result<(), StoreError> {
        let keep = self.snapshot().config.background.keep_results;
        self.kept.purge(keep).await?;
        self.journal.purge(keep).await
    }
}
