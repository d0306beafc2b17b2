//! Notices edits of the config and its policies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify_debouncer_mini::notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_mini::{DebounceEventResult, Debouncer, new_debouncer};

/// Editors write in several steps; they are done after this long.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Why edits can't be noticed.
#[derive(Debug)]
pub struct WatchError(String);

impl std::fmt::Display for WatchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "edits of the config are not noticed ({}); restart to apply them", self.0)
    }
}

impl std::error::Error for WatchError {}

/// Watches until it is dropped.
pub struct Watcher {
    _debouncer: Debouncer<RecommendedWatcher>,
}

/// Calls `on_change` some 200 ms after any of `files` was written, replaced, re-linked, created or deleted.
///
/// The *folders* are watched, because editors rename a new file over the old one and mounted config maps swap a link:
/// a watch on the file itself would follow the old one. Other files in them (a database, say) change nothing here.
/// The folders are those of now: after a reload, and whenever `files` change, make a new watcher. An edit between
/// reading the files and this call is not noticed: look at them once more after it.
///
/// Errors: the system's own, such as a folder that does not exist or too many watches; a folder among the `files`.
pub fn watch(files: &[PathBuf], on_change: impl Fn() + Send + 'static) -> Result<Watcher, WatchError> {
    if let Some(folder) = files.iter().find(|file| file.is_dir()) {
        return Err(WatchError(format!("{} is a folder, not a file", folder.display())));
    }
    let watched = files.to_vec();
    let mut last = stamps(&watched);
    let handler = move |_: DebounceEventResult| {
        // Compared on errors too: a lost event (queue overflow) must not lose an edit.
        let now = stamps(&watched);
        if now != last {
            last = now;
            on_change();
        }
    };
    let fail = |error: notify_debouncer_mini::notify::Error| WatchError(error.to_string());
    let mut debouncer = new_debouncer(DEBOUNCE, handler).map_err(fail)?;
    for folder in folders(files) {
        debouncer.watcher().watch(&folder, RecursiveMode::NonRecursive).map_err(fail)?;
    }
    Ok(Watcher { _debouncer: debouncer })
}

/// The folders that hold the files, and those that hold what they link to.
fn folders(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let folder = |file: &Path| match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    files
        .iter()
        .flat_map(|file| [Some(folder(file)), file.canonicalize().ok().map(|real| folder(&real))])
        .flatten()
        .collect()
}

/// What tells one version of a file from the next. Made without opening it: opening would be an event of its own.
#[derive(PartialEq)]
struct Stamp {
    real: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let real = file.canonicalize().ok()?;
        let meta = fs::metadata(&real).ok()?;
        Some(Stamp { real, bytes: meta.len(), modified: meta.modified().ok(), inode: inode(&meta) })
    };
    files.iter().map(stamp).collect()
}

#[cfg(unix)]
fn inode(meta: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};

    use super::*;

    fn watched(file: &Path) -> (Watcher, Receiver<()>) {
        let (sender, receiver) = mpsc::channel();
        let watcher = watch(&[file.to_owned()], move || {
            let _ = sender.send(());
        });
        (watcher.expect("the folder exists"), receiver)
    }

    /// Generous: the machine may be busy. A change that is never noticed fails, a late one does not.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn an_edit_in_place_a_rename_over_it_and_a_deletion_are_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.yaml");
        fs::write(&file, "a: 1").expect("written");
        let (_watcher, changes) = watched(&file);
        fs::write(&file, "a: 22").expect("written");
        assert_eq!(changes.recv_timeout(PATIENCE), Ok(()), "in place");
        fs::write(folder.path().join("new"), "a: 333").expect("written");
        fs::rename(folder.path().join("new"), &file).expect("renamed");
        assert_eq!(changes.recv_timeout(PATIENCE), Ok(()), "rename");
        fs::remove_file(&file).expect("removed");
        assert_eq!(changes.recv_timeout(PATIENCE), Ok(()), "delete");
    }

    #[cfg(unix)]
    #[test]
    fn a_swapped_link_is_noticed() {
        use std::os::unix::fs::symlink;
        // The layout of a mounted config map: config.yaml -> ..data/config.yaml, ..data -> a folder per version.
        let folder = tempfile::tempdir().expect("a folder");
        for version in ["v1", "v2"] {
            fs::create_dir(folder.path().join(version)).expect("created");
            fs::write(folder.path().join(version).join("config.yaml"), "a: 1").expect("written");
        }
        symlink("v1", folder.path().join("..data")).expect("linked");
        symlink("..data/config.yaml", folder.path().join("config.yaml")).expect("linked");
        let (_watcher, changes) = watched(&folder.path().join("config.yaml"));
        symlink("v2", folder.path().join("..new")).expect("linked");
        fs::rename(folder.path().join("..new"), folder.path().join("..data")).expect("swapped");
        assert_eq!(changes.recv_timeout(PATIENCE), Ok(()));
    }

    #[test]
    fn another_file_in_the_folder_is_no_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.yaml");
        fs::write(&file, "a: 1").expect("written");
        let before = stamps(std::slice::from_ref(&file));
        fs::write(folder.path().join("headgate.db"), "x").expect("written");
        assert!(stamps(std::slice::from_ref(&file)) == before);
        fs::write(&file, "a: 22").expect("written");
        assert!(stamps(&[file]) != before);
    }

    #[test]
    fn a_folder_is_refused_since_edits_in_it_would_be_missed() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(watch(&[folder.path().to_owned()], || ()).is_err());
    }
}
