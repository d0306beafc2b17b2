//! Following a journaled run: what it has said, then what it says, to one connection after another.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::dialects::Dialect;
use crate::domain::error::GatewayError;
use crate::domain::ids::RunId;
use crate::domain::kept::{KeptHead, KeptState};
use crate::journal::PAGE;

use super::Hall;
use super::client::{self, Client, Gone, Head, RunHandle};
use super::live::{Live, Piece};

/// How often a run of another process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who follows, and how it is spoken to.
#[derive(Clone)]
pub struct Follower {
    pub dialect: &'static dyn Dialect,
    pub request_id: String,
}

impl Hall {
    /// Sends what `run` has said from frame `from` on, and goes on with what it says. Whoever calls has made sure that
    /// the run may be seen.
    pub fn reattach(
        self: &Arc<Self>,
        run: RunId,
        from: u64,
        follower: Follower,
        connection: &CancellationToken,
    ) -> RunHandle {
        let (client, handle) = client::link(connection, self.snapshot().config.timeouts.write);
        let hall = Arc::clone(self);
        tokio::spawn(async move { hall.follow(run, from, follower, client).await });
        handle
    }

    /// As [`Hall::reattach`], on a connection that is linked already.
    pub(super) async fn follow(&self, run: RunId, from: u64, follower: Follower, client: Client) {
        if let Some(live) = self.live.find(run) {
            return self.follow_live(&live, from, follower, client).await;
        }
        let mut link = Link { client, follower, keep_alive: self.snapshot().config.timeouts.keep_alive };
        // A client that left needs nothing more.
        let _ = self.stored(run, from, &mut link).await;
    }

    pub(super) async fn follow_live(&self, live: &Live, from: u64, follower: Follower, client: Client) {
        let mut link = Link { client, follower, keep_alive: self.snapshot().config.timeouts.keep_alive };
        let _ = link.live(live, from).await;
    }

    /// A run that has ended, or that another process runs.
    async fn stored(&self, run: RunId, mut from: u64, link: &mut Link) -> Result<(), Gone> {
        loop {
            // The state first: what it says of the end holds for the frames that are read after it.
            let kept = match self.kept.find(run).await {
                Ok(Some(kept)) => kept,
                Ok(None) => return link.fail(&GatewayError::RunLost).await,
                Err(_) => return link.fail(&GatewayError::StoreUnavailable).await,
            };
            if let Some(head) = kept.head {
                link.head(head, kept.body).await?;
            }
            loop {
                let Ok(frames) = self.journal.read(run, from).await else {
                    return link.fail(&GatewayError::StoreUnavailable).await;
                };
                let read = frames.len();
                from += read as u64;
                for frame in frames {
                    link.client.send(frame).await?;
                }
                if read < PAGE {
                    break;
                }
            }
            match kept.state {
                KeptState::Running => link.pause(sleep(LOOK_EVERY)).await?,
                KeptState::Lost => return link.fail(&GatewayError::RunLost).await,
                KeptState::Whole => return link.client.end().await,
                KeptState::Broken => return Ok(()),
            }
        }
    }
}

/// A follower and its connection.
struct Link {
    client: Client,
    follower: Follower,
    keep_alive: Duration,
}

impl Link {
    async fn live(&mut self, live: &Live, from: u64) -> Result<(), Gone> {
        let mut changes = live.changes();
        let mut seen = live.pieces_before(from);
        loop {
            let news = live.since(seen);
            seen += news.pieces.len();
            if let Some((head, body)) = news.head {
                self.head(head, body).await?;
            }
            for piece in news.pieces {
                let (Piece::Frame(bytes) | Piece::Aside(bytes)) = piece;
                self.client.send(bytes).await?;
            }
            match news.end {
                Some(KeptState::Whole) => return self.client.end().await,
                Some(_) if !self.client.head_sent() => return self.fail(&GatewayError::StoreUnavailable).await,
                Some(_) => return Ok(()),
                None => self.pause(async { drop(changes.changed().await) }).await?,
            }
        }
    }

    /// A plain answer has its body in the head; nothing follows it then.
    async fn head(&mut self, kept: KeptHead, body: Option<Bytes>) -> Result<(), Gone> {
        if self.client.head_sent() {
            return Ok(());
        }
        let mut headers = vec![("x-request-id", self.follower.request_id.clone())];
        headers.extend(self.follower.dialect.request_id_header().map(|name| (name, self.follower.request_id.clone())));
        let head =
            Head { status: kept.status, content_type: kept.content_type.into(), headers, replayed: kept.headers, body };
        self.client.send_head(head).await
    }

    /// Waits for `news`, with a sign of life in every `timeouts.keep_alive` once the head is out.
    async fn pause(&mut self, news: impl Future<Output = ()>) -> Result<(), Gone> {
        let token = self.client.gone();
        let gone = token.cancelled();
        tokio::pin!(news, gone);
        let mut sign = Instant::now() + self.keep_alive;
        loop {
            tokio::select! {
                biased;
                () = &mut news => return Ok(()),
                () = &mut gone => return Err(Gone),
                () = sleep_until(sign), if self.client.head_sent() => {
                    self.client.keep_alive(self.follower.dialect.keep_alive()).await?;
                    sign = Instant::now() + self.keep_alive;
                }
            }
        }
    }

    /// There is nothing more, and it was not all.
    async fn fail(&mut self, error: &GatewayError) -> Result<(), Gone> {
        let Follower { dialect, request_id } = &self.follower;
        if self.client.head_sent() {
            return self.client.send(dialect.in_band_error(error, request_id)).await;
        }
        self.client.send_head(refused(*dialect, error, request_id)).await
    }
}

/// The reply to a call that never became a run of its own.
pub(super) fn refused(dialect: &dyn Dialect, error: &GatewayError, request_id: &str) -> Head {
    let reply = dialect.error(error, request_id);
    let mut headers = vec![("x-request-id", request_id.to_owned())];
    headers.extend(dialect.request_id_header().map(|name| (name, request_id.to_owned())));
    headers.extend(reply.headers);
    Head {
        status: reply.status,
        content_type: reply.content_type.into(),
        headers,
        replayed: Vec::new(),
        body: Some(reply.body),
    }
}
