//! Where a run's answer goes: to the connection that waits for it, or into the journal.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::recorder::Recorder;
use super::upkeep::Owed;

/// Frames that may wait between a run and a slow reader; the run stops reading upstream behind them.
const FRAMES_IN_FLIGHT: usize = 8;

/// The head of a reply. Without a body the frames of a stream follow.
#[derive(Clone, Debug)]
pub struct Head {
    pub status: u16,
    pub content_type: std::borrow::Cow<'static, str>,
    pub headers: Vec<(&'static str, String)>,
    /// Headers of an earlier reply, sent again.
    pub replayed: Vec<(String, String)>,
    /// The whole body of a plain reply.
    pub body: Option<Bytes>,
}

/// A piece of a streamed reply.
#[derive(Debug)]
pub enum Frame {
    Bytes(Bytes),
    /// The answer is whole. A channel that closes without it means: end the connection abnormally, so that no
    /// client takes half an answer for a whole one.
    End,
}

/// The door's side. Dropping it tells the run that the client is gone.
#[derive(Debug)]
pub struct RunHandle {
    pub head: oneshot::Receiver<Head>,
    pub frames: mpsc::Receiver<Frame>,
    _gone: DropGuard,
}

/// The client can't be reached any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// The run's side.
pub(super) struct Client {
    out: Out,
    gone: CancellationToken,
}

enum Out {
    Connection(Connection),
    Journal(Box<Recorder>),
}

struct Connection {
    head: Option<oneshot::Sender<Head>>,
    frames: mpsc::Sender<Frame>,
    write_timeout: Duration,
}

pub(super) fn link(connection: &CancellationToken, write_timeout: Duration) -> (Client, RunHandle) {
    let (head_tx, head) = oneshot::channel();
    let (frames_tx, frames) = mpsc::channel(FRAMES_IN_FLIGHT);
    let gone = connection.child_token();
    let handle = RunHandle { head, frames, _gone: gone.clone().drop_guard() };
    let out = Out::Connection(Connection { head: Some(head_tx), frames: frames_tx, write_timeout });
    (Client { out, gone }, handle)
}

impl Client {
    /// A client that is the journal; `stop` ends its run.
    pub(super) fn journal(recorder: Recorder, stop: CancellationToken) -> Self {
        Client { out: Out::Journal(Box::new(recorder)), gone: stop }
    }

    /// Waits until the client leaves. Waits for ever when it stays.
    pub(super) fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }

    /// The head is out; from here on errors are told in-band.
    pub(super) fn head_sent(&self) -> bool {
        match &self.out {
            Out::Connection(connection) => connection.head.is_none(),
            Out::Journal(recorder) => recorder.head_sent(),
        }
    }

    /// Whatever is said can still be read, whoever has left.
    pub(super) fn is_journal(&self) -> bool {
        matches!(self.out, Out::Journal(_))
    }

    /// The journal did not take what had to be told; the client can't be told either.
    pub(super) fn journal_failed(&self) -> bool {
        matches!(&self.out, Out::Journal(recorder) if recorder.has_failed())
    }

    pub(super) async fn send_head(&mut self, head: Head) -> Result<(), Gone> {
        match &mut self.out {
            Out::Connection(connection) => match connection.head.take() {
                Some(sender) => sender.send(head).map_err(|_| Gone),
                None => Ok(()),
            },
            Out::Journal(recorder) => recorder.head(head).await,
        }
    }

    /// Hands whole frames to the client. A reader that takes nothing for `timeouts.write` counts as gone.
    pub(super) async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        match &mut self.out {
            Out::Connection(connection) => connection.push(Frame::Bytes(bytes), &self.gone).await,
            Out::Journal(recorder) => recorder.frames(bytes).await,
        }
    }

    /// A sign of life. Whoever follows a journal gives its own.
    pub(super) async fn keep_alive(&mut self, comment: Bytes) -> Result<(), Gone> {
        match &mut self.out {
            Out::Connection(connection) => connection.push(Frame::Bytes(comment), &self.gone).await,
            Out::Journal(_) => Ok(()),
        }
    }

    /// The last frames, with a comment before them that no journal keeps. The answer is complete.
    pub(super) async fn finish(&mut self, comment: Bytes, tail: Bytes) -> Result<(), Gone> {
        match &mut self.out {
            Out::Connection(connection) => {
                let mut both = BytesMut::with_capacity(comment.len() + tail.len());
                both.extend_from_slice(&comment);
                both.extend_from_slice(&tail);
                connection.push(Frame::Bytes(both.freeze()), &self.gone).await
            }
            Out::Journal(recorder) => recorder.last_frames(comment, tail).await,
        }?;
        self.end().await
    }

    /// The answer is complete.
    pub(super) async fn end(&mut self) -> Result<(), Gone> {
        match &mut self.out {
            Out::Connection(connection) => connection.push(Frame::End, &self.gone).await,
            Out::Journal(recorder) => recorder.end().await,
        }
    }

    /// Notes what the run owes, to be written with its end.
    pub(super) fn owe(&mut self, owed: &Owed) {
        if let Out::Journal(recorder) = &mut self.out {
            recorder.owe(owed.text());
        }
    }

    /// Somebody else has the run now: cancelled it, or took it for dead.
    pub(super) fn is_overtaken(&self) -> bool {
        matches!(&self.out, Out::Journal(recorder) if recorder.is_overtaken())
    }

    /// Nothing more will come, whole or not.
    pub(super) async fn close(&mut self) {
        if let Out::Journal(recorder) = &mut self.out {
            recorder.close().await;
        }
    }
}

impl Connection {
    async fn push(&self, frame: Frame, gone: &CancellationToken) -> Result<(), Gone> {
        // Nearly always there is room: no timer is made then.
        let frame = match self.frames.try_send(frame) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(Gone),
            Err(TrySendError::Full(frame)) => frame,
        };
        tokio::select! {
            () = gone.cancelled() => Err(Gone),
            sent = tokio::time::timeout(self.write_timeout, self.frames.send(frame)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(Gone),
            },
        }
    }
}
