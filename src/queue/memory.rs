//! Tickets in the memory of the one process that has workers.

use std::convert::Infallible;
use std::sync::Arc;

use apalis::prelude::*;
use futures_util::sink::{SinkExt, drain};
use futures_util::stream::unfold;
use futures_util::{Sink, StreamExt};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::{QueueError, TICKET, Ticket, Work, handle, until};

#[derive(Clone)]
pub(super) struct MemoryQueue {
    tickets: mpsc::UnboundedSender<Ticket>,
    waiting: Arc<Mutex<mpsc::UnboundedReceiver<Ticket>>>,
}

impl Default for MemoryQueue {
    fn default() -> Self {
        let (tickets, waiting) = mpsc::unbounded_channel();
        MemoryQueue { tickets, waiting: Arc::new(Mutex::new(waiting)) }
    }
}

impl MemoryQueue {
    /// The receiver lives as long as the sender, so nothing can fail.
    pub fn push(&self) {
        let _ = self.tickets.send(TICKET);
    }

    pub async fn serve(&self, worker: &str, work: Work, stop: CancellationToken) -> Result<(), QueueError> {
        let next = |waiting: Arc<Mutex<mpsc::UnboundedReceiver<Ticket>>>| async move {
            let ticket = waiting.lock().await.recv().await?;
            Some((TaskBuilder::new(ticket).task_id(TaskId::from_string(RandomId::default())).build(), waiting))
        };
        // Tickets come through our own channel: apalis' sink panics where two tasks push at once.
        let nowhere: Box<dyn Sink<Task<Ticket>, Error = MemoryStorageError> + Send + Sync + Unpin> =
            Box::new(drain().sink_map_err(|never: Infallible| match never {}));
        let sink = MemorySink::new(Arc::new(futures_util::lock::Mutex::new(nowhere)));
        let storage = MemoryStorage::new_with(sink, unfold(Arc::clone(&self.waiting), next).boxed());
        WorkerBuilder::new(worker)
            .backend(storage)
            .data(work)
            .build(handle)
            .run_until(until(stop))
            .await
            .map_err(|error| QueueError(error.to_string()))
    }
}
