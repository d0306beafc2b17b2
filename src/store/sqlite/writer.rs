//! The writer thread: it drains its queue, runs everything in one transaction, and answers after the commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::health::Health;
use super::file::OpenFile;
use super::{Participant, StoreError, failed};

/// The largest group that shares a commit: bounds how long its first job waits for the last.
const BATCH_MAX: usize = 512;

pub(super) enum Message {
    Job(Box<dyn Job>),
    Enroll(Arc<Mutex<dyn Participant>>),
}

/// Work that is told how its batch ended.
pub(super) trait Job: Send {
    fn run(&mut self, file: &Connection) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A closure, its value, and who waits for it.
pub(super) struct Once<T, F> {
    job: Option<F>,
    value: Option<T>,
    tell: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Once<T, F> {
    pub(super) fn new(job: F) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (tell, told) = oneshot::channel();
        (Once { job: Some(job), value: None, tell }, told)
    }
}

impl<T, F> Job for Once<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, file: &Connection) -> rusqlite::Result<()> {
        if let Some(job) = self.job.take() {
            self.value = Some(job(file)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Once { value, tell, .. } = *self;
        let answer = committed.and_then(|()| value.ok_or_else(defect));
        // Nobody may be waiting any more; the work is done all the same.
        let _ = tell.send(answer);
    }
}

pub(super) struct Writer {
    file: OpenFile,
    inbox: mpsc::Receiver<Message>,
    participants: Vec<Arc<Mutex<dyn Participant>>>,
    /// What the participants hold in memory is not what the file holds.
    stale: bool,
    health: Arc<Health>,
}

impl Writer {
    pub(super) fn new(file: OpenFile, inbox: mpsc::Receiver<Message>, health: Arc<Health>) -> Self {
        Writer { file, inbox, participants: Vec::new(), stale: false, health }
    }

    /// Ends when the last handle is gone and the queue is empty.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while let Ok(message) = self.inbox.recv() {
            self.sort(message, &mut batch);
            self.gather(&mut batch);
            let committed = self.commit(&mut batch);
            self.report(&committed);
            for job in batch.drain(..) {
                job.answer(committed.clone());
            }
        }
    }

    /// Takes what is waiting. A wake may have cut in on the very thread that was about to ask for more: as long as
    /// giving way brings further jobs, they share the commit.
    fn gather(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        loop {
            let before = batch.len();
            std::thread::yield_now();
            while batch.len() < BATCH_MAX
                && let Ok(message) = self.inbox.try_recv()
            {
                self.sort(message, batch);
            }
            if batch.len() == before || batch.len() == BATCH_MAX {
                return;
            }
        }
    }

    fn sort(&mut self, message: Message, batch: &mut Vec<Box<dyn Job>>) {
        match message {
            Message::Job(job) => batch.push(job),
            Message::Enroll(participant) => {
                self.participants.push(participant);
                self.stale = true;
            }
        }
    }

    /// All of the batch, or nothing of it. A panic is a defect of one job; it must not close the store for good.
    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let done = catch_unwind(AssertUnwindSafe(|| self.transact(batch))).unwrap_or_else(|_| Err(defect()));
        if done.is_err() {
            self.stale = true;
            // After some errors SQLite has rolled back by itself, and this one says so.
            let _ = self.file.connection.execute_batch("ROLLBACK");
        }
        done
    }

    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        self.file.check_in_place()?;
        if self.stale {
            for participant in &self.participants {
                locked(participant).load(&self.file.connection).map_err(|error| failed(&error))?;
            }
            self.stale = false;
        }
        self.write(batch).map_err(|error| failed(&error))
    }

    fn write(&self, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        let file = &self.file.connection;
        file.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for job in batch {
            job.run(file)?;
        }
        for participant in &self.participants {
            locked(participant).save(file)?;
        }
        if !self.health.is_up() {
            // A batch that changes nothing would prove nothing: a full disk commits it as well.
            file.pragma_update(None, "user_version", 1)?;
        }
        file.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    fn report(&self, committed: &Result<(), StoreError>) {
        match committed {
            Ok(()) => self.health.works(),
            Err(error) => self.health.fails(error),
        }
    }
}

/// A participant that panicked is loaded anew before it is used, so its poison means nothing.
fn locked<'a>(participant: &'a Mutex<dyn Participant>) -> std::sync::MutexGuard<'a, dyn Participant + 'static> {
    participant.lock().unwrap_or_else(PoisonError::into_inner)
}

fn defect() -> StoreError {
    StoreError::Unavailable("a store operation failed by a defect of the gateway; see its log".to_owned())
}
