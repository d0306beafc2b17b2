//! What the ledger still knows of one run, for whoever has no record of it: a run under way, or one whose process died.

use crate::domain::ids::RunId;
use crate::domain::limit::{Scope, Unit, Window};

use super::Amount;
use super::book::{Hold, Run};
use super::counter::Bind;

/// A hold that has not ended, or has expired and may still be corrected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRun {
    pub run: RunId,
    pub state: HoldState,
    pub amount: Amount,
    /// In the order in which the limits stand in the config, then what is counted without a limit.
    pub counters: Vec<HeldCounter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// The run is under way, or its process has died less than a minute ago.
    Open,
    /// Nobody renewed it: the process of the run is gone or was cut off.
    Expired,
    /// Given back before it was taken.
    Void,
}

/// One counter that the hold binds, in the counter's unit; money is nano-dollars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCounter {
    pub scope: Scope,
    /// Id within the scope; empty for `global`.
    pub id: String,
    pub unit: Unit,
    pub window: Window,
    /// None where it is counted without a limit.
    pub max: Option<u64>,
    pub held: u64,
    /// What it is charged once the hold has expired.
    pub charged: u64,
}

impl HeldRun {
    pub(super) fn new(run: RunId, known: &Run) -> Self {
        match known {
            Run::Open(hold) => HeldRun::of(run, HoldState::Open, hold.amount, &hold.binds),
            Run::Expired { hold: Hold { amount, binds, .. }, .. } => {
                HeldRun::of(run, HoldState::Expired, *amount, binds)
            }
            Run::Void { .. } => HeldRun::of(run, HoldState::Void, Amount::default(), &[]),
        }
    }

    pub(super) fn of(run: RunId, state: HoldState, amount: Amount, binds: &[Bind]) -> Self {
        // Which body it was is nobody's business.
        let shown = binds.iter().filter(|bind| bind.counter.unit != Unit::Identical);
        HeldRun { run, state, amount, counters: shown.map(|bind| HeldCounter::new(bind, amount)).collect() }
    }
}

impl HeldCounter {
    fn new(bind: &Bind, amount: Amount) -> Self {
        let (counter, held) = (&bind.counter, bind.step(amount));
        HeldCounter {
            scope: counter.scope.clone(),
            id: counter.subject.to_string(),
            unit: counter.unit,
            window: counter.window.clone(),
            max: bind.is_limit().then_some(bind.max),
            held,
            charged: counter.at_expiry(held),
        }
    }
}
