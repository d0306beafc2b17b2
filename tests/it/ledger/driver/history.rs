//! What all logs together say of each run, and which holds a dead process has left.

use std::collections::HashMap;
use std::path::Path;

use headgate::domain::ids::RunId;
use headgate::ledger::{Amount, HOLD_TTL};

use super::log::{Line, Outcome, Verb, read};
use super::scene::Dice;
use super::teller::Leftover;

/// One operation on a run.
pub struct Operation {
    pub verb: Verb,
    pub asked: u64,
    /// None where the process died first.
    pub answer: Option<(u64, Outcome)>,
}

impl Operation {
    /// It did what its answer says; without one, or with none from the store, it may have done it or not.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.answer.as_ref().map(|(_, outcome)| outcome).filter(|outcome| **outcome != Outcome::Unavailable)
    }

    fn ends(&self) -> bool {
        matches!(self.verb, Verb::Settle(_) | Verb::Void)
    }
}

/// How a run's hold ends: by its first settle or void, which is repeated until it is answered.
pub struct Ending {
    /// None = voided.
    pub bill: Option<Amount>,
    pub asked: u64,
    /// None where it was never answered.
    pub answered: Option<u64>,
    /// The hold had expired before.
    pub corrected: bool,
}

#[derive(Default)]
pub struct Run {
    pub operations: Vec<Operation>,
}

/// A hold that may have been taken.
pub struct Taken {
    pub amount: Amount,
    pub asked: u64,
    /// When it was certainly taken; none where nobody was told.
    pub answered: Option<u64>,
}

impl Run {
    pub fn taken(&self) -> Option<Taken> {
        // What comes after its void takes nothing.
        self.operations.iter().take_while(|operation| !operation.ends()).find_map(|operation| {
            let Verb::Reserve(_, _, amount) = &operation.verb else { return None };
            let answered = match operation.outcome() {
                None => None,
                Some(Outcome::Held(_)) => operation.answer.as_ref().map(|(at, _)| *at),
                Some(_) => return None,
            };
            Some(Taken { amount: *amount, asked: operation.asked, answered })
        })
    }

    pub fn ending(&self) -> Option<Ending> {
        let first = self.operations.iter().find(|operation| operation.ends())?;
        let answered = self.operations.iter().find(|again| again.verb == first.verb && again.outcome().is_some());
        let is_corrected = |operation: &Operation| operation.outcome() == Some(&Outcome::Corrected);
        Some(Ending {
            bill: match first.verb {
                Verb::Settle(bill) => Some(bill),
                _ => None,
            },
            asked: first.asked,
            answered: answered.and_then(|operation| operation.answer.as_ref()).map(|(at, _)| *at),
            corrected: self.operations.iter().any(is_corrected),
        })
    }

    /// Amounts by which the hold grew or may have grown: (asked, certain since, amount).
    pub fn growth(&self) -> impl Iterator<Item = (u64, Option<u64>, Amount)> + '_ {
        self.operations.iter().take_while(|operation| !operation.ends()).filter_map(|operation| {
            let Verb::Extend(more) = operation.verb else { return None };
            match operation.outcome() {
                None => Some((operation.asked, None, more)),
                Some(Outcome::Held(_)) => Some((operation.asked, operation.answer.as_ref().map(|(at, _)| *at), more)),
                Some(_) => None,
            }
        })
    }

    /// Until when the hold can't have expired: a TTL after somebody last kept it, less what clocks may differ.
    pub fn alive_until(&self) -> u64 {
        let keeps = |operation: &&Operation| matches!(operation.verb, Verb::Reserve(..) | Verb::Renew);
        let last = self.operations.iter().filter(keeps).filter(|o| o.outcome().is_some()).map(|o| o.asked).max();
        last.unwrap_or_default() + (HOLD_TTL.as_nanos() as u64 - 1_000_000_000)
    }

    /// Whether an operation that may or may not have been done must be settled or voided to know what the run is worth.
    fn is_uncertain(&self) -> bool {
        self.operations.iter().any(|o| o.outcome().is_none() && !matches!(o.verb, Verb::Renew | Verb::Repeat))
    }
}

#[derive(Default)]
pub struct History {
    pub runs: HashMap<RunId, Run>,
    pub operations: u64,
    /// Holds that are left to expire, and when that was decided.
    abandoned: Vec<(RunId, u64)>,
    /// When the judge moved the clock, in ns; what came later says nothing about time.
    pub clock_moved: Option<u64>,
}

impl History {
    /// Reads the log of a process that has ended, and tells how its successor has to end what it left. The dice leave
    /// some to expire; of those, some are settled late.
    pub fn ingest(&mut self, log: &Path, dice: &mut Dice) -> Vec<Leftover> {
        let mut waiting: HashMap<u64, (RunId, usize)> = HashMap::new();
        let mut touched: Vec<RunId> = Vec::new();
        for line in read(log) {
            match line {
                Line::Asked(asked, number, run, verb) => {
                    let operations = &mut self.runs.entry(run).or_default().operations;
                    waiting.insert(number, (run, operations.len()));
                    operations.push(Operation { verb, asked, answer: None });
                    touched.push(run);
                }
                Line::Answered(at, number, outcome) => {
                    let (run, place) = waiting.remove(&number).expect("an answer follows its question");
                    let operation = self.runs.get_mut(&run).and_then(|run| run.operations.get_mut(place));
                    operation.expect("it was just put there").answer = Some((at, outcome));
                    self.operations += 1;
                }
            }
        }
        touched.sort_unstable();
        touched.dedup();
        let now = super::scene::now_ns();
        let mut leftovers = Vec::new();
        for id in touched {
            let run = &self.runs[&id];
            let Some(taken) = run.taken() else { continue };
            match run.ending() {
                Some(Ending { answered: Some(_), .. }) => {}
                // The same end again: whichever of the two was first, it did the same.
                Some(Ending { bill, .. }) => leftovers.push(Leftover { run: id, bill }),
                None if taken.answered.is_none() => leftovers.push(Leftover { run: id, bill: None }),
                None if run.is_uncertain() || dice.below(2) == 0 => {
                    let bill = Amount { usd: taken.amount.usd, tokens: dice.below(taken.amount.tokens + 1) };
                    leftovers.push(Leftover { run: id, bill: Some(bill) });
                }
                None if dice.below(2) == 0 => leftovers.push(Leftover { run: id, bill: None }),
                None => self.abandoned.push((id, now)),
            }
        }
        leftovers.extend(self.late(now, dice));
        leftovers
    }

    /// Every second hold that has been left for longer than a hold lives is settled late.
    pub fn late(&mut self, now: u64, dice: &mut Dice) -> Vec<Leftover> {
        let due = |since: u64| now > since + HOLD_TTL.as_nanos() as u64 + 30_000_000_000;
        let (overdue, waiting): (Vec<_>, Vec<_>) = self.abandoned.drain(..).partition(|(_, since)| due(*since));
        self.abandoned = waiting;
        let late = overdue.into_iter().filter(|_| dice.below(2) == 0);
        late.map(|(run, _)| Leftover { run, bill: Some(super::scene::amount(1 + dice_of(run) % 100, 3)) }).collect()
    }
}

/// A number of the run itself.
fn dice_of(run: RunId) -> u64 {
    u64::from(run.as_bytes()[15])
}
