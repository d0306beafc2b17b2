//! What has been spent against every limit: the ledger's counters beside the limits of the config.

use std::fmt;

use serde::Serialize;

use crate::config::Config;
use crate::domain::limit::{Limit, Quota, Scope};
use crate::domain::money::NanoUsd;
use crate::ledger::{Consumption, CounterUsage, UsageReport};

/// The body of `headgate usage --json` and of the admin listener's `GET /api/usage`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spend {
    pub limits: Vec<Row>,
    /// What crashed runs have cost today: on the operator's account, never on a caller's.
    pub platform_waste_nano: u64,
    pub open_holds: u64,
}

/// One counter. Amounts of money are nano-dollars.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub scope: Scope,
    /// Id within the scope; empty for `global`.
    pub id: String,
    pub unit: &'static str,
    /// `day`, or the length of a sliding window: `60s`.
    pub per: String,
    #[serde(flatten)]
    pub amounts: Amounts,
    /// RFC 3339.
    pub resets_at: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Amounts {
    /// `limit_nano` is null for what is counted without being limited.
    Usd {
        limit_nano: Option<u64>,
        settled_nano: u64,
        held_nano: u64,
    },
    Requests {
        limit: Option<u64>,
        used: u64,
    },
}

impl Spend {
    pub fn new(report: &UsageReport, config: &Config) -> Self {
        Spend {
            limits: report.counters.iter().map(|counter| row(counter, config)).collect(),
            platform_waste_nano: report.platform_waste.get(),
            open_holds: report.open_holds,
        }
    }
}

fn row(counter: &CounterUsage, config: &Config) -> Row {
    let max = lowest(counter, config);
    let (unit, per, amounts) = match counter.used {
        Consumption::UsdPerDay { settled, held } => {
            let amounts = Amounts::Usd { limit_nano: max, settled_nano: settled.get(), held_nano: held.get() };
            ("usd", "day".to_owned(), amounts)
        }
        Consumption::Requests { window_ms, admitted } => {
            ("requests", format!("{}s", window_ms as f64 / 1_000.0), Amounts::Requests { limit: max, used: admitted })
        }
    };
    Row { scope: counter.scope, id: counter.id.clone(), unit, per, amounts, resets_at: rfc3339(counter.resets_at_ms) }
}

/// The lowest maximum that binds this counter: of the limits for all, and of the keys that count under it.
fn lowest(counter: &CounterUsage, config: &Config) -> Option<u64> {
    let own = config.keys.iter().filter(|key| match counter.scope {
        Scope::Key => *key.name == counter.id,
        Scope::Team => *key.team == counter.id,
        // Which key a user came with is not known here, and a key may be the user.
        Scope::User => *key.name == counter.id,
        Scope::Global => true,
    });
    let all = config.limits.iter().chain(own.flat_map(|key| key.limits.iter()));
    all.filter(|limit| limit.scope == counter.scope).filter_map(|limit| maximum(limit, counter)).min()
}

fn maximum(limit: &Limit, counter: &CounterUsage) -> Option<u64> {
    match (limit.quota, counter.used) {
        (Quota::UsdPerDay { max_nano }, Consumption::UsdPerDay { .. }) => Some(max_nano),
        (Quota::Requests { max, window_ms }, Consumption::Requests { window_ms: same, .. }) if window_ms == same => {
            Some(max)
        }
        _ => None,
    }
}

fn rfc3339(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).map(|at| at.to_string()).unwrap_or_default()
}

/// A table for people.
impl fmt::Display for Spend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = |nano: u64| format!("${}", NanoUsd::new(nano));
        writeln!(
            f,
            "{:<7} {:<24} {:<9} {:<5} {:>14} {:>14} {:>12}  RESETS",
            "SCOPE", "ID", "UNIT", "PER", "LIMIT", "USED", "HELD"
        )?;
        for row in &self.limits {
            let (limit, used, held) = match row.amounts {
                Amounts::Usd { limit_nano, settled_nano, held_nano } => {
                    (limit_nano.map(dollars), dollars(settled_nano), dollars(held_nano))
                }
                Amounts::Requests { limit, used } => (limit.map(|l| l.to_string()), used.to_string(), String::new()),
            };
            writeln!(
                f,
                "{:<7} {:<24} {:<9} {:<5} {:>14} {:>14} {:>12}  {}",
                row.scope.as_str(),
                row.id,
                row.unit,
                row.per,
                limit.unwrap_or_else(|| "-".to_owned()),
                used,
                held,
                row.resets_at
            )?;
        }
        writeln!(f, "platform waste today: {}   open holds: {}", dollars(self.platform_waste_nano), self.open_holds)
    }
}
