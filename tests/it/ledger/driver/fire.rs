//! The parent's side: starts the processes, kills one every two seconds, gives the next one what it left, and looks at
//! the store meanwhile and at the end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use headgate::ledger::Ledger;
use headgate::store::{Clock, SteppedClock, Store, StoreSpec};

use super::history::History;
use super::scene::{Dice, day, limits, now_ns};
use super::teller::{Leftover, Orders, Teller};
use super::verdict::{Verdict, standing};

const KILL_EVERY: Duration = Duration::from_secs(2);
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Kills that a run has at least, however fast the machine is.
const FEWEST_KILLS: u32 = 3;
/// Operations of one process at least, so that one that has little left to do is still a process at work.
const FEWEST_OPERATIONS: u64 = 1_000;

/// One place in which a process works, and the next one when it was killed.
struct Slot {
    name: char,
    child: Option<Child>,
    incarnation: u32,
    log: PathBuf,
    done: u64,
}

pub struct Driver {
    folder: PathBuf,
    store: StoreSpec,
    slots: Vec<Slot>,
    /// The calendar day of all limits.
    day: String,
    dice: Dice,
    pub history: History,
    /// Operations of each slot.
    share: u64,
    pub kills: u32,
    pub samples: u32,
    /// Counters above their limit, of all samples.
    pub above_a_limit: u32,
}

impl Driver {
    pub fn new(folder: &Path, store: StoreSpec, processes: usize, operations: u64, dice: Dice) -> Self {
        let slot = |name| Slot { name, child: None, incarnation: 0, log: PathBuf::new(), done: 0 };
        Driver {
            folder: folder.to_owned(),
            store,
            slots: ('a'..).take(processes).map(slot).collect(),
            day: day(),
            dice,
            history: History::default(),
            share: operations.div_ceil(processes as u64),
            kills: 0,
            samples: 0,
            above_a_limit: 0,
        }
    }

    /// Starts the processes, kills and replaces them, until all operations are done.
    pub async fn fire(&mut self) {
        for place in 0..self.slots.len() {
            self.start(place, Vec::new());
        }
        let (mut next_kill, mut next_sample) = (Instant::now() + KILL_EVERY, Instant::now() + SAMPLE_EVERY);
        loop {
            for place in 0..self.slots.len() {
                self.reap(place).await;
            }
            let running: Vec<usize> = (0..self.slots.len()).filter(|at| self.slots[*at].child.is_some()).collect();
            if running.is_empty() {
                return;
            }
            if Instant::now() >= next_kill {
                let place = running[self.dice.below(running.len() as u64) as usize];
                self.kill(place);
                next_kill = Instant::now() + KILL_EVERY;
            }
            if Instant::now() >= next_sample {
                let sampled = Instant::now();
                self.sample().await;
                // A tenth of the store's time at most, however many counters there are.
                next_sample = Instant::now() + SAMPLE_EVERY.max(10 * sampled.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn start(&mut self, place: usize, leftovers: Vec<Leftover>) {
        let slot = &mut self.slots[place];
        slot.incarnation += 1;
        let name = format!("{}{}", slot.name, slot.incarnation);
        slot.log = self.folder.join(format!("{name}.log"));
        let store = match &self.store {
            StoreSpec::Sqlite { path, .. } => format!("sqlite:{}", path.display()),
            StoreSpec::Redis { url, .. } => url.clone(),
        };
        let left = self.share.saturating_sub(slot.done).max(FEWEST_OPERATIONS);
        let mut orders = format!("{store}\n{}\n{name}\n{}\n{}\n{left}", slot.log.display(), self.day, self.dice.roll());
        for Leftover { run, bill } in leftovers {
            let bill = bill.map(|bill| format!(" {} {}", bill.usd.get(), bill.tokens)).unwrap_or_default();
            orders.push_str(&format!("\n{run}{bill}"));
        }
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "ledger::driver::a_teller_of_the_driver", "--ignored", "--nocapture"]);
        slot.child = Some(command.env("TELLER", orders).stdout(Stdio::null()).spawn().expect("it starts"));
    }

    fn kill(&mut self, place: usize) {
        let Some(child) = &mut self.slots[place].child else { return };
        // It may have ended by itself just now; then there is nothing to replace.
        if child.try_wait().expect("a child can be asked").is_none() {
            child.kill().expect("it runs");
            self.kills += 1;
        }
    }

    /// Looks at a process that has ended, reads its log, and starts the next one where there is work left.
    async fn reap(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        let Some(child) = &mut slot.child else { return };
        let Some(status) = child.try_wait().expect("a child can be asked") else { return };
        slot.child = None;
        assert!(status.success() || status.code().is_none(), "a process failed by itself: {status}");
        // Killed before it wrote anything.
        let leftovers = match slot.log.exists() {
            true => {
                let before = self.history.operations;
                let leftovers = self.history.ingest(&slot.log, &mut self.dice);
                slot.done += self.history.operations - before;
                std::fs::remove_file(&slot.log).expect("it is read");
                leftovers
            }
            false => Vec::new(),
        };
        let more = slot.done < self.share || !leftovers.is_empty() || self.kills < FEWEST_KILLS;
        if more {
            self.start(place, leftovers);
        }
    }

    /// Every counter below its limit, as anyone sees it who asks just now.
    async fn sample(&mut self) {
        // The first process may not have made the file yet, and a busy store may not answer in time; the next sample
        // is soon.
        let Ok(store) = Store::open_read_only(self.store.clone()) else { return };
        let Ok(report) = Ledger::new(&store).usage().await else { return };
        self.samples += 1;
        let above = standing(&report, &limits(&self.day))
            .into_iter()
            .filter(|((counted, _), (settled, held))| settled + held > counted.most());
        self.above_a_limit += above.count() as u32;
    }

    /// Lets the holds of the dead expire, settles some of them late, and compares.
    pub async fn judge(&mut self) -> Verdict {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
        let clock = SteppedClock::at(now_ms);
        let store = Store::open_with_clock(self.store.clone(), Clock::Stepped(Arc::clone(&clock)));
        let ledger = Ledger::new(&store.expect("the store opens"));
        // As in a process that lives: with a sweep every few seconds, until every hold of the dead is due.
        self.history.clock_moved = Some(now_ns());
        for _ in 0..15 {
            clock.advance(10_000);
            while ledger.expire().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let log = self.folder.join("late.log");
        let orders = Orders {
            name: "late".into(),
            day: self.day.clone(),
            seed: 0,
            operations: 0,
            log: log.clone(),
            leftovers: Vec::new(),
        };
        let late = self.history.late(now_ns() + 150_000_000_000, &mut self.dice);
        Teller::new(ledger.clone(), &orders).end_all(&late).await;
        self.history.ingest(&log, &mut self.dice);
        let report = loop {
            match ledger.usage().await {
                Ok(report) => break report,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        Verdict::of(&self.history, &standing(&report, &limits(&self.day)), report.open_holds)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
