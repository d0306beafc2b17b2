//! The shared store: one Redis (or what speaks its protocol) for any number of processes.
//!
//! Rooms above send scripts and commands; every one is answered or given up within [`OP_TIMEOUT`].

mod checks;
mod lines;
mod script;
mod trust;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ConnectionInfo, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerErrorKind, Value};

use super::StoreError;
use super::health::{Health, Place};
use lines::Lines;
use trust::Trust;

pub(super) use checks::accept_loss;
pub use script::Script;

/// The longest that a call may wait for Redis, connecting included.
pub const OP_TIMEOUT: Duration = Duration::from_millis(200);

/// Reservations of one process that may be under way at the same time. A run costs the server about 120 us, half of it to
/// reserve: so many are answered well within [`OP_TIMEOUT`], also where some other processes ask as much.
const NEW_WORK_MAX: usize = 1_000;

/// Connections that one call may find dead: a runtime of several threads has one on each.
const TRIES: u32 = 3;

/// Clones share connections and health.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
}

struct Shared {
    info: ConnectionInfo,
    lines: Lines,
    health: Health,
    trust: Trust,
}

impl Redis {
    /// Checks durability and eviction, and reads the epoch.
    pub(super) fn open(url: &str, relaxed: bool) -> Result<Self, StoreError> {
        let info = checks::connection_info(url)?;
        let epoch = checks::at_start(&info, relaxed)?;
        Self::with_epoch(info, Some(epoch).filter(|_| !relaxed))
    }

    pub(super) fn open_read_only(url: &str) -> Result<Self, StoreError> {
        Self::with_epoch(checks::connection_info(url)?, None)
    }

    fn with_epoch(info: ConnectionInfo, epoch: Option<String>) -> Result<Self, StoreError> {
        let (lines, health) = (Lines::new(info.clone())?, Health::new(NEW_WORK_MAX));
        let shared = Shared { info, lines, health, trust: Trust::new(epoch) };
        Ok(Redis { shared: Arc::new(shared) })
    }

    /// For what has to have connections of its own.
    pub fn connection_info(&self) -> ConnectionInfo {
        self.shared.info.clone()
    }

    pub(super) fn is_up(&self) -> bool {
        self.shared.health.is_up() && !self.shared.trust.is_shut()
    }

    pub(super) fn health(&self) -> &Health {
        &self.shared.health
    }

    /// For one more reservation. Errors: there is no place for it, and nothing may be sent.
    pub fn place(&self) -> Result<Place<'_>, StoreError> {
        self.shared.trust.admits()?;
        self.shared.health.place()
    }

    /// To be called by who has seen a write succeed.
    pub fn wrote(&self) {
        self.shared.health.works();
    }

    /// Runs a script by its digest; sends the text where this server does not know it yet.
    pub async fn run<T: FromRedisValue>(&self, script: &Script, args: &[Vec<u8>]) -> Result<T, StoreError> {
        let by_digest = script.by_digest(args);
        self.call(|mut line| {
            let by_digest = &by_digest;
            async move {
                let answer = line.send_packed_command(by_digest).await.and_then(Value::extract_error);
                match answer {
                    Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                        line.send_packed_command(&script.by_text(args)).await.and_then(Value::extract_error)
                    }
                    answer => answer,
                }
            }
        })
        .await
        .and_then(decode)
    }

    pub async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.call(|mut line| async move { line.send_packed_command(command).await.and_then(Value::extract_error) })
            .await
            .and_then(decode)
    }

    /// Sends several commands in one write. They are not a transaction.
    pub async fn pipeline<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, StoreError> {
        self.call(|mut line| async move { commands.query_async(&mut line).await }).await
    }

    /// One call on this thread's connection. A connection that turns out to be dead is replaced and the call repeated,
    /// so calls must be safe to repeat. The time limit is for all of it.
    async fn call<T, F, Fut>(&self, send: F) -> Result<T, StoreError>
    where
        F: Fn(MultiplexedConnection) -> Fut,
        Fut: Future<Output = Result<T, RedisError>>,
    {
        let lines = &self.shared.lines;
        let attempt = async {
            let mut tries_left = TRIES;
            loop {
                let (line, number) = lines.get().await?;
                let error = match send(line).await {
                    Ok(answer) => {
                        lines.answered(number);
                        return Ok(answer);
                    }
                    Err(error) => error,
                };
                if breaks_line(&error) {
                    lines.drop_line(number);
                }
                tries_left -= 1;
                if tries_left == 0 || !(error.is_connection_dropped() || error.is_unrecoverable_error()) {
                    return Err(failed(&error));
                }
            }
        };
        let answer = tokio::time::timeout(OP_TIMEOUT, attempt).await.unwrap_or_else(|_| {
            lines.drop_silent();
            Err(StoreError::Unavailable(format!("no answer from Redis within {} ms", OP_TIMEOUT.as_millis())))
        });
        if let Err(error) = &answer {
            self.shared.health.fails(error);
        }
        answer
    }
}

fn decode<T: FromRedisValue>(value: Value) -> Result<T, StoreError> {
    T::from_redis_value(value).map_err(|error| StoreError::Corrupt(format!("Redis gave an unknown answer: {error}")))
}

/// Whether the connection is of no use after this error: it is dead, or leads to a server that is not the master.
fn breaks_line(error: &RedisError) -> bool {
    let wrong_server = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading)
    );
    wrong_server || error.is_io_error() || error.is_unrecoverable_error()
}

fn failed(error: &RedisError) -> StoreError {
    match error.code() {
        Some("OOM") => StoreError::Unavailable(format!("{error}; raise `maxmemory` of the Redis")),
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => {
            StoreError::Unavailable(format!("{error}; check user, password and ACL in `store:`"))
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}
