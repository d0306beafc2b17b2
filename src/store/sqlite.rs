//! The embedded store: one file, one writing process, one writer thread.

mod file;
mod schema;
mod writer;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::StoreError;
use super::health::{Health, Place};
use writer::{Job, Message, Once, Writer};

pub use file::SqliteFile;

/// State of a room above that lives in memory, is changed only by jobs, and is written with the batch that changed it.
pub trait Participant: Send + 'static {
    /// Builds the state from the file: at start, and after every batch that did not commit.
    fn load(&mut self, file: &Connection) -> rusqlite::Result<()>;

    /// Writes what the jobs of this batch changed, inside its transaction.
    fn save(&mut self, file: &Connection) -> rusqlite::Result<()>;
}

/// The file, open for writing. Clones share one writer thread; the last one to go waits until it has closed the file.
#[derive(Clone)]
pub struct Sqlite {
    office: Arc<Office>,
}

struct Office {
    path: PathBuf,
    health: Arc<Health>,
    /// None only while closing.
    inbox: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    participants: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Sqlite {
    pub(super) fn open(path: &Path, full_sync: bool) -> Result<Self, StoreError> {
        let opened = file::open_for_writing(path, full_sync)?;
        let path = opened.path.clone();
        // The writer takes whatever waits in one commit, so no number of calls is too many.
        let health = Arc::new(Health::new(usize::MAX));
        let (inbox, messages) = mpsc::channel();
        let writer = Writer::new(opened, messages, Arc::clone(&health));
        let thread = thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::Unavailable(format!("no thread for the SQLite writer: {error}")))?;
        let office = Office { path, health, inbox: Some(inbox), thread: Some(thread), participants: Mutex::default() };
        Ok(Sqlite { office: Arc::new(office) })
    }

    pub(super) fn is_up(&self) -> bool {
        self.office.health.is_up()
    }

    pub(super) fn health(&self) -> &Health {
        &self.office.health
    }

    /// For one more reservation. Errors: there is no place for it, and nothing may be written.
    pub fn place(&self) -> Result<Place<'_>, StoreError> {
        self.office.health.place()
    }

    /// Has the writer look after the file, and write to it while it is not known to take writes.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await
    }

    /// Runs `job` on the writer thread, together with whatever else is waiting, in one transaction. Answers only after
    /// its commit. A job that fails takes its whole batch back, so it must fail only where the file does.
    ///
    /// The job runs even if the future is dropped.
    pub async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.post(job)?.await.unwrap_or_else(|_| Err(closed()))
    }

    /// As [`Sqlite::write`], for threads of our own.
    pub fn write_blocking<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.post(job)?.blocking_recv().unwrap_or_else(|_| Err(closed()))
    }

    /// The one `P` of this file. The first call makes it and loads it before any job that is posted later.
    pub fn participant<P: Participant>(&self, make: impl FnOnce() -> P) -> Arc<Mutex<P>> {
        let mut all = self.office.participants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&TypeId::of::<P>()).cloned().and_then(|p| p.downcast::<Mutex<P>>().ok()) {
            return known;
        }
        let new = Arc::new(Mutex::new(make()));
        all.insert(TypeId::of::<P>(), new.clone());
        if let Some(inbox) = &self.office.inbox {
            // A writer that is gone answers every later job with an error.
            let _ = inbox.send(Message::Enroll(new.clone()));
        }
        new
    }

    /// A view of the same file for reading on other threads.
    pub fn file(&self) -> SqliteFile {
        SqliteFile::new(self.office.path.clone())
    }

    fn post<T, F>(&self, job: F) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (job, told) = Once::new(job);
        let job: Box<dyn Job> = Box::new(job);
        let inbox = self.office.inbox.as_ref().ok_or_else(closed)?;
        inbox.send(Message::Job(job)).map_err(|_| closed())?;
        Ok(told)
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            // The writer catches panics of its jobs; one of its own has already been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the SQLite writer has stopped; restart the gateway".to_owned())
}

/// What an error of the file means to the rooms above.
fn failed(error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseCorrupt, DiskFull, NotADatabase, SystemIoFailure};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => {
            StoreError::Corrupt(format!("{error}; stop the gateway and restore the file from a backup"))
        }
        Some(SystemIoFailure) => StoreError::Unavailable(format!("{error}; look after the disk of the store")),
        Some(DiskFull) => StoreError::Unavailable(format!("{error}; free space on the disk of the store")),
        Some(DatabaseBusy) => StoreError::Unavailable(format!("{error}; another program holds a lock on the file")),
        Some(CannotOpen) => StoreError::Unavailable(format!("{error}; check path and permissions of the store")),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
