//! Limits as the ledger understands them.

mod scope;
mod window;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use scope::Scope;
pub use window::{DAY_MS, HOUR_MS, Period, Span, Window, Zone, day_of, print_ms};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nano-dollars, settled and held together.
    Usd,
    /// Admitted runs.
    Requests,
    /// Input and output tokens, settled and held together.
    Tokens,
    /// Runs that are open at the same time.
    Concurrent,
    /// Guard: admitted runs of one caller with one and the same body. Refused ones count too, as long as they come.
    Identical,
    /// Guard: nano-dollars like `Usd`, on an account of their own, so that a limit does not hide the guard.
    SpendRate,
}

impl Unit {
    const ALL: [Unit; 6] =
        [Unit::Usd, Unit::Requests, Unit::Tokens, Unit::Concurrent, Unit::Identical, Unit::SpendRate];

    /// Of the runaway guards, by which they are named in config and refusals.
    pub fn guard(self) -> Option<&'static str> {
        match self {
            Unit::Identical => Some("loop"),
            Unit::SpendRate => Some("usd_per_hour"),
            Unit::Usd | Unit::Requests | Unit::Tokens | Unit::Concurrent => None,
        }
    }

    pub fn is_money(self) -> bool {
        matches!(self, Unit::Usd | Unit::SpendRate)
    }

    /// As in config and in `headgate usage --json`; lower-case letters only.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Identical => "identical",
            Unit::SpendRate => "spendrate",
            Unit::Usd => "usd",
            Unit::Requests => "requests",
            Unit::Tokens => "tokens",
            Unit::Concurrent => "concurrent",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Unit::ALL.into_iter().find(|unit| unit.as_str() == text)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is counted, up to how much, and over which time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Quota {
    pub unit: Unit,
    /// In `unit`.
    pub max: u64,
    pub window: Window,
}

/// What becomes of the calls that a limit binds while the store does not answer. From the most lenient to the strictest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OnStoreError {
    /// Each process goes on by itself and counts from nothing: it admits at most the limit once more.
    Allow,
    /// Each process goes on within a share of the limit that it has set aside in the store before.
    LocalShare,
    /// They are refused.
    #[default]
    Deny,
}

impl OnStoreError {
    /// As in config.
    pub fn as_str(self) -> &'static str {
        match self {
            OnStoreError::Allow => "allow",
            OnStoreError::LocalShare => "local_share",
            OnStoreError::Deny => "deny",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Limit {
    pub scope: Scope,
    pub quota: Quota,
    /// No part of what is counted, and so of no record.
    #[serde(skip)]
    pub on_store_error: OnStoreError,
}

impl Limit {
    /// A limit that denies while the store does not answer.
    pub fn new(scope: Scope, quota: Quota) -> Self {
        Limit { scope, quota, on_store_error: OnStoreError::Deny }
    }
}

/// One limit at one moment, for headers, receipts and messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    pub limit: Limit,
    /// Id within the scope; empty for `global`.
    pub subject: String,
    /// Used before this call, in the limit's unit.
    pub before: u64,
    /// The same after it. Equal to `before` in a refusal.
    pub after: u64,
    /// Unix milliseconds by the store's clock: end of the calendar window, or when the oldest part leaves a sliding
    /// one. For concurrent runs, whose ends nobody knows, a second from now.
    pub resets_at_ms: u64,
}

impl LimitView {
    pub fn unit(&self) -> Unit {
        self.limit.quota.unit
    }

    pub fn max(&self) -> u64 {
        self.limit.quota.max
    }

    pub fn remaining(&self) -> u64 {
        self.max().saturating_sub(self.after)
    }
}
