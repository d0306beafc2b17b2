//! Run records on SQLite: a thread of their own collects them and writes them behind, so that the ledger's commits
//! carry no statistics and records cost their runs nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use crate::domain::ids::RunId;
use crate::domain::record::RunRecord;
use crate::store::sqlite::{Sqlite, SqliteFile};
use crate::store::{Clock, StoreError};

use super::{KEPT, decode, encode};

/// How long a record waits for others.
const WRITE_EVERY: Duration = Duration::from_millis(250);
/// Records that one batch of the writer takes: about a millisecond of its time.
const BATCH: usize = 64;
/// Records kept in memory while the file takes none.
const PENDING_MAX: usize = 65_536;
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// Rows that one batch deletes.
const PURGE_MAX: u32 = 1_000;

enum Message {
    Find(RunId, oneshot::Sender<Result<Option<RunRecord>, StoreError>>),
    Recent(usize, oneshot::Sender<Result<Vec<RunRecord>, StoreError>>),
    Flush(oneshot::Sender<()>),
}

/// The door to the thread. Dropping it writes what is pending and ends the thread.
pub(super) struct Archive {
    inbox: Mutex<Option<mpsc::Sender<Message>>>,
    /// Read only when the thread is awake anyway: a run that ends wakes nobody.
    finished: mpsc::Sender<RunRecord>,
    thread: Option<JoinHandle<()>>,
}

impl Archive {
    pub fn start(store: Sqlite, clock: Clock) -> Self {
        let (inbox, messages) = mpsc::channel();
        let (finished, records) = mpsc::channel();
        let archivist = Archivist {
            file: store.file(),
            store,
            clock,
            records,
            reader: None,
            pending: VecDeque::new(),
            full: false,
        };
        let thread = thread::Builder::new()
            .name("run-records".to_owned())
            .spawn(move || archivist.run(&messages))
            .inspect_err(|error| tracing::error!(%error, "no thread for run records: receipts will be missing"));
        Archive { inbox: Mutex::new(Some(inbox)), finished, thread: thread.ok() }
    }

    pub fn finish(&self, record: RunRecord) {
        let _ = self.finished.send(record);
    }

    pub async fn find(&self, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        let (tell, told) = oneshot::channel();
        self.send(Message::Find(run, tell));
        told.await.unwrap_or_else(|_| Err(stopped()))
    }

    pub async fn recent(&self, limit: usize) -> Result<Vec<RunRecord>, StoreError> {
        let (tell, told) = oneshot::channel();
        self.send(Message::Recent(limit, tell));
        told.await.unwrap_or_else(|_| Err(stopped()))
    }

    pub async fn flush(&self) {
        let (tell, told) = oneshot::channel();
        self.send(Message::Flush(tell));
        // No answer means that the thread is gone, and with it what could be flushed.
        let _ = told.await;
    }

    /// A message that no thread takes is dropped; whoever waits for its answer notices.
    fn send(&self, message: Message) {
        if let Some(inbox) = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = inbox.send(message);
        }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        *self.inbox.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(thread) = self.thread.take() {
            // A panic over there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

struct Archivist {
    store: Sqlite,
    file: SqliteFile,
    clock: Clock,
    records: mpsc::Receiver<RunRecord>,
    reader: Option<Connection>,
    pending: VecDeque<RunRecord>,
    /// Records are being dropped, and this has been logged.
    full: bool,
}

impl Archivist {
    fn run(mut self, inbox: &mpsc::Receiver<Message>) {
        let (mut write_at, mut purge_at) = (Instant::now(), Instant::now());
        loop {
            let message = inbox.recv_timeout(write_at.saturating_duration_since(Instant::now()));
            self.collect();
            match message {
                Ok(message) => self.take(message),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    self.write();
                    return;
                }
            }
            let now = Instant::now();
            if write_at <= now {
                self.write();
                write_at = now + WRITE_EVERY;
            }
            if purge_at <= now {
                self.purge();
                purge_at = now + PURGE_EVERY;
            }
        }
    }

    fn collect(&mut self) {
        while let Ok(record) = self.records.try_recv() {
            self.hold(record);
        }
    }

    fn take(&mut self, message: Message) {
        // Whoever asked may have left; the answer then goes nowhere.
        match message {
            Message::Find(run, tell) => {
                let _ = tell.send(self.find(run));
            }
            Message::Recent(limit, tell) => {
                self.write();
                let _ = tell.send(self.read(|reader| recent(reader, limit)));
            }
            Message::Flush(tell) => {
                self.write();
                let _ = tell.send(());
            }
        }
    }

    fn hold(&mut self, record: RunRecord) {
        if self.pending.len() < PENDING_MAX {
            self.full = false;
            self.pending.push_back(record);
        } else if !std::mem::replace(&mut self.full, true) {
            tracing::error!("run records are dropped: the store has taken none for too long");
        }
    }

    /// Writes everything pending, in batches; what the file does not take stays for the next time.
    fn write(&mut self) {
        while !self.pending.is_empty() {
            let batch: Vec<([u8; 16], String)> = self
                .pending
                .iter()
                .take(BATCH)
                .filter_map(|record| Some((*record.id.as_bytes(), encode(record)?)))
                .collect();
            let written = self.store.write_blocking(move |file| {
                let mut insert =
                    file.prepare_cached("INSERT OR REPLACE INTO run_records (id, record) VALUES (?1, ?2)")?;
                batch.iter().try_for_each(|(id, record)| insert.execute((id, record)).map(|_| ()))
            });
            if written.is_err() {
                return;
            }
            self.pending.drain(..BATCH.min(self.pending.len()));
        }
    }

    fn find(&mut self, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        match self.pending.iter().find(|record| record.id == run) {
            Some(record) => Ok(Some(record.clone())),
            None => self.read(|reader| find(reader, run)),
        }
    }

    fn read<T>(&mut self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.file.open()?,
        };
        let answer = query(&reader).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        // Kept only while it works.
        self.reader = Some(reader);
        Ok(answer)
    }

    fn purge(&self) {
        let kept_ms = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
        let before = RunId::first_at(self.clock.now().unix_ms.saturating_sub(kept_ms));
        loop {
            let deleted = self.store.write_blocking(move |file| {
                file.prepare_cached(
                    "DELETE FROM run_records WHERE id IN
                       (SELECT id FROM run_records WHERE id < ?1 ORDER BY id LIMIT ?2)",
                )?
                .execute((before.as_bytes(), PURGE_MAX))
            });
            // A failure is tried again by the next purge.
            if deleted.unwrap_or_default() < PURGE_MAX as usize {
                return;
            }
        }
    }
}

fn find(file: &Connection, run: RunId) -> rusqlite::Result<Option<RunRecord>> {
    let mut query = file.prepare_cached("SELECT record FROM run_records WHERE id = ?1")?;
    let text: Option<String> = query.query_row([run.as_bytes()], |row| row.get(0)).optional()?;
    Ok(text.and_then(|text| decode(&text)))
}

fn recent(file: &Connection, limit: usize) -> rusqlite::Result<Vec<RunRecord>> {
    let mut query = file.prepare_cached("SELECT record FROM run_records ORDER BY id DESC LIMIT ?1")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let texts = query.query_map([limit], |row| row.get::<_, String>(0))?;
    texts.filter_map(|text| text.map(|text| decode(&text)).transpose()).collect()
}

/// Records of a file that someone else writes.
#[derive(Clone)]
pub(super) struct FileRuns {
    file: SqliteFile,
}

impl FileRuns {
    pub fn new(file: SqliteFile) -> Self {
        FileRuns { file }
    }

    pub async fn find(&self, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        self.file.read(move |file| find(file, run)).await
    }

    pub async fn recent(&self, limit: usize) -> Result<Vec<RunRecord>, StoreError> {
        self.file.read(move |file| recent(file, limit)).await
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the thread of the run records has stopped; restart the gateway".to_owned())
}
