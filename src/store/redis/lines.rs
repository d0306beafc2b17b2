//! Connections. The pool opens and checks them; every thread keeps one and multiplexes its calls over it, which costs
//! a fifth of checking a connection out for each call.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionInfo};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::super::StoreError;
use super::failed;

/// Below the time limit of an operation, so that a failed opening is noted before its caller gives up.
const OPEN_TIMEOUT: Duration = Duration::from_millis(150);

/// The first wait after a failed opening; doubled for every further one.
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// A connection that answered nothing for so long is given up at the next call that gets no answer in time. One late
/// answer alone is no reason: on a busy machine it would take every call that waits behind it along.
const SILENT: Duration = Duration::from_secs(1);

/// More connections than any process has threads.
const POOL_MAX: usize = 4_096;

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// This thread's connection to one store.
struct Kept {
    store: u64,
    number: u64,
    connection: Connection,
    /// When it last answered, or was opened.
    answered: Cell<Instant>,
}

pub(super) struct Lines {
    /// Tells the stores of one process apart.
    store: u64,
    pool: Pool,
    /// One opening at a time: a thousand waiting calls need one connection, not a thousand.
    opening: Mutex<Openings>,
}

#[derive(Default)]
struct Openings {
    back_off: Duration,
    /// None while the last opening succeeded.
    refused_until: Option<(Instant, String)>,
}

impl Lines {
    pub(super) fn new(info: ConnectionInfo) -> Result<Self, StoreError> {
        // Time limits are ours, around whole operations; a second timer for each would only cost.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let manager = Manager::new_with_config(info, config)
            .map_err(|error| StoreError::Refused(format!("the Redis URL in `store:` can't be used: {error}")))?;
        let pool = Pool::builder(manager)
            .max_size(POOL_MAX)
            .build()
            .map_err(|error| StoreError::Refused(format!("no connection pool for Redis: {error}")))?;
        let store = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        Ok(Lines { store, pool, opening: Mutex::default() })
    }

    /// This thread's connection, opened if need be, and the number to drop it by.
    pub(super) async fn get(&self) -> Result<(MultiplexedConnection, u64), StoreError> {
        match self.kept() {
            Some(kept) => Ok(kept),
            // Opening takes kilobytes of state, which every call of every run would carry along.
            None => Box::pin(self.open()).await,
        }
    }

    async fn open(&self) -> Result<(MultiplexedConnection, u64), StoreError> {
        let mut openings = self.opening.lock().await;
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        if let Some((until, why)) = &openings.refused_until
            && Instant::now() < *until
        {
            return Err(StoreError::Unavailable(why.clone()));
        }
        match timeout(OPEN_TIMEOUT, self.pool.get()).await {
            Ok(Ok(connection)) => {
                *openings = Openings::default();
                Ok(self.keep(connection))
            }
            Ok(Err(deadpool_redis::PoolError::Backend(error))) => Err(openings.refuse(failed(&error))),
            Ok(Err(error)) => Err(openings.refuse(StoreError::Unavailable(error.to_string()))),
            Err(_) => {
                let ms = OPEN_TIMEOUT.as_millis();
                Err(openings.refuse(StoreError::Unavailable(format!("Redis took no connection within {ms} ms"))))
            }
        }
    }

    /// Forgets the connection of this number, unless another has taken its place already.
    pub(super) fn drop_line(&self, number: u64) {
        self.forget(|kept| kept.number == number);
    }

    /// Notes that the connection of this number is alive.
    pub(super) fn answered(&self, number: u64) {
        KEPT.with_borrow(|all| {
            if let Some(kept) = all.iter().find(|kept| kept.number == number) {
                kept.answered.set(Instant::now());
            }
        });
    }

    /// Forgets this thread's connection if it has been silent for long.
    pub(super) fn drop_silent(&self) {
        self.forget(|kept| kept.answered.get().elapsed() >= SILENT);
    }

    fn kept(&self) -> Option<(MultiplexedConnection, u64)> {
        KEPT.with_borrow(|all| {
            let kept = all.iter().find(|kept| kept.store == self.store)?;
            Some((MultiplexedConnection::clone(&kept.connection), kept.number))
        })
    }

    fn keep(&self, connection: Connection) -> (MultiplexedConnection, u64) {
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        let line = MultiplexedConnection::clone(&connection);
        KEPT.with_borrow_mut(|all| {
            all.push(Kept { store: self.store, number, connection, answered: Cell::new(Instant::now()) });
        });
        (line, number)
    }

    fn forget(&self, which: impl Fn(&Kept) -> bool) {
        let dead = KEPT.with_borrow_mut(|all| {
            let position = all.iter().position(|kept| kept.store == self.store && which(kept))?;
            Some(all.swap_remove(position))
        });
        if let Some(kept) = dead {
            // Taken out for good: a connection that failed must not be handed to another thread.
            drop(Connection::take(kept.connection));
        }
    }
}

impl Openings {
    /// Notes a failed opening: until the back-off is over, callers get its reason at once.
    fn refuse(&mut self, error: StoreError) -> StoreError {
        self.back_off = (self.back_off * 2).clamp(BACK_OFF_MIN, BACK_OFF_MAX);
        self.refused_until = Some((Instant::now() + self.back_off, error.to_string()));
        error
    }
}
