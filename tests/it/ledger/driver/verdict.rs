//! The verdict: every promise of the ledger, held against the logs and against what the store says at the end.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use headgate::domain::limit::Limit;
use headgate::ledger::{UsageReport, Used};

use super::bounds::{Bounds, Refusal, Said};
use super::history::{History, Run};
use super::log::{Outcome, Verb};
use super::scene::Counted;

/// By counter: settled, held.
pub type Standing = HashMap<(Counted, String), (u64, u64)>;

/// What must be nothing, and how much was looked at to see that.
#[derive(Default)]
pub struct Verdict {
    pub runs: usize,
    pub answers: BTreeMap<&'static str, u64>,
    pub counters: usize,
    pub readings: u64,
    /// Nano-dollars (or tokens, or requests) above a limit, as far as it is certain.
    pub overspent: i64,
    pub leaked_holds: u64,
    /// Runs whose hold ended more than once, or before its time.
    pub wrong_ends: u64,
    pub proven: u64,
    pub possible: u64,
    pub false_refusals: u64,
    /// Counters that stand elsewhere than the logs say, and by how much in all.
    pub wrong_sums: u64,
    pub off_by: u64,
    pub settled: u64,
    pub waste: u64,
    /// The first few of whatever is wrong.
    pub wrong: Vec<String>,
}

impl Verdict {
    pub fn of(history: &History, stands: &Standing, leaked_holds: u64) -> Self {
        let mut verdict = Verdict { runs: history.runs.len(), leaked_holds, ..Verdict::default() };
        let mut bounds: HashMap<(Counted, String), Bounds> = HashMap::new();
        for (id, run) in &history.runs {
            run.operations.iter().for_each(|operation| verdict.count(operation.answer.as_ref().map(|(_, o)| o)));
            if let Err(why) = ends_once(run, history.clock_moved) {
                verdict.wrong_ends += 1;
                verdict.complain(format!("{id} {why}"));
            }
            let Some((user, team)) = asked_for(run) else { continue };
            for counted in Counted::ALL {
                let counter = bounds.entry((counted, counted.subject(user, team))).or_default();
                counter.add(counted, run);
                counter.said.extend(said(counted, run));
            }
            if let (Some(taken), None) = (run.taken(), run.ending()) {
                verdict.waste += run.growth().fold(taken.amount, |sum, (.., more)| sum.plus(more)).usd.get();
            }
        }
        verdict.counters = bounds.len();
        let mut totals = BTreeMap::new();
        for ((counted, subject), bounds) in bounds {
            let (curve, said, total) = bounds.curve();
            totals.insert((counted, subject.clone()), total);
            if curve.peak() > counted.most() as i64 {
                verdict.overspent += curve.peak() - counted.most() as i64;
                verdict.complain(format!("{counted:?} {subject}: {} of {}", curve.peak(), counted.most()));
            }
            for said in said {
                verdict.readings += 1;
                if said.refused.is_none() && said.reading + said.own > counted.most() {
                    verdict.overspent += (said.reading + said.own - counted.most()) as i64;
                    verdict.complain(format!("{counted:?} {subject}: {} on top of {}", said.own, said.reading));
                }
                match curve.judge(counted, &said) {
                    Ok(None) => {}
                    Ok(Some(Refusal::Proven)) => verdict.proven += 1,
                    Ok(Some(Refusal::Possible)) => verdict.possible += 1,
                    Ok(Some(Refusal::False)) => {
                        verdict.false_refusals += 1;
                        verdict.complain(format!("{counted:?} {subject} refused on top of {}", said.reading));
                    }
                    Err(why) => {
                        verdict.wrong_sums += 1;
                        verdict.complain(format!("{subject}: {why}"));
                    }
                }
            }
        }
        verdict.settled = totals.get(&(Counted::GlobalUsd, String::new())).copied().unwrap_or_default();
        verdict.compare(totals, stands);
        verdict
    }

    /// The sums that the logs make against those that the store has.
    fn compare(&mut self, totals: BTreeMap<(Counted, String), u64>, stands: &Standing) {
        for (counter, total) in &totals {
            let (settled, held) = stands.get(counter).copied().unwrap_or_default();
            if settled != *total || held != 0 {
                self.wrong_sums += 1;
                self.off_by += settled.abs_diff(*total);
                self.complain(format!("{counter:?} stands at {settled} and {held} held, and should at {total}"));
            }
        }
        for counter in stands.keys().filter(|counter| !totals.contains_key(*counter)) {
            self.wrong_sums += 1;
            self.complain(format!("{counter:?} is known to nobody"));
        }
    }

    fn count(&mut self, answer: Option<&Outcome>) {
        let name = match answer {
            None => "unanswered (killed)",
            Some(Outcome::Held(_)) => "held",
            Some(Outcome::Refused(..)) => "refused",
            Some(Outcome::Booked) => "booked",
            Some(Outcome::Corrected) => "corrected",
            Some(Outcome::Nothing) => "nothing left to settle",
            Some(Outcome::Done) => "done",
            Some(Outcome::NoHold) => "no hold",
            Some(Outcome::Unavailable) => "store too slow",
        };
        *self.answers.entry(name).or_default() += 1;
    }

    fn complain(&mut self, what: String) {
        if self.wrong.len() < 20 {
            self.wrong.push(what);
        }
    }
}

/// What each counter stands at: (settled, held); where a report does not tell them apart, all is settled.
pub fn standing(report: &UsageReport, limits: &[Limit]) -> Standing {
    let ours = report.counters.iter().filter_map(|counter| {
        let is_ours = |limit: &&Limit| {
            limit.scope == counter.scope && limit.quota.unit == counter.unit && limit.quota.window == counter.window
        };
        let counted = Counted::of(limits.iter().find(is_ours)?);
        let used = match counter.used {
            Used::Parted { settled, held } => (settled, held),
            Used::Whole(all) => (all, 0),
        };
        Some(((counted, counter.id.clone()), used))
    });
    ours.collect()
}

fn asked_for(run: &Run) -> Option<(&str, &str)> {
    run.operations.iter().find_map(|operation| match &operation.verb {
        Verb::Reserve(user, team, _) => Some((&**user, &**team)),
        _ => None,
    })
}

/// Exactly one of settled, voided, expired; and expired not before its time.
fn ends_once(run: &Run, clock_moved: Option<u64>) -> Result<(), String> {
    let told = |which: &[Outcome]| {
        run.operations.iter().filter(|o| o.outcome().is_some_and(|outcome| which.contains(outcome))).count()
    };
    let ends = told(&[Outcome::Booked, Outcome::Corrected]);
    if ends > 1 {
        return Err(format!("was booked {ends} times"));
    }
    let corrected = run.operations.iter().find(|o| o.outcome() == Some(&Outcome::Corrected));
    let too_early = |at: u64| at < run.alive_until() && clock_moved.is_none_or(|moved| at < moved);
    if corrected.and_then(|o| o.answer.as_ref()).is_some_and(|(at, _)| too_early(*at)) {
        return Err("expired while it was renewed".to_owned());
    }
    let Some(ending) = run.ending() else { return Ok(()) };
    let is_certain = run.taken().is_some_and(|taken| taken.answered.is_some());
    let first = run.operations.iter().find(|o| o.asked == ending.asked);
    if is_certain && first.and_then(|o| o.outcome()) == Some(&Outcome::Nothing) {
        return Err("had a hold, and its settlement found none".to_owned());
    }
    Ok(())
}

/// What the ledger said of this counter when the run asked it.
fn said(counted: Counted, run: &Run) -> Vec<Said> {
    let mut all = Vec::new();
    for operation in &run.operations {
        let Some((answered, outcome)) = &operation.answer else { continue };
        let (takes, place) = match operation.verb {
            Verb::Reserve(_, _, amount) => (counted.held(amount), Counted::ALL.iter().position(|one| *one == counted)),
            // Of the counters that grow.
            Verb::Extend(more) => {
                let growing = [Counted::UserUsd, Counted::TeamUsd, Counted::TeamTokens, Counted::GlobalUsd];
                (counted.extended(more), growing.iter().position(|one| *one == counted))
            }
            _ => continue,
        };
        let (asked, answered) = (operation.asked, *answered);
        match outcome {
            Outcome::Held(readings) => {
                if let Some(reading) = place.and_then(|place| readings.get(place)) {
                    all.push(Said { asked, answered, reading: *reading, own: takes, refused: None });
                }
            }
            Outcome::Refused(by, reading) if *by == counted => {
                all.push(Said { asked, answered, reading: *reading, own: 0, refused: Some(takes) });
            }
            _ => {}
        }
    }
    all
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers: Vec<_> = self.answers.iter().map(|(name, count)| format!("{count} {name}")).collect();
        writeln!(f, "  runs {}, counters {}, answers: {}", self.runs, self.counters, answers.join(", "))?;
        writeln!(f, "  settled {} n$, of it platform waste {} n$", self.settled, self.waste)?;
        writeln!(f, "  overspend       {} n$ ({} readings checked)", self.overspent, self.readings)?;
        writeln!(f, "  leaked holds    {}", self.leaked_holds)?;
        let refusals = self.proven + self.possible + self.false_refusals;
        writeln!(
            f,
            "  false refusals  {} of {refusals} ({} proven right, {} by what others did meanwhile)",
            self.false_refusals, self.proven, self.possible
        )?;
        writeln!(f, "  wrong ends      {}", self.wrong_ends)?;
        writeln!(f, "  wrong sums      {} (off by {} n$)", self.wrong_sums, self.off_by)?;
        self.wrong.iter().try_for_each(|what| writeln!(f, "  ! {what}"))
    }
}
