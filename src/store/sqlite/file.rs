//! Opening the file: who may write it, what it must be, and how it is read beside its writer.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{StoreError, failed, schema};

/// How long a statement waits for another program's lock on the file.
const BUSY: Duration = Duration::from_millis(200);

/// Prepared statements kept per connection; more than all rooms together use.
const STATEMENTS: usize = 64;

/// The file, open for writing and locked against other writers. The lock goes with the value, after the connection.
pub(super) struct OpenFile {
    pub connection: Connection,
    pub path: PathBuf,
    identity: Option<FileIdentity>,
    _lock: Lock,
}

impl OpenFile {
    /// SQLite goes on writing into a file that was deleted or replaced under it, and what it then acknowledges is
    /// lost. So every batch looks first.
    pub(super) fn check_in_place(&self) -> Result<(), StoreError> {
        if identity(&self.path) == self.identity {
            return Ok(());
        }
        let path = self.path.display();
        Err(StoreError::Unavailable(format!(
            "{path} was deleted or replaced; put it back, nothing is admitted without it"
        )))
    }
}

pub(super) fn open_for_writing(path: &Path, full_sync: bool) -> Result<OpenFile, StoreError> {
    let path = absolute(path)?;
    let mut lock = lock(&path)?;
    if lock.is_signed()? && !path.exists() {
        let path = path.display();
        return Err(StoreError::Refused(format!(
            "{path} is gone, although a gateway has served it; put it back, or delete {path}.lock as well to start with              fresh budgets"
        )));
    }
    let mut connection = Connection::open(&path).map_err(|error| at_start(&path, &error))?;
    let refuse = |error: rusqlite::Error| at_start(&path, &error);
    connection.busy_timeout(BUSY).map_err(refuse)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    schema::check_ours(&connection, &path)?;
    schema::check_whole(&connection, &path)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(refuse)?;
    connection.pragma_update(None, "synchronous", if full_sync { "full" } else { "normal" }).map_err(refuse)?;
    schema::migrate(&mut connection, &path)?;
    lock.sign()?;
    Ok(OpenFile { connection, identity: identity(&path), path, _lock: lock })
}

/// The path that stays right when the working directory changes. The file need not exist yet, its directory must.
fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or_else(|| StoreError::Refused(format!("{} names no file", path.display())))?;
    let directory = fs::canonicalize(directory).map_err(|error| {
        StoreError::Refused(format!("the directory {} of the store: {error}; create it", directory.display()))
    })?;
    let path = directory.join(name);
    // A link to the file must lead to the same lock as its target.
    Ok(fs::canonicalize(&path).unwrap_or(path))
}

/// The lock that keeps a second process out. It is a file of its own: closing any other descriptor of the database
/// file would drop SQLite's own locks on it. It stays behind, signed, and so tells that there was a database.
struct Lock {
    file: File,
    name: PathBuf,
}

impl Lock {
    fn is_signed(&self) -> Result<bool, StoreError> {
        self.file.metadata().map(|file| file.len() > 0).map_err(|error| cannot_lock(&self.name, &error))
    }

    /// Writes down who serves the file.
    fn sign(&mut self) -> Result<(), StoreError> {
        let pid = std::process::id().to_string();
        let signed = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        signed.and_then(|_| self.file.write_all(pid.as_bytes())).map_err(|error| cannot_lock(&self.name, &error))
    }
}

impl Drop for Lock {
    /// A child that another thread is just starting shares the lock until it has become another program: closing our
    /// own descriptor would leave the file locked that long.
    fn drop(&mut self) {
        // What fails here is released by the kernel all the same, a little later.
        let _ = self.file.unlock();
    }
}

/// Takes the lock.
fn lock(path: &Path) -> Result<Lock, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let cannot = |error| cannot_lock(&name, &error);
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&name).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let owner = match file.read_to_string(&mut owner) {
                Ok(_) if !owner.trim().is_empty() => format!("process {}", owner.trim()),
                _ => "another process".to_owned(),
            };
            return Err(StoreError::Refused(format!(
                "{owner} serves {} already; stop it, or set `store:` to a redis:// URL to run several",
                path.display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
    }
    Ok(Lock { file, name })
}

fn cannot_lock(name: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Refused(format!("can't lock {}: {error}; check the permissions there", name.display()))
}

/// The file as a reader sees it. Every read opens it anew and sees all that was committed until then; WAL lets it
/// run beside the writer without either waiting.
#[derive(Clone, Debug)]
pub struct SqliteFile {
    path: PathBuf,
}

impl SqliteFile {
    pub(super) fn new(path: PathBuf) -> Self {
        SqliteFile { path }
    }

    /// A file that must be there already, with a schema that this release knows.
    pub(crate) fn existing(path: PathBuf) -> Result<Self, StoreError> {
        let file = SqliteFile::new(path);
        schema::check_readable(&file.open()?, &file.path)?;
        Ok(file)
    }

    /// Runs `job` on a connection that can't write, on a thread where it may block.
    pub async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let file = self.clone();
        let read = tokio::task::spawn_blocking(move || job(&file.open()?).map_err(|error| failed(&error)));
        read.await.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("a read was stopped: {error}"))))
    }

    /// A connection for a thread of one's own.
    pub fn open(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&self.path, flags).map_err(|error| cannot_open(&self.path, &error))?;
        connection.busy_timeout(BUSY).map_err(|error| failed(&error))?;
        Ok(connection)
    }
}

/// Device and inode: what stays the same while the file is the same.
#[cfg(unix)]
type FileIdentity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<FileIdentity> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Elsewhere an open file can't be deleted, and its existence is enough.
#[cfg(not(unix))]
type FileIdentity = ();

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<FileIdentity> {
    fs::metadata(path).ok().map(|_| ())
}

fn cannot_open(path: &Path, error: &rusqlite::Error) -> StoreError {
    StoreError::Refused(format!("can't open {}: {error}; has `headgate serve` run with this config?", path.display()))
}

/// At start every failure is one that waiting does not heal.
fn at_start(path: &Path, error: &rusqlite::Error) -> StoreError {
    match failed(error) {
        StoreError::Unavailable(why) => StoreError::Refused(format!("{}: {why}", path.display())),
        other => other,
    }
}
