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
        let mut link = Link { client, follower, keep_alive: self.snapshot().config.timeouts.keep_alive };
        // A client that left needs nothing more.
        let _ = self.follow_anywhere(run, from, &mut link).await;
    }

    pub(super) async fn follow_live(&self, live: &Live, from: u64, follower: Follower, client: Client) {
        let mut link = Link { client, follower, keep_alive: self.snapshot().config.timeouts.keep_alive };
        let _ = self.follow_here(live, from, &mut link).await;
    }

    async fn follow_here(&self, live: &Live, from: u64, link: &mut Link) -> Result<(), Gone> {
        match link.live(live, from).await? {
            // What is left of it is in the store, or will be.
            Some((run, next)) => self.stored(run, next, link, false).await,
            None => Ok(()),
        }
    }

    async fn follow_anywhere(&self, run: RunId, from: u64, link: &mut Link) -> Result<(), Gone> {
        match self.live.find(run) {
            Some(live) => self.follow_here(&live, from, link).await,
            None => self.stored(run, from, link, true).await,
        }
    }

    /// A run that has ended, that another process runs, or that waits. `may_come_here` = this process may be the one
    /// that takes it up.
    async fn stored(&self, run: RunId, mut from: u64, link: &mut Link, may_come_here: bool) -> Result<(), Gone> {
        let mut last = None;
        loop {
            if may_come_here && let Some(live) = self.live.find(run) {
                return Box::pin(self.follow_here(&live, from, link)).await;
            }
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
                last = frames.last().cloned().or(last);
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
                KeptState::Broken if self.was_told_to_the_end(run, from, last, link.follower.dialect).await => {
                    return link.client.end().await;
                }
                KeptState::Broken => return Ok(()),
            }
        }
    }

    /// Whether the frame before number `next` says that there are no more, though the answer is not whole.
    async fn was_told_to_the_end(&self, run: RunId, next: u64, last: Option<Bytes>, dialect: &dyn Dialect) -> bool {
        let last = match (last, next.checked_sub(1)) {
            (None, Some(number)) => self.journal.read(run, number).await.unwrap_or_default().into_iter().next(),
            (last, _) => last,
        };
        last.is_some_and(|last| dialect.is_last(&last))
    }
}

/// A follower and its connection.
struct Link {
    client: Client,
    follower: Follower,
    keep_alive: Duration,
}

impl Link {
    /// Follows a run of this process to its end. A job that ends here in the middle may have been cancelled, or be run
    /// by another process from now on: it is answered, with the number of the next frame.
    async fn live(&mut self, live: &Live, from: u64) -> Result<Option<(RunId, u64)>, Gone> {
        let mut changes = live.changes();
        let (mut seen, mut number) = (0, 0);
        loop {
            let news = live.since(seen);
            seen += news.pieces.len();
            if let Some((head, body)) = news.head {
                self.head(head, body).await?;
            }
            for piece in news.pieces {
                match piece {
                    Piece::Frame(bytes) => {
                        if number >= from {
                            self.client.send(bytes).await?;
                        }
                        number += 1;
                    }
                    Piece::Aside(bytes) if from == 0 || number > from => self.client.send(bytes).await?,
                    Piece::Aside(_) => {}
                }
            }
            match news.end {
                Some(KeptState::Whole) => return self.client.end().await.map(|()| None),
                Some(_) if live.pen.is_some() => return Ok(live.pen.map(|pen| (pen.run, number.max(from)))),
                Some(_) if !self.client.head_sent() => {
                    return self.fail(&GatewayError::StoreUnavailable).await.map(|()| None);
                }
                Some(_) => return Ok(None),
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
