//! The link between a run and the connection that waits for it.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Frames that may wait between a run and a slow reader; the run stops reading upstream behind them.
const FRAMES_IN_FLIGHT: usize = 8;

/// The head of a reply. Without a body the frames of a stream follow.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
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
    head: Option<oneshot::Sender<Head>>,
    frames: mpsc::Sender<Frame>,
    gone: CancellationToken,
    write_timeout: Duration,
}

pub(super) fn link(connection: &CancellationToken, write_timeout: Duration) -> (Client, RunHandle) {
    let (head_tx, head) = oneshot::channel();
    let (frames_tx, frames) = mpsc::channel(FRAMES_IN_FLIGHT);
    let gone = connection.child_token();
    let handle = RunHandle { head, frames, _gone: gone.clone().drop_guard() };
    (Client { head: Some(head_tx), frames: frames_tx, gone, write_timeout }, handle)
}

impl Client {
    /// Waits until the client leaves. Waits for ever when it stays.
    pub(super) fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }

    /// The head is out; from here on errors are told in-band.
    pub(super) fn head_sent(&self) -> bool {
        self.head.is_none()
    }

    pub(super) fn send_head(&mut self, head: Head) -> Result<(), Gone> {
        match self.head.take() {
            Some(sender) => sender.send(head).map_err(|_| Gone),
            None => Ok(()),
        }
    }

    /// Hands `bytes` to the connection. A reader that takes nothing for `timeouts.write` counts as gone.
    pub(super) async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.push(Frame::Bytes(bytes)).await
    }

    /// The answer is complete.
    pub(super) async fn end(&self) -> Result<(), Gone> {
        self.push(Frame::End).await
    }

    async fn push(&self, frame: Frame) -> Result<(), Gone> {
        // Nearly always there is room: no timer is made then.
        let frame = match self.frames.try_send(frame) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(Gone),
            Err(TrySendError::Full(frame)) => frame,
        };
        tokio::select! {
            () = self.gone.cancelled() => Err(Gone),
            sent = tokio::time::timeout(self.write_timeout, self.frames.send(frame)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(Gone),
            },
        }
    }
}
