//! The usage report: counters are listed in steps that hold nobody up, then read, each in one command.

use std::collections::BTreeSet;

use redis::Pipeline;

use crate::domain::limit::{DAY_MS, Scope, day_of};
use crate::domain::money::NanoUsd;
use crate::store::StoreError;
use crate::store::redis::Redis;

use super::super::binding::leaves_at;
use super::super::{Consumption, CounterUsage, UsageReport};
use super::{CHUNK, name, unknown_answer};

pub(super) async fn usage(store: &Redis, now_ms: u64, open_holds: u64) -> Result<UsageReport, StoreError> {
    let mut report = UsageReport { open_holds, ..UsageReport::default() };
    usd(store, day_of(now_ms), &mut report).await?;
    requests(store, now_ms, &mut report).await?;
    report.counters.sort();
    Ok(report)
}

async fn usd(store: &Redis, day: u64, report: &mut UsageReport) -> Result<(), StoreError> {
    let mut names = members(store, &format!("hg:usd:{day}")).await?;
    names.insert("global:".to_owned());
    let names: Vec<String> = names.into_iter().collect();
    for chunk in names.chunks(CHUNK) {
        // Settled and held of one counter in one command: between two of them a run could move from one to the other.
        let mut commands = Pipeline::new();
        for name in chunk {
            commands.cmd("HMGET").arg(format!("hg:usd:{day}:{name}")).arg(&["s", "h", "w"]);
        }
        let counters: Vec<[Option<u64>; 3]> = store.pipeline(&commands).await?;
        for (name, amounts) in chunk.iter().zip(counters) {
            let (scope, id) = name::parse(name).ok_or_else(unknown_answer)?;
            let [settled, held, waste] = amounts.map(|nano| NanoUsd::new(nano.unwrap_or_default()));
            let used = Consumption::UsdPerDay { settled, held };
            if scope == Scope::Global {
                report.platform_waste = waste;
            }
            if used.is_some() || scope == Scope::Global {
                report.counters.push(CounterUsage { scope, id, used, resets_at_ms: (day + 1) * DAY_MS });
            }
        }
    }
    Ok(())
}

async fn requests(store: &Redis, now_ms: u64, report: &mut UsageReport) -> Result<(), StoreError> {
    let names: Vec<String> = members(store, "hg:windows").await?.into_iter().collect();
    for chunk in names.chunks(CHUNK) {
        let windows: Vec<(&String, Scope, String, u64)> = chunk.iter().filter_map(window).collect();
        let mut commands = Pipeline::new();
        for (name, _, _, window_ms) in &windows {
            let key = format!("hg:req:{name}");
            // Counted are the times whose window has not passed: above now - window - 1.
            let from = format!("({}", now_ms.saturating_sub(leaves_at(0, *window_ms)));
            commands.cmd("ZCOUNT").arg(&key).arg(&from).arg("+inf");
            commands.cmd("ZRANGEBYSCORE").arg(&key).arg(&from).arg("+inf").arg("WITHSCORES").arg("LIMIT").arg(0).arg(1);
        }
        let mut answers = store.pipeline::<Vec<redis::Value>>(&commands).await?.into_iter();
        for (_, scope, id, window_ms) in windows {
            let (admitted, oldest): (u64, Vec<(String, u64)>) = (read(answers.next())?, read(answers.next())?);
            if let Some((_, at)) = oldest.first() {
                let used = Consumption::Requests { window_ms, admitted };
                report.counters.push(CounterUsage { scope, id, used, resets_at_ms: leaves_at(*at, window_ms) });
            }
        }
    }
    Ok(())
}

/// All of a set; a scan may name a member twice.
async fn members(store: &Redis, key: &str) -> Result<BTreeSet<String>, StoreError> {
    let (mut all, mut cursor) = (BTreeSet::new(), 0u64);
    loop {
        let mut scan = redis::cmd("SSCAN");
        let (next, some): (u64, Vec<String>) = store.command(scan.arg(key).arg(cursor).arg("COUNT").arg(CHUNK)).await?;
        all.extend(some);
        cursor = next;
        if cursor == 0 {
            return Ok(all);
        }
    }
}

/// `scope:subject:window`.
fn window(text: &String) -> Option<(&String, Scope, String, u64)> {
    let (name, window_ms) = text.rsplit_once(':')?;
    let (scope, id) = name::parse(name)?;
    Some((text, scope, id, window_ms.parse().ok()?))
}

fn read<T: redis::FromRedisValue>(value: Option<redis::Value>) -> Result<T, StoreError> {
    value.and_then(|value| T::from_redis_value(value).ok()).ok_or_else(unknown_answer)
}
