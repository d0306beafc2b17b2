//! What has been spent against every limit: the ledger's counters beside the limits of the config.

use std::fmt;

use serde::Serialize;

use crate::config::Config;
use crate::domain::limit::{Limit, Scope, Unit};
use crate::domain::money::NanoUsd;
use crate::ledger::{CounterUsage, UsageReport, Used};

/// The body of `headgate usage --json` and of the admin listener's `GET /api/usage`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spend {
    pub limits: Vec<Row>,
    /// What crashed runs have cost today: on the operator's account, never on a caller's.
    pub platform_waste_nano: u64,
    pub open_holds: u64,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub scope: Scope,
    /// Id within the scope; empty for `global`.
    pub id: String,
    pub unit: &'static str,
    /// The runaway guard that counts here, by its key in config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<&'static str>,
    /// `hour`, `day`, `month`, or the length of a sliding window: `1m`. None for concurrent runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
    /// Time zone of the calendar, where it is not UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tz: Option<String>,
    #[serde(flatten)]
    pub amounts: Amounts,
    /// RFC 3339.
    pub resets_at: String,
}

/// What is counted without being limited has null for a limit. In a sliding window `used` is settled and held
/// together. Money is nano-dollars.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Amounts {
    Usd { limit_nano: Option<u64>, settled_nano: u64, held_nano: u64 },
    SlidingUsd { limit_nano: Option<u64>, used_nano: u64 },
    Tokens { limit: Option<u64>, settled: u64, held: u64 },
    Whole { limit: Option<u64>, used: u64 },
}

impl Amounts {
    fn new(unit: Unit, used: Used, limit: Option<u64>) -> Self {
        match (unit, used) {
            (Unit::Usd | Unit::SpendRate, Used::Parted { settled, held }) => {
                Amounts::Usd { limit_nano: limit, settled_nano: settled, held_nano: held }
            }
            (Unit::Usd | Unit::SpendRate, Used::Whole(used)) => {
                Amounts::SlidingUsd { limit_nano: limit, used_nano: used }
            }
            (_, Used::Parted { settled, held }) => Amounts::Tokens { limit, settled, held },
            (_, Used::Whole(used)) => Amounts::Whole { limit, used },
        }
    }

    /// Limit, used and held as a person reads them.
    fn cells(&self) -> [String; 3] {
        let dollars = |nano: u64| format!("${}", NanoUsd::new(nano));
        let limit = |limit: Option<String>| limit.unwrap_or_else(|| "-".to_owned());
        let none = String::new;
        match *self {
            Amounts::Usd { limit_nano, settled_nano, held_nano } => {
                [limit(limit_nano.map(dollars)), dollars(settled_nano), dollars(held_nano)]
            }
            Amounts::SlidingUsd { limit_nano, used_nano } => {
                [limit(limit_nano.map(dollars)), dollars(used_nano), none()]
            }
            Amounts::Tokens { limit: most, settled, held } => {
                [limit(most.map(|most| most.to_string())), settled.to_string(), held.to_string()]
            }
            Amounts::Whole { limit: most, used } => {
                [limit(most.map(|most| most.to_string())), used.to_string(), none()]
            }
        }
    }
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
    Row {
        scope: counter.scope.clone(),
        id: counter.id.clone(),
        unit: if counter.unit.is_money() { Unit::Usd } else { counter.unit }.as_str(),
        guard: counter.unit.guard(),
        per: counter.window.per(),
        tz: counter.window.foreign_zone().map(str::to_owned),
        amounts: Amounts::new(counter.unit, counter.used, lowest(counter, config)),
        resets_at: rfc3339(counter.resets_at_ms),
    }
}

/// The lowest maximum that binds this counter: of the limits for all, and of the keys that count under it.
fn lowest(counter: &CounterUsage, config: &Config) -> Option<u64> {
    let own = config.keys.iter().filter(|key| match counter.scope {
        Scope::Key => *key.name == counter.id,
        Scope::Team => *key.team == counter.id,
        // Which key a user came with is not known here, and a key may be the user.
        Scope::User => *key.name == counter.id,
        Scope::Tier | Scope::Model | Scope::Provider | Scope::Global | Scope::Metadata(_) => true,
    });
    let all = config.limits.iter().chain(own.flat_map(|key| key.limits.iter()));
    let same = |limit: &&Limit| {
        limit.scope == counter.scope && limit.quota.unit == counter.unit && limit.quota.window == counter.window
    };
    all.filter(same).map(|limit| limit.quota.max).min()
}

pub(super) fn rfc3339(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).map(|at| at.to_string()).unwrap_or_default()
}

/// A table for people.
impl fmt::Display for Spend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<9} {:<24} {:<10} {:<5} {:>14} {:>14} {:>12}  RESETS",
            "SCOPE", "ID", "UNIT", "PER", "LIMIT", "USED", "HELD"
        )?;
        for row in &self.limits {
            let [limit, used, held] = row.amounts.cells();
            let (per, zone) = (row.per.as_deref().unwrap_or("-"), row.tz.as_deref().unwrap_or_default());
            writeln!(
                f,
                "{:<9} {:<24} {:<10} {per:<5} {limit:>14} {used:>14} {held:>12}  {} {zone}",
                row.scope,
                row.id,
                row.guard.map_or(row.unit, |_| "usd guard"),
                row.resets_at
            )?;
        }
        let waste = NanoUsd::new(self.platform_waste_nano);
        writeln!(f, "platform waste today: ${waste}   open holds: {}", self.open_holds)
    }
}
