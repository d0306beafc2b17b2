//! The usage report, read from the file alone: beside a running gateway and after a crash.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::domain::limit::Window;
use crate::store::Now;

use super::super::book::{Sum, SumKey};
use super::super::counter::Counter;
use super::super::report::{Totals, UsageReport};
use super::rows::{count, counter, hold};

pub(super) fn usage(file: &Connection, now: Now) -> rusqlite::Result<UsageReport> {
    // One transaction, so that a hold that is settled meanwhile is not counted twice.
    let file = file.unchecked_transaction()?;
    let mut sums: HashMap<SumKey, Sum> = HashMap::new();
    let now_ms = i64::try_from(now.unix_ms).unwrap_or(i64::MAX);
    let mut settled = file
        .prepare("SELECT unit, window, scope, subject, ends_ms, settled, waste FROM ledger_sums WHERE ends_ms > ?1")?;
    let mut rows = settled.query([now_ms])?;
    while let Some(row) = rows.next()? {
        let key = SumKey { ends_ms: count(row, 4)?, counter: counter(row)? };
        sums.insert(key, Sum { settled: count(row, 5)?, held: 0, waste: count(row, 6)? });
    }
    let mut running: HashMap<Counter, u64> = HashMap::new();
    let mut open_holds = 0;
    let mut open = file.prepare("SELECT run, state, at_ms, hold FROM ledger_runs WHERE state = 'open'")?;
    let mut rows = open.query([])?;
    while let Some(row) = rows.next()? {
        open_holds += 1;
        let hold = hold(row)?;
        for bind in &hold.binds {
            if bind.counter.window == Window::Open {
                *running.entry(bind.counter.clone()).or_default() += 1;
            } else if bind.ends_ms > now.unix_ms {
                let key = SumKey { ends_ms: bind.ends_ms, counter: bind.counter.clone() };
                let held = &mut sums.entry(key).or_default().held;
                *held = held.saturating_add(bind.step(hold.amount));
            }
        }
    }
    let mut totals = Totals::new(now.unix_ms, open_holds);
    for (key, sum) in sums {
        totals.sum(key.counter, key.ends_ms, sum);
    }
    for (counter, runs) in running {
        totals.running(counter, runs);
    }
    let mut entries = file.prepare(
        "SELECT unit, window, scope, subject, sum(amount), min(leaves_ms) FROM ledger_entries
         WHERE leaves_ms > ?1 AND unit <> 'identical'
         GROUP BY unit, window, scope, subject",
    )?;
    let mut rows = entries.query([i64::try_from(now.steady_ms).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let resets_at_ms = count(row, 5)?.saturating_sub(now.steady_ms).saturating_add(now.unix_ms);
        totals.sliding(counter(row)?, count(row, 4)?, resets_at_ms);
    }
    Ok(totals.report())
}
