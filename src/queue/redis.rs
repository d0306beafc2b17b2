//! Tickets on Redis, for the workers of all processes.

use std::time::Duration;

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ConnectionInfo, RedisError};
use tokio_util::sync::CancellationToken;

use super::{QueueError, TICKET, Ticket, Work, handle, until};

const QUEUE: &str = "hg:queue";

/// apalis finds new tickets by looking for them. Between two looks a run of another process waits; those of this one
/// are told at once.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A worker that shows no life for four beats loses its tickets to the others.
const BEAT: Duration = Duration::from_secs(5);

/// apalis gives a worker up at its first late answer, so its own connection waits longer than the ledger's.
const PATIENCE: Duration = Duration::from_secs(5);

/// Used tickets that one call removes; thousands would hold up the ledger's scripts.
const TIDIED: u32 = 500;

pub(super) struct RedisQueue {
    tickets: RedisStorage<Ticket>,
    connection: ConnectionManager,
    tidy: redis::Script,
}

impl RedisQueue {
    pub fn new(info: ConnectionInfo) -> Result<Self, QueueError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        let client = Client::open(info).map_err(|error| failed(&error))?;
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(|error| failed(&error))?;
        let config = Config {
            // Results are only kept so that the ticket is taken out of its worker's hands.
            persist_results: true,
            emit_events: false,
            lock_tasks: false,
            ..Config::default()
        };
        let config = config.queue(QUEUE).batch_size(1).heartbeat_interval(BEAT).missed_heartbeats(4);
        let tickets = RedisStorage::new(connection.clone()).with_config(config);
        Ok(RedisQueue { tickets, connection, tidy: redis::Script::new(include_str!("tidy.lua")) })
    }

    pub async fn push(&self) -> Result<(), QueueError> {
        self.tickets.clone().push(TICKET).await.map_err(|error| QueueError(error.to_string()))
    }

    pub async fn serve(&self, worker: &str, work: Work, stop: CancellationToken) -> Result<(), QueueError> {
        WorkerBuilder::new(worker)
            .backend(self.tickets.clone().poll_with_interval(LOOK_EVERY))
            .data(work)
            .build(handle)
            .run_until(until(stop))
            .await
            .map_err(|error| QueueError(error.to_string()))
    }

    pub async fn tidy(&self) -> Result<(), QueueError> {
        let mut connection = self.connection.clone();
        let mut call = self.tidy.prepare_invoke();
        call.arg(QUEUE).arg(TIDIED).invoke_async::<u32>(&mut connection).await.map_err(|error| failed(&error))?;
        Ok(())
    }
}

fn failed(error: &RedisError) -> QueueError {
    QueueError(error.to_string())
}
