//! Notices clients that leave while a handler is pending or a stream is idle.
//!
//! actix looks at a connection only when it reads or writes, so a client that is gone under a pending handler would
//! keep its upstream call running. One thread waits on an epoll of its own for the read side of each connection to
//! close (`EPOLLRDHUP`), and for nothing else: data never wakes it. An epoll of its own, because one epoll takes a
//! descriptor once and the runtime's has it already; a duplicated descriptor would cost a third one per stream.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use tokio_util::sync::CancellationToken;

/// Id of the thread's own stop signal; connections count up from zero.
const STOP: u64 = u64::MAX;

struct Shared {
    epoll: OwnedFd,
    watched: Mutex<Watching>,
}

#[derive(Default)]
struct Watching {
    next: u64,
    tokens: HashMap<u64, CancellationToken>,
}

/// The watch over all connections of one listener. The thread ends when this is dropped.
pub(super) struct Hangups {
    shared: Arc<Shared>,
    _stop: UnixStream,
}

/// One connection under watch. Dropped with the connection.
pub(super) struct Watched {
    shared: Arc<Shared>,
    id: u64,
}

impl Hangups {
    pub(super) fn start() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let (stop, stopped) = UnixStream::pair()?;
        epoll::add(&epoll, &stopped, EventData::new_u64(STOP), EventFlags::IN | EventFlags::RDHUP)?;
        let shared = Arc::new(Shared { epoll, watched: Mutex::default() });
        let thread = Arc::clone(&shared);
        std::thread::Builder::new().name("hangups".to_owned()).spawn(move || {
            let _stopped = stopped;
            thread.run();
        })?;
        Ok(Hangups { shared, _stop: stop })
    }

    /// Cancels `token` when the peer of `connection` closes. None when the system can't watch it: the client's
    /// leaving is then noticed at the next write.
    pub(super) fn watch(&self, connection: impl AsFd, token: CancellationToken) -> Option<Watched> {
        let id = {
            let mut watched = self.shared.lock();
            let id = watched.next;
            watched.next += 1;
            watched.tokens.insert(id, token);
            id
        };
        let watched = Watched { shared: Arc::clone(&self.shared), id };
        let flags = EventFlags::RDHUP | EventFlags::ONESHOT;
        match epoll::add(&self.shared.epoll, connection, EventData::new_u64(id), flags) {
            Ok(()) => Some(watched),
            Err(error) => {
                tracing::warn!(%error, "a connection can't be watched for hang-ups");
                None
            }
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut events = Vec::with_capacity(256);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "hang-ups of clients are not noticed any more");
                    return;
                }
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    STOP => return,
                    id => {
                        // Cancelled outside the lock: waking a run may drop its connection, which needs the lock.
                        let token = self.lock().tokens.remove(&id);
                        if let Some(token) = token {
                            token.cancel();
                        }
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watching> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The kernel forgets the descriptor itself when it is closed.
        self.shared.lock().tokens.remove(&self.id);
    }
}
