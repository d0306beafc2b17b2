//! The pen of a journaled run: what it says is durable first, and shown to followers then.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::dialects::Dialect;
use crate::domain::ids::RunId;
use crate::domain::kept::{Claim, KeptHead, KeptName, KeptState, NameKind, Pen};
use crate::domain::sse::{SseCaps, SseSplitter};
use crate::journal::Journal;
use crate::runs::{Jobs, KeptRuns};
use crate::store::StoreError;

use super::client::{Gone, Head};
use super::live::{Live, Piece};
use super::run::Call;

/// How long a store that does not answer is tried before the run is given up.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// Headers that belong to one request, not to the run's answer.
const NOT_REPLAYED: &[&str] = &["x-request-id", "request-id", "ratelimit", "ratelimit-policy"];

pub(super) struct Recorder {
    pen: Pen,
    live: Arc<Live>,
    kept: KeptRuns,
    journal: Journal,
    /// None where a connection owns the run.
    job: Option<OfJob>,
    keep: Duration,
    claim: Option<Claim>,
    /// Number of the next frame.
    next: u64,
    told: Told,
    failed: bool,
    naming: Naming,
}

/// What is different where the queue owns the run.
struct OfJob {
    jobs: Jobs,
    /// What it owes, once that is known.
    owed: Option<String>,
    /// Somebody else writes now.
    overtaken: bool,
}

/// How a run is found by the id that its answer tells.
pub(super) struct Naming {
    dialect: &'static dyn Dialect,
    key: Arc<str>,
}

impl Naming {
    pub(super) fn of(call: &Call) -> Self {
        Naming { dialect: call.dialect, key: Arc::clone(&call.caller.key) }
    }

    /// The name for the id in `first`, a whole body or the first frame of a stream; none where its clients never ask
    /// for an answer by its id, or the id is the run's own.
    fn name(&self, run: RunId, first: &Bytes) -> Option<KeptName> {
        let id = self.dialect.told_id(first).filter(|id| *id != self.dialect.answer_id(&run, None))?;
        Some(KeptName::new(NameKind::Response, &self.key, &[id.as_bytes()]))
    }
}

/// What of the answer is out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    /// The head of a stream.
    Head,
    /// All of it, or an error instead.
    End,
}

impl Recorder {
    pub(super) fn new(
        run: RunId,
        live: Arc<Live>,
        kept: KeptRuns,
        journal: Journal,
        keep: Duration,
        claim: Option<Claim>,
        naming: Naming,
    ) -> Self {
        let (pen, told) = (Pen::unfenced(run), Told::Nothing);
        Recorder { pen, live, kept, journal, job: None, keep, claim, next: 0, told, failed: false, naming }
    }

    /// Of a job whose head was told when it was queued, and whose next frame is number `next`.
    pub(super) fn of_job(
        pen: Pen,
        live: Arc<Live>,
        (kept, journal, jobs): (KeptRuns, Journal, Jobs),
        keep: Duration,
        naming: Naming,
        next: u64,
    ) -> Self {
        let job = Some(OfJob { jobs, owed: None, overtaken: false });
        Recorder { pen, live, kept, journal, job, keep, claim: None, next, told: Told::Head, failed: false, naming }
    }

    pub(super) fn owe(&mut self, owed: Option<String>) {
        if let Some(job) = &mut self.job {
            job.owed = owed;
        }
    }

    pub(super) fn is_overtaken(&self) -> bool {
        self.job.as_ref().is_some_and(|job| job.overtaken)
    }

    pub(super) fn head_sent(&self) -> bool {
        self.told != Told::Nothing
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed && !self.is_overtaken()
    }

    pub(super) async fn head(&mut self, head: Head) -> Result<(), Gone> {
        if self.told != Told::Nothing {
            return Ok(());
        }
        let (kept, body) = parts(head);
        let (run, runs, claim) = (self.pen.run, self.kept.clone(), self.claim);
        match &body {
            None => self.patiently(|| runs.set_head(run, &kept)).await?,
            Some(body) if kept.status == 200 => {
                self.name(body).await?;
                self.patiently(|| runs.close(run, KeptState::Whole, Some((&kept, body)))).await?;
            }
            // Neither a refusal nor a failure is kept: the next try must be a try.
            Some(_) => self.patiently(|| runs.forget(run, claim)).await?,
        }
        self.told = if body.is_none() { Told::Head } else { Told::End };
        self.live.say_head(kept, body);
        Ok(())
    }

    pub(super) async fn frames(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let frames = split(&bytes);
        if let Some(frame) = frames.first().filter(|_| self.next == 0) {
            self.name(frame).await?;
        }
        self.write(frames).await
    }

    /// Appends whole frames.
    pub(super) async fn write(&mut self, frames: Vec<Bytes>) -> Result<(), Gone> {
        let (pen, journal, first, keep) = (self.pen, self.journal.clone(), self.next, self.keep);
        self.patiently(|| journal.append(pen, first, frames.clone(), keep)).await?;
        self.next += frames.len() as u64;
        self.live.say(frames.into_iter().map(Piece::Frame));
        Ok(())
    }

    /// Before anyone is told the id, it leads to the run.
    async fn name(&mut self, first: &Bytes) -> Result<(), Gone> {
        let Some(name) = self.naming.name(self.pen.run, first) else { return Ok(()) };
        let (run, runs, keep) = (self.pen.run, self.kept.clone(), self.keep);
        self.patiently(|| runs.set_name(run, name, keep)).await
    }

    pub(super) async fn last_frames(&mut self, comment: Bytes, tail: Bytes) -> Result<(), Gone> {
        self.live.say([Piece::Aside(comment)]);
        self.frames(tail).await
    }

    pub(super) async fn end(&mut self) -> Result<(), Gone> {
        self.ended(KeptState::Whole).await
    }

    /// A stream without its end is broken. What nobody saw anything of is not kept.
    pub(super) async fn close(&mut self) {
        let _ = match self.told {
            Told::End => Ok(()),
            Told::Head => self.ended(KeptState::Broken).await,
            Told::Nothing => {
                let (run, runs, claim) = (self.pen.run, self.kept.clone(), self.claim);
                self.patiently(|| runs.forget(run, claim)).await
            }
        };
        self.live.end(if self.told == Told::End { KeptState::Whole } else { KeptState::Broken });
    }

    async fn ended(&mut self, state: KeptState) -> Result<(), Gone> {
        let (pen, runs, keep) = (self.pen, self.kept.clone(), self.keep);
        match self.job.as_ref().map(|job| (job.jobs.clone(), job.owed.clone())) {
            None => self.patiently(|| runs.close(pen.run, state, None)).await?,
            Some((jobs, owed)) => self.patiently(|| jobs.end(pen, state, owed.clone(), keep)).await?,
        }
        self.told = Told::End;
        self.live.end(state);
        Ok(())
    }

    /// Writes to the store, again and again for a while where it does not answer. All of it is safe to repeat.
    async fn patiently<F, Fut>(&mut self, write: F) -> Result<(), Gone>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(), StoreError>>,
    {
        if self.failed {
            return Err(Gone);
        }
        let by = Instant::now() + PATIENCE;
        loop {
            match write().await {
                Ok(()) => return Ok(()),
                Err(StoreError::Unavailable(_)) if Instant::now() < by => sleep(PAUSE).await,
                Err(StoreError::Superseded(run)) => {
                    tracing::info!(%run, "a job is somebody else's now, or nobody's; the work on it here ends");
                    self.failed = true;
                    if let Some(job) = &mut self.job {
                        job.overtaken = true;
                    }
                    return Err(Gone);
                }
                Err(error) => {
                    tracing::error!(run = %self.pen.run, %error, "a journaled run ends: its store does not take its answer");
                    self.failed = true;
                    return Err(Gone);
                }
            }
        }
    }
}

fn parts(head: Head) -> (KeptHead, Option<Bytes>) {
    let headers = head.headers.into_iter().filter(|(name, _)| !is_per_request(name));
    let headers = headers.map(|(name, value)| (name.to_owned(), value)).collect();
    (KeptHead { status: head.status, content_type: head.content_type.into_owned(), headers }, head.body)
}

fn is_per_request(name: &str) -> bool {
    NOT_REPLAYED.contains(&name) || name.starts_with("x-ratelimit-")
}

/// Single frames of a write. What is no event stream is one frame.
pub(super) fn split(bytes: &Bytes) -> Vec<Bytes> {
    let mut frames = Vec::new();
    // The frames are our own or were accepted before; a cap only makes one of what is left.
    let _ = SseSplitter::new(SseCaps::default()).push(bytes, &mut frames);
    let mut at = 0;
    let mut pieces = Vec::with_capacity(frames.len());
    for frame in frames {
        pieces.push(bytes.slice(at..at + frame.raw.len()));
        at += frame.raw.len();
    }
    if at < bytes.len() {
        pieces.push(bytes.slice(at..));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_split_into_its_frames_and_loses_nothing() {
        let write = Bytes::from_static(b"event: a\ndata: 1\n\ndata: 2\r\n\r\n: c\n\nrest");
        let frames = split(&write);
        assert_eq!(frames.len(), 4);
        assert_eq!(frames.concat(), write);
    }
}
