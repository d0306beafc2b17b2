//! The usage report, read from the file alone: beside a running gateway and after a crash.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::domain::limit::{DAY_MS, Scope, day_of};
use crate::domain::money::NanoUsd;
use crate::store::Now;

use super::super::{Consumption, CounterUsage, UsageReport};
use super::rows::{count, hold, scope};

pub(super) fn usage(file: &Connection, now: Now) -> rusqlite::Result<UsageReport> {
    // One transaction, so that a hold that is settled meanwhile is not counted twice.
    let file = file.unchecked_transaction()?;
    let day = day_of(now.unix_ms);
    let mut usd: BTreeMap<(Scope, String), (u64, u64)> = BTreeMap::new();
    usd.insert((Scope::Global, String::new()), (0, 0));
    let mut report = UsageReport::default();
    let mut settled = file.prepare("SELECT scope, subject, settled_nano, waste_nano FROM ledger_usd WHERE day = ?1")?;
    let mut rows = settled.query([i64::try_from(day).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let (scope, subject, waste) = (scope(row, 0)?, row.get(1)?, count(row, 3)?);
        if scope == Scope::Global {
            report.platform_waste = NanoUsd::new(waste);
        }
        usd.entry((scope, subject)).or_default().0 = count(row, 2)?;
    }
    let mut open = file.prepare("SELECT run, state, at_ms, hold FROM ledger_runs WHERE state = 'open'")?;
    let mut rows = open.query([])?;
    while let Some(row) = rows.next()? {
        report.open_holds += 1;
        let hold = hold(row)?;
        for bind in hold.binds.iter().filter(|bind| bind.is_usd() && hold.day == day) {
            let held = &mut usd.entry((bind.scope, bind.subject.to_string())).or_default().1;
            *held = held.saturating_add(hold.amount);
        }
    }
    for ((scope, id), (settled, held)) in usd {
        let used = Consumption::UsdPerDay { settled: NanoUsd::new(settled), held: NanoUsd::new(held) };
        if used.is_some() || scope == Scope::Global {
            report.counters.push(CounterUsage { scope, id, used, resets_at_ms: (day + 1) * DAY_MS });
        }
    }
    let mut slots = file.prepare(
        "SELECT scope, subject, window_ms, count(*), min(leaves_ms) FROM ledger_slots WHERE leaves_ms > ?1
         GROUP BY scope, subject, window_ms",
    )?;
    let mut rows = slots.query([i64::try_from(now.steady_ms).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let used = Consumption::Requests { window_ms: count(row, 2)?, admitted: count(row, 3)? };
        let resets_at_ms = count(row, 4)?.saturating_sub(now.steady_ms).saturating_add(now.unix_ms);
        report.counters.push(CounterUsage { scope: scope(row, 0)?, id: row.get(1)?, used, resets_at_ms });
    }
    report.counters.sort();
    Ok(report)
}
