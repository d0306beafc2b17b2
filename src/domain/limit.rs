//! Limits as the ledger understands them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::caller::Caller;

/// Whose consumption is counted together. `scope: user` gives *each* user the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    User,
    Key,
    Team,
    Global,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::User => "user",
            Scope::Key => "key",
            Scope::Team => "team",
            Scope::Global => "global",
        }
    }

    /// The id this scope counts under for `caller`; empty for the global scope.
    pub fn subject(self, caller: &Caller) -> &str {
        match self {
            Scope::User => &caller.user,
            Scope::Key => &caller.key,
            Scope::Team => &caller.team,
            Scope::Global => "",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is counted, up to how much, and over which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    /// At most `max_nano` nano-dollars, settled and held together, per UTC calendar day.
    UsdPerDay { max_nano: u64 },
    /// At most `max` admitted runs in *any* window of `window_ms` milliseconds.
    Requests { max: u64, window_ms: u64 },
}

impl Quota {
    /// `usd` or `requests`, as in config and in `headgate usage --json`.
    pub fn unit(&self) -> &'static str {
        match self {
            Quota::UsdPerDay { .. } => "usd",
            Quota::Requests { .. } => "requests",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Limit {
    pub scope: Scope,
    pub quota: Quota,
}

/// Milliseconds of one UTC day.
pub const DAY_MS: u64 = 86_400_000;

/// The UTC day that holds `now_ms`, counted from 1970-01-01.
pub fn day_of(now_ms: u64) -> u64 {
    now_ms / DAY_MS
}

/// One limit at one moment, for headers, receipts and messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    pub limit: Limit,
    /// Id within the scope; empty for `global`.
    pub subject: String,
    /// Used before this call: nano-dollars settled plus held, or admitted requests in the window.
    pub before: u64,
    /// The same after it. Equal to `before` in a refusal.
    pub after: u64,
    /// Unix milliseconds by the store's clock: end of the day, or when the oldest request leaves the window.
    pub resets_at_ms: u64,
}

impl LimitView {
    pub fn max(&self) -> u64 {
        match self.limit.quota {
            Quota::UsdPerDay { max_nano } => max_nano,
            Quota::Requests { max, .. } => max,
        }
    }

    pub fn remaining(&self) -> u64 {
        self.max().saturating_sub(self.after)
    }
}
