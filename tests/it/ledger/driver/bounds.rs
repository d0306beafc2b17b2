//! What one counter can have stood at, at any moment: between what was certainly taken by then and what was possibly.
//!
//! An operation takes effect at one moment between its question and its answer. Until it was answered its effect is
//! possible, from then on it is certain; so every reading that the ledger gave must lie between the two bounds
//! somewhere between its own question and answer, and every refusal must be possible there.

use super::history::Run;
use super::scene::Counted;

/// From `at` on the bounds are other by so much.
struct Change {
    at: u64,
    certain: i64,
    possible: i64,
}

/// What the ledger said of the counter.
pub struct Said {
    pub asked: u64,
    pub answered: u64,
    /// What it read.
    pub reading: u64,
    /// What the operation itself takes, where it was granted.
    pub own: u64,
    /// What was refused.
    pub refused: Option<u64>,
}

#[derive(Default)]
pub struct Bounds {
    changes: Vec<Change>,
    pub said: Vec<Said>,
    /// What the counter must stand at when all is over.
    pub total: u64,
}

/// The verdict on a refusal, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Even what was certainly taken left no room.
    Proven,
    /// What others were doing meanwhile may have left none, and the ledger says that it did.
    Possible,
    /// There was room whatever the others did, or by the ledger's own reading.
    False,
}

impl Bounds {
    /// Adds what `run` did to this counter.
    pub fn add(&mut self, counted: Counted, run: &Run) {
        let Some(taken) = run.taken() else { return };
        let ending = run.ending();
        let (mut certain, mut possible) = (0, counted.held(taken.amount) as i64);
        self.change(taken.asked, 0, possible);
        if let Some(at) = taken.answered {
            certain = possible;
            self.change(at, certain, 0);
        }
        let mut amount = taken.amount;
        for (asked, since, more) in run.growth() {
            let more_here = counted.extended(more) as i64;
            possible += more_here;
            self.change(asked, 0, more_here);
            if let Some(at) = since {
                amount = amount.plus(more);
                certain += more_here;
                self.change(at, more_here, 0);
            }
        }
        let has_expired = ending.as_ref().is_none_or(|ending| ending.corrected);
        if has_expired {
            // From then on it is charged what expired holds are, and a late settlement may exceed the limit.
            self.change(run.alive_until(), -certain, 0);
            certain = 0;
        }
        let Some(ending) = ending else {
            self.total += counted.expired(amount);
            return;
        };
        // A hold that nobody was told of is voided; whether it was taken or not, nothing is left of it.
        let charge = ending.bill.map_or(0, |bill| counted.settled(bill));
        let left = charge as i64;
        self.change(ending.asked, left.min(certain) - certain, left.max(possible) - possible);
        let (certain, possible) = (left.min(certain), left.max(possible));
        if let Some(at) = ending.answered {
            let certain_after = if has_expired { 0 } else { left };
            self.change(at, certain_after - certain, left - possible);
        }
        self.total += charge;
    }

    fn change(&mut self, at: u64, certain: i64, possible: i64) {
        if certain != 0 || possible != 0 {
            self.changes.push(Change { at, certain, possible });
        }
    }

    /// To be called when all runs are added.
    pub fn curve(mut self) -> (Curve, Vec<Said>, u64) {
        self.changes.sort_by_key(|change| change.at);
        let (mut certain, mut possible) = (0, 0);
        let steps = self.changes.iter().map(|change| {
            certain += change.certain;
            possible += change.possible;
            (change.at, certain, possible)
        });
        (Curve(steps.collect()), self.said, self.total)
    }
}

/// (from when, certain, possible), in order of time.
pub struct Curve(Vec<(u64, i64, i64)>);

impl Curve {
    /// The most that was certainly taken at one moment.
    pub fn peak(&self) -> i64 {
        self.0.iter().map(|(_, certain, _)| *certain).max().unwrap_or_default()
    }

    /// The least that was certain and the most that was possible, in a stretch of time.
    fn between(&self, from: u64, to: u64) -> (i64, i64) {
        let first = self.0.partition_point(|(at, ..)| *at < from);
        let before = first.checked_sub(1).map_or((0, 0), |place| (self.0[place].1, self.0[place].2));
        let within = self.0[first..].iter().take_while(|(at, ..)| *at <= to);
        within.fold(before, |(low, high), (_, certain, possible)| (low.min(*certain), high.max(*possible)))
    }

    /// Whether the ledger can have read this, and if so whether its refusal was right.
    pub fn judge(&self, counted: Counted, said: &Said) -> Result<Option<Refusal>, String> {
        let (low, high) = self.between(said.asked, said.answered);
        let (reading, high) = (said.reading as i64, high - said.own as i64);
        if reading < low || reading > high {
            return Err(format!("{counted:?} read {reading}, and it can only have been {low} to {high}"));
        }
        let Some(asked) = said.refused else { return Ok(None) };
        let room = counted.most() as i64 - asked as i64;
        Ok(Some(match () {
            () if high <= room || reading <= room => Refusal::False,
            () if low > room => Refusal::Proven,
            () => Refusal::Possible,
        }))
    }
}
