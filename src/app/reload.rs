//! Live reload: watch, validate, compile, swap. What is wrong changes nothing and says where.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::pipeline::Hall;
use crate::telemetry::ResultLabel;

use super::build::{self, Fingerprint, Refused};

pub(super) struct Reloader {
    hall: Arc<Hall>,
    path: PathBuf,
    env: BTreeMap<String, String>,
    /// Of the generation in force.
    current: Fingerprint,
    /// The last problem that was told; the same one is told once.
    told: Option<String>,
    /// Files of the last edit that was refused.
    refused_files: Vec<PathBuf>,
}

/// A watched file and where it really is. A link that leads elsewhere is another place to watch.
type Place = (PathBuf, Option<PathBuf>);

impl Reloader {
    pub(super) fn new(hall: Arc<Hall>, path: PathBuf, env: BTreeMap<String, String>, current: Fingerprint) -> Self {
        Reloader { hall, path, env, current, told: None, refused_files: Vec::new() }
    }

    /// Follows edits until `stop`. SIGHUP reloads as well.
    pub(super) fn start(mut self, stop: &CancellationToken) -> JoinHandle<()> {
        let changed = Arc::new(Notify::new());
        let stop = stop.clone();
        let mut places = self.places();
        let mut watcher = self.watch(&places, &changed);
        tokio::spawn(async move {
            let mut hangup = signal(SignalKind::hangup()).ok();
            loop {
                let signalled = async {
                    match &mut hangup {
                        Some(hangup) => hangup.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = changed.notified() => {}
                    _ = signalled => {}
                }
                self = self.reload_off_thread().await;
                let now = self.places();
                if now != places {
                    places = now;
                    // The new watch stands before the old one goes; where there can be none, the old one stays.
                    watcher = self.watch(&places, &changed).or(watcher);
                }
            }
        })
    }

    fn places(&self) -> Vec<Place> {
        let mut files = self.hall.snapshot().config.files();
        files.extend(self.refused_files.iter().cloned());
        files.sort();
        files.dedup();
        files.into_iter().map(|file| (file.clone(), file.canonicalize().ok())).collect()
    }

    fn watch(&self, places: &[Place], changed: &Arc<Notify>) -> Option<config::Watcher> {
        let notify = Arc::clone(changed);
        let files: Vec<PathBuf> = places.iter().map(|(file, _)| file.clone()).collect();
        let watcher = config::watch(&files, move || notify.notify_one());
        // An edit between the last load and this watch is seen by one look now.
        changed.notify_one();
        watcher.inspect_err(|error| tracing::warn!("{error}. SIGHUP reloads as well.")).ok()
    }

    /// Compiling may take milliseconds; this runtime also answers for the store and the sweep.
    async fn reload_off_thread(self) -> Self {
        let hall = Arc::clone(&self.hall);
        let (path, env, current, told) = (self.path.clone(), self.env.clone(), self.current, self.told.clone());
        let mut this = self;
        match tokio::task::spawn_blocking(move || {
            this.reload();
            this
        })
        .await
        {
            Ok(this) => this,
            Err(error) => {
                tracing::error!(%error, "a reload panicked; the last good config goes on serving");
                Reloader { hall, path, env, current, told, refused_files: Vec::new() }
            }
        }
    }

    fn reload(&mut self) {
        let now = self.hall.snapshot();
        let next = build::snapshot(&self.path, &self.env, now.generation + 1, now.config.files());
        let next = next.and_then(|(next, fingerprint)| {
            let fixed = now.config.needs_restart(&next.config);
            if fixed.is_empty() {
                return Ok((next, fingerprint));
            }
            let file = self.path.display();
            let problems = format!("{file}: {} can't change while the gateway runs; restart it.", fixed.join(", "));
            Err(Refused { problems, files: next.config.files() })
        });
        match next {
            Ok((_, fingerprint)) if fingerprint == self.current => {
                self.settled();
            }
            Ok((next, fingerprint)) => {
                tracing::info!(generation = next.generation, "new config in force");
                self.hall.swap(next);
                self.current = fingerprint;
                self.settled();
                self.count("ok");
            }
            Err(Refused { problems, files }) => {
                self.refused_files = files;
                if self.told.as_ref() != Some(&problems) {
                    tracing::error!("edit refused, generation {} goes on serving:\n{problems}", now.generation);
                    self.count("refused");
                }
                self.hall.status().set_config_error(Some(problems.clone()));
                self.told = Some(problems);
            }
        }
    }

    /// What is on disk is what serves.
    fn settled(&mut self) {
        self.hall.status().set_config_error(None);
        self.told = None;
        self.refused_files.clear();
    }

    fn count(&self, result: &'static str) {
        self.hall.metrics().reloads.get_or_create(&ResultLabel { result }).inc();
    }
}
