//! What the driver's processes play: who asks, under which limits, and the dice.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use headgate::domain::caller::Caller;
use headgate::domain::limit::{Limit, Scope, Unit};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Amount, Subjects};

use crate::ledger::rig::limit;

/// Holds that one task keeps open at once, at most.
pub const OPEN_AT_ONCE: usize = 6;

/// The largest first hold, in nano-dollars and in tokens.
pub const LARGEST_HOLD: u64 = 600;

/// What a counter adds up, and for whom. In the order of [`limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    UserUsd,
    UserRequests,
    TeamUsd,
    TeamTokens,
    TeamRuns,
    GlobalUsd,
}

impl Counted {
    pub const ALL: [Counted; 6] = [
        Counted::UserUsd,
        Counted::UserRequests,
        Counted::TeamUsd,
        Counted::TeamTokens,
        Counted::TeamRuns,
        Counted::GlobalUsd,
    ];

    pub fn of(limit: &Limit) -> Self {
        match (&limit.scope, limit.quota.unit) {
            (Scope::User, Unit::Usd) => Counted::UserUsd,
            (Scope::User, _) => Counted::UserRequests,
            (Scope::Team, Unit::Usd) => Counted::TeamUsd,
            (Scope::Team, Unit::Tokens) => Counted::TeamTokens,
            (Scope::Team, _) => Counted::TeamRuns,
            _ => Counted::GlobalUsd,
        }
    }

    /// A user belongs to one task, so its limits are met alone; a team is shared by every process for a second, so its
    /// limits are fought for. The last one refuses nobody: it is there for the sum.
    pub fn most(self) -> u64 {
        match self {
            Counted::UserUsd => 1_500,
            Counted::UserRequests => 60,
            Counted::TeamUsd => 12_000,
            Counted::TeamTokens => 12_000,
            Counted::TeamRuns => 40,
            Counted::GlobalUsd => 1 << 52,
        }
    }

    pub fn subject(self, user: &str, team: &str) -> String {
        match self {
            Counted::UserUsd | Counted::UserRequests => user.to_owned(),
            Counted::TeamUsd | Counted::TeamTokens | Counted::TeamRuns => team.to_owned(),
            Counted::GlobalUsd => String::new(),
        }
    }

    /// What a hold of `amount` takes.
    pub fn held(self, amount: Amount) -> u64 {
        match self {
            Counted::UserUsd | Counted::TeamUsd | Counted::GlobalUsd => amount.usd.get(),
            Counted::TeamTokens => amount.tokens,
            Counted::UserRequests | Counted::TeamRuns => 1,
        }
    }

    /// What more an extension by `amount` takes.
    pub fn extended(self, amount: Amount) -> u64 {
        match self {
            Counted::UserRequests | Counted::TeamRuns => 0,
            _ => self.held(amount),
        }
    }

    /// What a settled run is charged.
    pub fn settled(self, bill: Amount) -> u64 {
        if self == Counted::TeamRuns { 0 } else { self.held(bill) }
    }

    /// What an expired hold is charged: the operator pays, the caller made a request.
    pub fn expired(self, amount: Amount) -> u64 {
        match self {
            Counted::GlobalUsd | Counted::UserRequests => self.held(amount),
            _ => 0,
        }
    }
}

/// A calendar day in a time zone where it is about noon, so that it does not end while the driver runs. Chosen once for
/// all processes: an hour later it would be another zone.
pub fn day() -> String {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let hours_after_noon = (unix / 3_600 % 24) as i64 - 12;
    // The zones of this family have their sign the wrong way round.
    format!("day@Etc/GMT{hours_after_noon:+}")
}

/// One limit for each counter; those of a calendar day are of this `day`.
pub fn limits(day: &str) -> Arc<[Limit]> {
    let limits = Counted::ALL.map(|counted| {
        let (scope, unit, window) = match counted {
            Counted::UserUsd => (Scope::User, Unit::Usd, day),
            Counted::UserRequests => (Scope::User, Unit::Requests, "1h"),
            Counted::TeamUsd => (Scope::Team, Unit::Usd, day),
            Counted::TeamTokens => (Scope::Team, Unit::Tokens, "1h"),
            Counted::TeamRuns => (Scope::Team, Unit::Concurrent, "open"),
            Counted::GlobalUsd => (Scope::Global, Unit::Usd, day),
        };
        limit(scope, unit, counted.most(), window)
    });
    limits.into()
}

pub fn subjects(user: &str, team: &str) -> Subjects {
    Subjects::of(Caller { key: "driver".into(), team: team.into(), user: user.into(), alone: false })
}

pub fn amount(usd: u64, tokens: u64) -> Amount {
    Amount { usd: NanoUsd::new(usd), tokens }
}

/// Nanoseconds of the clock that all processes of this machine share and nobody sets.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// SplitMix64: a seed tells everything that follows.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `below - 1`.
    pub fn below(&mut self, below: u64) -> u64 {
        self.roll() % below
    }
}
