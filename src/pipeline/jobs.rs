//! Runs that the queue owns: put into it, taken out of it and run to their end, given back, cancelled.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::dialects::{About, DIALECTS, Dialect, StreamEncoder, StreamHead};
use crate::domain::caller::Caller;
use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::domain::kept::{JobAbout, KEPT_VERSION, KeptAbout, KeptHead, KeptRun, KeptState, Pen};
use crate::runs::{Claimed, Opened, Opening, Queued};
use crate::store::StoreError;

use super::Hall;
use super::client::Client;
use super::journaled::Journaled;
use super::live::{Live, Piece};
use super::recorder::{Naming, Recorder, split};
use super::run::{Call, End, Job, Run, unix_ms};
use super::snapshot::Snapshot;

/// Between two tries to read a job that is ours while the store does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// What became of a call that nobody waits for.
pub enum Enqueued {
    /// It is queued, and kept. `body` is what its client is told.
    New { run: RunId, body: Bytes },
    /// The run that answers the same request already.
    Same(RunId),
}

impl Hall {
    /// Puts the run of `call` into the queue; it is durable when this returns. What can be refused without touching a
    /// limit is refused now. `work` is the request to run where that is not the client's own.
    pub async fn enqueue(&self, call: Call, how: Journaled, work: Option<Bytes>) -> Result<Enqueued, GatewayError> {
        let mut run = Run::new(call, self.snapshot());
        if let Err(End::Failed(error)) = self.admit(&mut run).map(|_| ()) {
            return Err(error);
        }
        let Run { call, now, .. } = run;
        let about = KeptAbout {
            version: KEPT_VERSION,
            id: call.run,
            key: call.caller.key.to_string(),
            user: call.caller.user.to_string(),
            dialect: call.dialect.name().to_owned(),
            stream: call.decoded.stream,
            created_ms: unix_ms(),
            job: Some(JobAbout {
                request_id: call.request_id.clone(),
                team: call.caller.team.to_string(),
                forwarded: call.forwarded.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            }),
        };
        let told = told(call.dialect, &about, call.decoded.body.clone(), call.decoded.model.clone());
        let waiting = call.dialect.waiting(&told).ok_or(GatewayError::Internal)?;
        let (head, queued) = (head(call.dialect, call.run), Queued { lane: lane(&call.caller), work });
        let opening = Opening {
            about: &about,
            request: &how.request,
            claim: how.claim,
            name: how.name,
            head: Some(&head),
            queued: Some(&queued),
        };
        let keep = now.config.background.keep_results;
        match self.kept.open(opening, keep).await {
            Ok(Opened::New) => {}
            Ok(Opened::Same(earlier)) => return Ok(Enqueued::Same(earlier)),
            Ok(Opened::OtherBody) => return Err(GatewayError::IdempotencyKeyReused),
            Err(error) => {
                tracing::debug!(run = %call.run, %error, "a job was not queued");
                return Err(GatewayError::StoreUnavailable);
            }
        }
        let pen = Pen { run: call.run, fence: Some(0) };
        if let Err(error) = self.journal.append(pen, 0, split(&waiting.frames), keep).await {
            // Somebody may work on it already, and will say so. If not, the first frames come with the work.
            tracing::debug!(run = %call.run, %error, "nothing was said of a job that waits");
        }
        self.call_workers(1).await;
        Ok(Enqueued::New { run: call.run, body: waiting.body })
    }

    /// Wakes up to `workers` workers. A ticket that is not written is only late: the sweep writes another.
    pub async fn call_workers(&self, workers: u64) {
        for _ in 0..workers {
            if let Err(error) = self.queue.push().await {
                tracing::debug!(%error, "no ticket was written");
                return;
            }
        }
    }

    /// Claims the next job and runs it to its end. False = none was queued.
    pub async fn work(self: &Arc<Self>) -> Result<bool, StoreError> {
        let Some(claimed) = self.jobs.claim().await? else { return Ok(false) };
        let run = claimed.pen.run;
        let stop = CancellationToken::new();
        let live = self.live.start(run, stop.clone(), Some(claimed.pen));
        let (kept, frames) = loop {
            let read = async { Ok::<_, StoreError>((self.kept.find(run).await?, self.journal.read_all(run).await?)) };
            match read.await {
                Ok(read) => break read,
                Err(StoreError::Unavailable(_)) => sleep(PAUSE).await,
                Err(error) => {
                    tracing::error!(%run, %error, "a job can't be read");
                    break (None, Vec::new());
                }
            }
        };
        let done = match kept {
            // Deleted since.
            None => Ok(()),
            Some(kept) => self.run_job(claimed, &kept, frames, Arc::clone(&live), stop).await,
        };
        live.end(KeptState::Broken);
        self.live.remove(run);
        done.map(|()| true)
    }

    async fn run_job(
        self: &Arc<Self>,
        claimed: Claimed,
        kept: &KeptRun,
        mut frames: Vec<Bytes>,
        live: Arc<Live>,
        stop: CancellationToken,
    ) -> Result<(), StoreError> {
        let now = self.snapshot();
        let (pen, keep) = (claimed.pen, now.config.background.keep_results);
        let call = match rebuilt(kept, &claimed, &now) {
            Ok(call) => call,
            Err(error) => return self.bury(pen, kept, &frames, &error, keep).await,
        };
        let about = told(call.dialect, &kept.about, call.decoded.body.clone(), call.decoded.model.clone());
        let mut encoder = call.dialect.resumed(&about, &frames);
        if encoder.has_ended() {
            // Its process died between the last word and the note that there are no more.
            return self.jobs.end(pen, KeptState::Whole, None, keep).await;
        }
        let mut begun = BytesMut::new();
        encoder.work_begins(&mut begun);
        let begun = split(&begun.freeze());
        live.say_head(head(call.dialect, call.run), None);
        live.say(frames.iter().cloned().map(Piece::Frame));
        let mut recorder = Recorder::of_job(
            pen,
            live,
            (self.kept.clone(), self.journal.clone(), self.jobs.clone()),
            keep,
            Naming::of(&call),
            frames.len() as u64,
        );
        if recorder.write(begun.clone()).await.is_err() {
            return Ok(());
        }
        frames.extend(begun);
        let call = Call { job: Some(Job { pen, earlier: frames, refused: self.poisoned(&claimed) }), ..call };
        Arc::clone(self).run(call, Client::journal(recorder, stop)).await;
        Ok(())
    }

    /// A job that takes its process with it again and again is not run once more.
    fn poisoned(&self, claimed: &Claimed) -> Option<GatewayError> {
        let died = claimed.starts.saturating_sub(1);
        (died >= self.snapshot().config.background.poison_limit).then_some(GatewayError::WorkerDied { times: died })
    }

    /// Ends a job that can't even be started.
    async fn bury(
        &self,
        pen: Pen,
        kept: &KeptRun,
        frames: &[Bytes],
        error: &GatewayError,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let tell = |dialect: &dyn Dialect, encoder: &mut dyn StreamEncoder, out: &mut BytesMut| {
            if !encoder.broken_off(error, out) {
                out.extend_from_slice(&dialect.in_band_error(error, ""));
            }
        };
        self.last_words(pen, kept, frames, keep, tell).await?;
        self.jobs.end(pen, KeptState::Broken, None, keep).await
    }

    /// Writes what `tell` says of a job that nobody works on behind its `frames`.
    async fn last_words(
        &self,
        pen: Pen,
        kept: &KeptRun,
        frames: &[Bytes],
        keep: Duration,
        tell: impl FnOnce(&dyn Dialect, &mut dyn StreamEncoder, &mut BytesMut),
    ) -> Result<(), StoreError> {
        let Some(dialect) = dialect(kept) else { return Ok(()) };
        let mut encoder = dialect.resumed(&told(dialect, &kept.about, kept.request.clone(), None), frames);
        let mut out = BytesMut::new();
        tell(dialect, encoder.as_mut(), &mut out);
        self.journal.append(pen, frames.len() as u64, split(&out.freeze()), keep).await
    }

    /// Ends a job on its caller's wish, wherever it is. Nothing happens to one that has ended.
    pub async fn cancel(&self, kept: &KeptRun) -> Result<(), StoreError> {
        let (run, keep) = (kept.about.id, self.snapshot().config.background.keep_results);
        let Some(pen) = self.jobs.cancel(run, keep).await? else { return Ok(()) };
        if let Some(live) = self.live.find(run) {
            live.stop.cancel();
        }
        let frames = self.journal.read_all(run).await?;
        self.last_words(pen, kept, &frames, keep, |_, encoder, out| encoder.cancelled(out)).await
    }
}

/// What is said of a job of which nothing is journaled yet.
pub fn said_while_waiting(kept: &KeptRun) -> Vec<Bytes> {
    let Some(dialect) = dialect(kept) else { return Vec::new() };
    let model = dialect.decode(kept.request.clone()).ok().and_then(|decoded| decoded.model);
    let waiting = dialect.waiting(&told(dialect, &kept.about, kept.request.clone(), model));
    waiting.map(|waiting| split(&waiting.frames)).unwrap_or_default()
}

/// The call as its client made it.
/// Errors: what its client would be told today.
fn rebuilt(kept: &KeptRun, claimed: &Claimed, now: &Snapshot) -> Result<Call, GatewayError> {
    let job = kept.about.job.as_ref().ok_or(GatewayError::Internal)?;
    let dialect = dialect(kept).ok_or(GatewayError::Internal)?;
    let mut decoded = dialect.decode(claimed.work.clone().unwrap_or_else(|| kept.request.clone()))?;
    // Whatever the client wants to see of it, it is journaled as it comes.
    decoded.stream = true;
    let key = now.config.keys.iter().find(|key| *key.name == *kept.about.key).cloned();
    if key.is_none() && !now.config.keys.is_empty() {
        let message = "The key that asked for this is gone; ask again with another.".to_owned();
        return Err(GatewayError::Forbidden { message });
    }
    let name = |name: &str| dialect.forwarded_headers().iter().find(|known| **known == name).copied();
    Ok(Call {
        run: kept.about.id,
        request_id: job.request_id.clone(),
        caller: Caller {
            key: kept.about.key.as_str().into(),
            team: job.team.as_str().into(),
            user: kept.about.user.as_str().into(),
            alone: false,
        },
        key,
        dialect,
        decoded: Arc::new(decoded),
        forwarded: job.forwarded.iter().filter_map(|(n, value)| Some((name(n)?, value.clone()))).collect(),
        client_retries: false,
        job: None,
    })
}

fn dialect(kept: &KeptRun) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().find(|dialect| dialect.name() == kept.about.dialect).copied()
}

/// What is told of a job before any target has it.
fn told(dialect: &dyn Dialect, about: &KeptAbout, request: Bytes, model: Option<String>) -> About {
    About {
        id: dialect.answer_id(&about.id, None),
        created_s: about.created_ms / 1_000,
        model: model.unwrap_or_default(),
        include_usage: true,
        request,
        now_s: || unix_ms() / 1_000,
    }
}

/// The head of a job's stream. It is known before the work begins, so it can't tell what comes of it.
fn head(dialect: &dyn Dialect, run: RunId) -> KeptHead {
    let StreamHead { content_type, headers } = dialect.stream_head();
    let own = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let ours = [("x-headgate-run", run.to_string()), ("x-accel-buffering", "no".to_owned())];
    let headers = own.chain(ours.map(|(name, value)| (name.to_owned(), value))).collect();
    KeptHead { status: 200, content_type: content_type.to_owned(), headers }
}

/// Jobs of one caller wait for one another, those of different callers take turns.
fn lane(caller: &Caller) -> String {
    let mut hash = Sha256::new();
    for part in [&caller.key, &caller.user] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
