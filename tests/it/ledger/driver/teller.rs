//! One process of the driver: tasks that take, enlarge, renew and end holds by the dice, and do again what was done.
//! It judges nothing: it writes down what it asks and what it is told.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use headgate::domain::ids::RunId;
use headgate::domain::limit::Limit;
use headgate::ledger::{Amount, Ledger, RENEW_EVERY, Reserve, SWEEP_EVERY};

use super::log::{Log, Outcome, Verb};
use super::scene::{Counted, Dice, LARGEST_HOLD, OPEN_AT_ONCE, amount, limits, now_ns, subjects};

const TASKS: u64 = 6;

/// How a hold of a dead process is to be ended.
#[derive(Clone, Debug)]
pub struct Leftover {
    pub run: RunId,
    /// None = voided.
    pub bill: Option<Amount>,
}

pub struct Orders {
    /// Name in users' names, so that nobody shares one.
    pub name: String,
    /// The calendar day of the limits.
    pub day: String,
    pub seed: u64,
    pub operations: u64,
    pub log: PathBuf,
    pub leftovers: Vec<Leftover>,
}

pub struct Teller {
    ledger: Ledger,
    limits: Arc<[Limit]>,
    log: Log,
    name: String,
    left: AtomicI64,
    open: std::sync::Mutex<Vec<RunId>>,
}

/// A hold of one task.
struct Mine {
    run: RunId,
    held: Amount,
}

impl Teller {
    pub fn new(ledger: Ledger, orders: &Orders) -> Arc<Self> {
        Arc::new(Teller {
            ledger,
            limits: limits(&orders.day),
            log: Log::create(&orders.log),
            name: orders.name.clone(),
            left: AtomicI64::new(i64::try_from(orders.operations).expect("a few")),
            open: std::sync::Mutex::default(),
        })
    }

    /// Ends what a dead process left, then plays until the operations are used up.
    pub async fn play(self: Arc<Self>, orders: Orders) {
        let chores = tokio::spawn(Arc::clone(&self).chores());
        self.end_all(&orders.leftovers).await;
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(Arc::clone(&self).task(task, Dice(orders.seed.wrapping_mul(TASKS) + task))))
            .collect();
        for task in tasks {
            task.await.expect("no task panics");
        }
        chores.abort();
    }

    pub async fn end_all(&self, leftovers: &[Leftover]) {
        for leftover in leftovers {
            self.end(leftover.run, leftover.bill).await;
        }
    }

    /// What every gateway process does beside its runs.
    async fn chores(self: Arc<Self>) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        for second in 1_u64.. {
            seconds.tick().await;
            // What the store can't do now it is asked again next time.
            if second % RENEW_EVERY.as_secs() == 0 {
                let open = self.open.lock().expect("no panic under the lock").clone();
                let numbers: Vec<u64> = open.iter().map(|run| self.log.asked(*run, &Verb::Renew)).collect();
                let outcome = self.ledger.renew(&open).await.into();
                numbers.iter().for_each(|number| self.log.answered(*number, &outcome));
            }
            if second % SWEEP_EVERY.as_secs() == 0 {
                let _ = self.ledger.expire().await;
            }
        }
    }

    async fn task(self: Arc<Self>, task: u64, mut dice: Dice) {
        let (mut mine, mut ended): (Vec<Mine>, Vec<RunId>) = (Vec::new(), Vec::new());
        let (mut user, mut is_worn) = (0, false);
        while self.left.load(Ordering::Relaxed) > 0 {
            if mine.is_empty() && is_worn {
                (user, is_worn) = (user + 1, false);
            }
            let name = format!("{}.{task}.{user}", self.name);
            let at = dice.below(mine.len().max(1) as u64) as usize;
            match dice.below(20) {
                0..=6 if mine.len() < OPEN_AT_ONCE => {
                    let ask = amount(1 + dice.below(LARGEST_HOLD), dice.below(LARGEST_HOLD));
                    let run = RunId::mint();
                    match self.reserve(run, &name, ask).await {
                        Outcome::Held(_) => {
                            self.open.lock().expect("no panic under the lock").push(run);
                            mine.push(Mine { run, held: ask });
                        }
                        Outcome::Refused(by, _) => is_worn |= by == Counted::UserUsd || by == Counted::UserRequests,
                        // The hold may be taken: only a void makes it certain.
                        _ => self.end(run, None).await,
                    }
                }
                7..=9 if !mine.is_empty() => {
                    let more = amount(dice.below(LARGEST_HOLD / 4), dice.below(LARGEST_HOLD / 4));
                    match self.ask(mine[at].run, Verb::Extend(more)).await {
                        Outcome::Held(_) => mine[at].held = mine[at].held.plus(more),
                        Outcome::Refused(..) => {}
                        _ => self.finish(&mut mine, &mut ended, at, Some(Amount::default())).await,
                    }
                }
                10..=13 if !mine.is_empty() => {
                    let bill = bill(&mut dice, mine[at].held);
                    self.finish(&mut mine, &mut ended, at, Some(bill)).await;
                }
                14..=15 if !mine.is_empty() => self.finish(&mut mine, &mut ended, at, None).await,
                16 if !mine.is_empty() => {
                    self.ask(mine[at].run, Verb::Renew).await;
                }
                17 if !mine.is_empty() => {
                    self.ask(mine[at].run, Verb::Repeat).await;
                }
                18 => {
                    if let Some(run) = ended.get(dice.below(ended.len().max(1) as u64) as usize) {
                        let again = [Verb::Settle(amount(7, 7)), Verb::Void, Verb::Extend(amount(1, 1)), Verb::Renew];
                        self.ask(*run, again[dice.below(4) as usize].clone()).await;
                    }
                }
                19 => {
                    // As when a reserve is overtaken by its void.
                    let run = RunId::mint();
                    self.end(run, None).await;
                    self.reserve(run, &name, amount(1, 1)).await;
                }
                _ => {}
            }
        }
        while !mine.is_empty() {
            let bill = bill(&mut dice, mine[0].held);
            self.finish(&mut mine, &mut ended, 0, Some(bill)).await;
        }
    }

    async fn finish(&self, mine: &mut Vec<Mine>, ended: &mut Vec<RunId>, at: usize, bill: Option<Amount>) {
        let run = mine.swap_remove(at).run;
        self.open.lock().expect("no panic under the lock").retain(|open| *open != run);
        self.end(run, bill).await;
        ended.push(run);
        if ended.len() > 50 {
            ended.remove(0);
        }
    }

    /// Asked until it is answered, as the gateway does.
    async fn end(&self, run: RunId, bill: Option<Amount>) {
        let verb = bill.map_or(Verb::Void, Verb::Settle);
        while self.ask(run, verb.clone()).await == Outcome::Unavailable {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn reserve(&self, run: RunId, user: &str, ask: Amount) -> Outcome {
        let team = format!("second-{}", now_ns() / 1_000_000_000);
        self.ask(run, Verb::Reserve(user.to_owned(), team, ask)).await
    }

    async fn ask(&self, run: RunId, verb: Verb) -> Outcome {
        let number = self.log.asked(run, &verb);
        let reserve = |user: &str, team: &str, amount| {
            let limits = Arc::clone(&self.limits);
            self.ledger.reserve(Reserve { run, subjects: subjects(user, team), amount, limits })
        };
        let outcome = match verb {
            Verb::Reserve(user, team, amount) => reserve(&user, &team, amount).await.into(),
            Verb::Repeat => reserve("nobody", "none", amount(1, 1)).await.into(),
            Verb::Extend(more) => self.ledger.extend(run, more).await.into(),
            Verb::Renew => self.ledger.renew(&[run]).await.into(),
            Verb::Settle(bill) => {
                let bill = headgate::ledger::Bill { total: bill, targets: Vec::new() };
                self.ledger.settle(run, bill).await.into()
            }
            Verb::Void => self.ledger.void(run).await.into(),
        };
        self.log.answered(number, &outcome);
        self.left.fetch_sub(1, Ordering::Relaxed);
        outcome
    }
}

/// Mostly a tenth of the hold at most, sometimes all of it.
fn bill(dice: &mut Dice, held: Amount) -> Amount {
    let mut part = |all: u64| if dice.below(8) == 0 { all } else { dice.below(all / 10 + 1) };
    amount(part(held.usd.get()), part(held.tokens))
}
