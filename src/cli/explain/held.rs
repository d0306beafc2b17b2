//! A run that has a hold and no record: it is under way, or its process died.

use serde_json::{Value, json};

use crate::ledger::{HeldCounter, HeldRun, HoldState};

use super::words::{amount, count, over, usd, whose};

pub(super) fn tell(held: &HeldRun) -> String {
    let (run, usd_held) = (held.run, usd(held.amount.usd.get()));
    match held.state {
        HoldState::Void => {
            format!("{run}  never began\n\nIts hold was given back before it was taken. It cost nothing.\n")
        }
        HoldState::Open => format!(
            "{run}  has not ended\n\nIt has set {usd_held} and {} aside and is under way; or its process died less than \
             a minute ago, and then its hold expires.\n\nSet aside\n{}",
            count(held.amount.tokens, "token"),
            lines(&held.counters, |counter| counter.held),
        ),
        HoldState::Expired => format!(
            "{run}  was lost\n\nThe gateway process that ran it died or was cut off from the store, so nobody knows what \
             the provider did. Its hold of {usd_held} expired: the operator's counters are charged in full, as platform \
             waste, and the caller's are charged no money and no tokens. A settlement that still comes within a day \
             replaces this.\n\nCharged\n{}",
            lines(&held.counters, |counter| counter.charged),
        ),
    }
}

fn lines(counters: &[HeldCounter], of: impl Fn(&HeldCounter) -> u64) -> String {
    let line = |counter: &HeldCounter| {
        let whose = whose(&counter.scope, &counter.id);
        let noun = if counter.unit.is_money() { String::new() } else { format!(" {}", counter.unit) };
        format!("  {whose}: {}{noun} {}\n", amount(counter.unit, of(counter)), over(&counter.window))
    };
    counters.iter().map(line).collect()
}

/// Amounts in each counter's unit, money in nano-dollars.
pub(super) fn json(held: &HeldRun) -> Value {
    let state = match held.state {
        HoldState::Open => "open",
        HoldState::Expired => "expired",
        HoldState::Void => "void",
    };
    let counter = |counter: &HeldCounter| {
        json!({
            "scope": counter.scope, "id": counter.id, "unit": counter.unit.as_str(), "guard": counter.unit.guard(),
            "per": counter.window.per(), "max": counter.max, "held": counter.held,
            "charged": if held.state == HoldState::Expired { counter.charged } else { 0 },
        })
    };
    json!({
        "id": held.run, "state": state, "hold_nano": held.amount.usd, "hold_tokens": held.amount.tokens,
        "limits": held.counters.iter().map(counter).collect::<Vec<_>>(),
    })
}
