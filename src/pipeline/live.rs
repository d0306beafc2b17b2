//! Journaled runs while they run in this process: what each has said so far, for whoever follows it. All of it is
//! in the store already; followers here need not ask there.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::RunId;
use crate::domain::kept::{KeptHead, KeptState, Pen};
use crate::sync::{Mutex, locked};

#[derive(Default)]
pub(super) struct LiveRuns {
    by_id: Mutex<HashMap<RunId, Arc<Live>>>,
}

impl LiveRuns {
    /// `stop` ends the run. `pen` is what a job is written with.
    pub(super) fn start(&self, run: RunId, stop: CancellationToken, pen: Option<Pen>) -> Arc<Live> {
        let live = Arc::new(Live { said: Mutex::default(), changed: watch::Sender::new(()), stop, pen });
        locked(&self.by_id).insert(run, Arc::clone(&live));
        live
    }

    pub(super) fn find(&self, run: RunId) -> Option<Arc<Live>> {
        locked(&self.by_id).get(&run).cloned()
    }

    pub(super) fn ids(&self) -> Vec<RunId> {
        locked(&self.by_id).keys().copied().collect()
    }

    /// The pens of all jobs.
    pub(super) fn pens(&self) -> Vec<Pen> {
        locked(&self.by_id).values().filter_map(|live| live.pen).collect()
    }

    /// The run has ended; who follows it still sees its end.
    pub(super) fn remove(&self, run: RunId) {
        locked(&self.by_id).remove(&run);
    }
}

pub(super) struct Live {
    said: Mutex<Said>,
    changed: watch::Sender<()>,
    pub(super) stop: CancellationToken,
    /// None where a connection owns the run.
    pub(super) pen: Option<Pen>,
}

#[derive(Default)]
struct Said {
    head: Option<(KeptHead, Option<Bytes>)>,
    pieces: Vec<Piece>,
    end: Option<KeptState>,
}

/// A piece of a stream.
#[derive(Clone)]
pub(super) enum Piece {
    /// Numbered, and in the journal.
    Frame(Bytes),
    /// A comment that no journal keeps.
    Aside(Bytes),
}

/// What is new since a follower last looked.
pub(super) struct News {
    pub(super) head: Option<(KeptHead, Option<Bytes>)>,
    pub(super) pieces: Vec<Piece>,
    pub(super) end: Option<KeptState>,
}

impl Live {
    pub(super) fn say_head(&self, head: KeptHead, body: Option<Bytes>) {
        locked(&self.said).head = Some((head, body));
        self.changed.send_replace(());
    }

    pub(super) fn say(&self, pieces: impl IntoIterator<Item = Piece>) {
        locked(&self.said).pieces.extend(pieces);
        self.changed.send_replace(());
    }

    pub(super) fn end(&self, state: KeptState) {
        locked(&self.said).end.get_or_insert(state);
        self.changed.send_replace(());
    }

    /// Wakes whoever follows. A subscriber that looks after subscribing misses nothing.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Everything after the first `seen` pieces.
    pub(super) fn since(&self, seen: usize) -> News {
        let said = locked(&self.said);
        let pieces = said.pieces.get(seen..).unwrap_or_default().to_vec();
        News { head: said.head.clone(), pieces, end: said.end }
    }
}
