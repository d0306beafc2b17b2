//! The usage report: counters are listed in steps that hold nobody up, then read, each in one command.

use redis::Pipeline;

use crate::store::StoreError;

use super::super::binding::leaves_at;
use super::super::book::Sum;
use super::super::report::{Totals, UsageReport};
use super::{Args, CHUNK, RedisLedger, name, unknown_answer};
use crate::domain::limit::Window;

pub(super) async fn usage(ledger: &RedisLedger, now_ms: u64, open_holds: u64) -> Result<UsageReport, StoreError> {
    let mut totals = Totals::new(now_ms, open_holds);
    sums(ledger, now_ms, &mut totals).await?;
    logs(ledger, &mut totals).await?;
    running(ledger, &mut totals).await?;
    Ok(totals.report())
}

async fn sums(ledger: &RedisLedger, now_ms: u64, totals: &mut Totals) -> Result<(), StoreError> {
    // Members and their scores, of which the name says the same.
    let listed = scan(ledger, "ZSCAN", "hg:sums").await?;
    let mut windows = Vec::new();
    for name in listed.into_iter().step_by(2) {
        let (ends, id) = name.split_once(':').ok_or_else(unknown_answer)?;
        let ends_ms: u64 = ends.parse().map_err(|_| unknown_answer())?;
        if ends_ms > now_ms {
            windows.push((ends_ms, name::parse(id).ok_or_else(unknown_answer)?, name));
        }
    }
    windows.sort_by(|one, other| one.2.cmp(&other.2));
    windows.dedup_by(|one, other| one.2 == other.2);
    while !windows.is_empty() {
        let chunk = windows.split_off(windows.len().saturating_sub(CHUNK));
        // Settled and held of one counter in one command: between two of them a run could move from one to the other.
        let mut commands = Pipeline::new();
        for (_, _, name) in &chunk {
            commands.cmd("HMGET").arg(format!("hg:sum:{name}")).arg(&["s", "h", "w"]);
        }
        let answers: Vec<[Option<u64>; 3]> = ledger.store.pipeline(&commands).await?;
        for ((ends_ms, counter, _), amounts) in chunk.into_iter().zip(answers) {
            let [settled, held, waste] = amounts.map(Option::unwrap_or_default);
            totals.sum(counter, ends_ms, Sum { settled, held, waste });
        }
    }
    Ok(())
}

async fn logs(ledger: &RedisLedger, totals: &mut Totals) -> Result<(), StoreError> {
    let mut names = scan(ledger, "SSCAN", "hg:logs").await?;
    names.sort();
    names.dedup();
    for chunk in names.chunks(CHUNK) {
        let args = chunk.iter().fold(Args::new().count(chunk.len()), |args, name| args.text(name));
        let answers: Vec<(u64, i64)> = ledger.run(&ledger.scripts.logs, args).await?;
        for (name, (used, oldest)) in chunk.iter().zip(answers) {
            let counter = name.split_once('|').and_then(|(_, id)| name::parse(id)).ok_or_else(unknown_answer)?;
            if let (Window::Sliding { ms }, Ok(oldest)) = (&counter.window, u64::try_from(oldest)) {
                let resets_at_ms = leaves_at(oldest, *ms);
                totals.sliding(counter, used, resets_at_ms);
            }
        }
    }
    Ok(())
}

async fn running(ledger: &RedisLedger, totals: &mut Totals) -> Result<(), StoreError> {
    let mut fields = scan(ledger, "HSCAN", "hg:open").await?.into_iter();
    let mut seen = std::collections::HashSet::new();
    while let (Some(id), Some(runs)) = (fields.next(), fields.next()) {
        let counter = name::parse(&id).ok_or_else(unknown_answer)?;
        if seen.insert(id) {
            totals.running(counter, runs.parse().map_err(|_| unknown_answer())?);
        }
    }
    Ok(())
}

/// Everything that a collection holds; a scan may tell the same twice.
async fn scan(ledger: &RedisLedger, command: &str, key: &str) -> Result<Vec<String>, StoreError> {
    let (mut all, mut cursor) = (Vec::new(), 0u64);
    loop {
        let mut scan = redis::cmd(command);
        let (next, some): (u64, Vec<String>) =
            ledger.store.command(scan.arg(key).arg(cursor).arg("COUNT").arg(CHUNK)).await?;
        all.extend(some);
        cursor = next;
        if cursor == 0 {
            return Ok(all);
        }
    }
}
