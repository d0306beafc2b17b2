//! What is known about every model: its script, what was asked of it, and what became of the calls.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use super::counts::{Counts, End};
use super::log::{Line, Log};
use super::presets;
use super::script::Step;
use super::seen::{Seen, SeenRequest};

/// Requests kept per model, and the bytes they may hold together; the oldest go first.
const SEEN_REQUESTS: usize = 1_000;
const SEEN_BYTES: usize = 16 << 20;

#[derive(Default)]
pub(super) struct Book {
    pages: RwLock<HashMap<String, Arc<Page>>>,
    open_sockets: AtomicU64,
    numbers: AtomicU64,
    log: OnceLock<Log>,
}

/// One model. Pages are never removed, so that a call can't end on a page that nobody reads.
#[derive(Default)]
struct Page(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    counts: Counts,
    steps: Vec<Arc<Step>>,
    next_step: usize,
    seen: VecDeque<Seen>,
    seen_bytes: usize,
    /// Grows with every reset: calls from before it must not be counted after it.
    era: u64,
}

impl Book {
    fn page(&self, model: &str) -> Arc<Page> {
        if let Some(page) = self.pages.read().unwrap_or_else(PoisonError::into_inner).get(model) {
            return Arc::clone(page);
        }
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pages.entry(model.to_owned()).or_default())
    }

    pub(super) fn script(&self, model: &str, steps: Vec<Step>) {
        let page = self.page(model);
        let mut entries = page.entries();
        entries.steps = steps.into_iter().map(Arc::new).collect();
        entries.next_step = 0;
    }

    /// Notes a call that has come in, and says how to answer it.
    pub(super) fn begin(&self, model: &str, seen: Seen) -> (OpenCall, Arc<Step>) {
        let page = self.page(model);
        let mut entries = page.entries();
        entries.counts.calls += 1;
        entries.counts.open_calls += 1;
        entries.remember(seen);
        let step = entries.step().unwrap_or_else(|| presets::step(model));
        let era = entries.era;
        drop(entries);
        (OpenCall { page, era, settled: None }, step)
    }

    /// Writes a line for every call that ends from now on. A second file changes nothing.
    pub(super) fn log_to(&self, file: File) {
        let _ = self.log.set(Log::new(file));
    }

    /// Notes a call that has ended, if anybody wants to know.
    pub(super) fn log<'a>(&self, line: impl FnOnce() -> Line<'a>) {
        if let Some(log) = self.log.get() {
            log.write(&line());
        }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn socket(self: &Arc<Self>) -> OpenSocket {
        self.open_sockets.fetch_add(1, Ordering::SeqCst);
        OpenSocket(Arc::clone(self))
    }

    pub(super) fn counts(&self) -> Counts {
        let mut total = Counts::default();
        for counts in self.by_model().into_values() {
            total.add(counts);
        }
        total.open_sockets = self.open_sockets.load(Ordering::SeqCst);
        total
    }

    pub(super) fn model_counts(&self, model: &str) -> Counts {
        self.page(model).counts()
    }

    pub(super) fn by_model(&self) -> BTreeMap<String, Counts> {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        pages.iter().map(|(model, page)| (model.clone(), page.counts())).collect()
    }

    pub(super) fn requests(&self, model: &str) -> Vec<SeenRequest> {
        let seen: Vec<Seen> = self.page(model).entries().seen.iter().cloned().collect();
        seen.iter().map(Seen::read).collect()
    }

    /// Forgets scripts, requests and counts. Calls and connections that are open stay open, and counted as open.
    pub(super) fn reset(&self) {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        for page in pages.values() {
            let mut entries = page.entries();
            let counts = Counts { open_calls: entries.counts.open_calls, ..Counts::default() };
            *entries = Entries { counts, era: entries.era + 1, ..Entries::default() };
        }
    }
}

impl Page {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> Counts {
        let counts = self.entries().counts;
        Counts { open_sockets: counts.open_calls, ..counts }
    }
}

impl Entries {
    fn step(&mut self) -> Option<Arc<Step>> {
        let step = self.steps.get(self.next_step).or(self.steps.last()).cloned();
        self.next_step = self.next_step.saturating_add(1);
        step
    }

    fn remember(&mut self, seen: Seen) {
        self.seen_bytes += seen.bytes();
        self.seen.push_back(seen);
        while self.seen.len() > SEEN_REQUESTS || self.seen_bytes > SEEN_BYTES {
            let Some(oldest) = self.seen.pop_front() else { break };
            self.seen_bytes -= oldest.bytes();
        }
    }
}

/// A call in progress. Dropped unsettled (the simulator stopped), it counts as broken off and bills nothing.
pub(super) struct OpenCall {
    page: Arc<Page>,
    era: u64,
    settled: Option<Settled>,
}

#[derive(Clone, Copy)]
struct Settled {
    end: End,
    input_tokens: u64,
    output_tokens: u64,
}

impl OpenCall {
    /// Writes down how the call ended. Done *before* the last bytes leave, so that a client that has its answer also
    /// finds it counted; when those bytes turn out not to leave, a second settlement replaces the first.
    pub(super) fn settle(&mut self, end: End, input_tokens: u64, output_tokens: u64) {
        let settled = Settled { end, input_tokens, output_tokens };
        let before = self.settled.replace(settled);
        let mut entries = self.page.entries();
        if before.is_none() {
            entries.counts.open_calls -= 1;
        }
        if entries.era != self.era {
            return;
        }
        if let Some(before) = before {
            *entries.counts.ended(before.end) -= 1;
            entries.counts.input_tokens -= before.input_tokens;
            entries.counts.output_tokens -= before.output_tokens;
        }
        *entries.counts.ended(end) += 1;
        entries.counts.input_tokens += input_tokens;
        entries.counts.output_tokens += output_tokens;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if self.settled.is_none() {
            self.settle(End::BrokenOff, 0, 0);
        }
    }
}

/// A connection in being.
pub(super) struct OpenSocket(Arc<Book>);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.open_sockets.fetch_sub(1, Ordering::SeqCst);
    }
}
