//! Journaled runs while they run in this process: what each has said so far, for whoever follows it. All of it is
//! in the store already; followers here need not ask there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::RunId;
use crate::domain::kept::{KeptHead, KeptState};

#[derive(Default)]
pub(super) struct LiveRuns {
    by_id: Mutex<HashMap<RunId, Arc<Live>>>,
}

impl LiveRuns {
    /// `stop` ends the run.
    pub(super) fn start(&self, run: RunId, stop: CancellationToken) -> Arc<Live> {
        let live = Arc::new(Live { said: Mutex::default(), changed: watch::Sender::new(()), stop });
        locked(&self.by_id).insert(run, Arc::clone(&live));
        live
    }

    pub(super) fn find(&self, run: RunId) -> Option<Arc<Live>> {
        locked(&self.by_id).get(&run).cloned()
    }

    pub(super) fn ids(&self) -> Vec<RunId> {
        locked(&self.by_id).keys().copied().collect()
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

    /// How many pieces come before frame number `frame`.
    pub(super) fn pieces_before(&self, frame: u64) -> usize {
        let mut frames = 0;
        let before = |piece: &&Piece| {
            frames += u64::from(matches!(piece, Piece::Frame(_)));
            frames <= frame
        };
        locked(&self.said).pieces.iter().take_while(before).count()
    }
}

/// What is behind these locks is valid after every statement, so a panic elsewhere is no reason to give up.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_that_starts_at_a_frame_skips_that_many_frames_and_the_comments_before_them() {
        let live = LiveRuns::default().start(RunId::mint(), CancellationToken::new());
        let frame = |text: &'static str| Piece::Frame(Bytes::from_static(text.as_bytes()));
        live.say([frame("a"), Piece::Aside(Bytes::from_static(b": x")), frame("b")]);
        assert_eq!([0, 1, 2, 9].map(|frame| live.pieces_before(frame)), [0, 2, 3, 3]);
    }
}
