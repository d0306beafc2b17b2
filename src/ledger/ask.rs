//! What runs ask of the ledger and what they pay.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::caller::Caller;
use crate::domain::ids::RunId;
use crate::domain::limit::{Limit, Scope, Unit};
use crate::domain::money::NanoUsd;

/// Longest value of a metadata key that counts by itself; longer ones that begin alike count together.
const LONGEST_VALUE: usize = 256;

/// What a run wants to set aside before it calls anyone.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// Names the hold. Asking twice with one id takes once.
    pub run: RunId,
    pub subjects: Subjects,
    /// The most that the run can cost.
    pub amount: Amount,
    pub limits: Arc<[Limit]>,
}

/// Whom and what a run counts for.
#[derive(Clone, Debug)]
pub struct Subjects {
    pub caller: Caller,
    /// Empty where the caller named a target itself; no tier is bound then.
    pub tier: Arc<str>,
    /// `provider/model` of each target that the run may call.
    pub targets: Vec<Arc<str>>,
    pub metadata: BTreeMap<String, String>,
    /// Stands for the request's body: equal ones have the same. None where no guard looks for equal requests.
    pub fingerprint: Option<String>,
}

impl Subjects {
    /// A run that counts for its caller alone.
    pub fn of(caller: Caller) -> Self {
        Subjects { caller, tier: Arc::default(), targets: Vec::new(), metadata: BTreeMap::new(), fingerprint: None }
    }

    /// The ids this run counts under in `scope`, each once; none where the scope does not bind it. Equal requests count
    /// under the id and what the body is known by.
    pub(super) fn ids(&self, scope: &Scope, unit: Unit) -> Vec<Arc<str>> {
        let ids = self.ids_in(scope);
        if unit != Unit::Identical {
            return ids;
        }
        let Some(fingerprint) = &self.fingerprint else { return Vec::new() };
        ids.iter().map(|id| format!("{id}#{fingerprint}").into()).collect()
    }

    fn ids_in(&self, scope: &Scope) -> Vec<Arc<str>> {
        let named = |name: &Arc<str>| if name.is_empty() { Vec::new() } else { vec![Arc::clone(name)] };
        match scope {
            Scope::User => vec![Arc::clone(&self.caller.user)],
            Scope::Key => vec![Arc::clone(&self.caller.key)],
            Scope::Global => vec![Arc::default()],
            Scope::Team => named(&self.caller.team),
            Scope::Tier => named(&self.tier),
            Scope::Model => distinct(self.targets.iter().cloned()),
            Scope::Provider => distinct(self.targets.iter().map(|target| provider(target).into())),
            Scope::Metadata(key) => self.metadata.get(&**key).map(|value| vec![cut(value).into()]).unwrap_or_default(),
        }
    }
}

/// The provider of a target.
pub(super) fn provider(target: &str) -> &str {
    target.split_once('/').map_or(target, |(provider, _)| provider)
}

fn distinct(all: impl Iterator<Item = Arc<str>>) -> Vec<Arc<str>> {
    let mut seen: Vec<Arc<str>> = Vec::new();
    for id in all {
        if !seen.contains(&id) {
            seen.push(id);
        }
    }
    seen
}

fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(LONGEST_VALUE)]
}

/// What a run sets aside or costs, in every unit that varies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    pub usd: NanoUsd,
    /// Input and output.
    pub tokens: u64,
}

impl Amount {
    pub fn plus(self, other: Amount) -> Amount {
        Amount { usd: self.usd.saturating_add(other.usd), tokens: self.tokens.saturating_add(other.tokens) }
    }

    /// What is left above `other`; nothing where it is more.
    pub(super) fn minus(self, other: Amount) -> Amount {
        let usd = NanoUsd::new(self.usd.get().saturating_sub(other.usd.get()));
        Amount { usd, tokens: self.tokens.saturating_sub(other.tokens) }
    }

    /// The part of it that counts in `unit`; a run is one request.
    pub(super) fn in_unit(self, unit: Unit) -> u64 {
        match unit {
            Unit::Usd | Unit::SpendRate => self.usd.get(),
            Unit::Tokens => self.tokens,
            Unit::Requests | Unit::Concurrent | Unit::Identical => 1,
        }
    }
}

impl From<NanoUsd> for Amount {
    fn from(usd: NanoUsd) -> Self {
        Amount { usd, tokens: 0 }
    }
}

/// What a run has cost, as a whole and by target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    pub total: Amount,
    /// Each target that was called, once, by `provider/model`, with its part. One that was not called is charged
    /// nothing, not even a request.
    pub targets: Vec<(String, Amount)>,
}

impl Bill {
    /// What `subject` of `scope` is charged in `unit`.
    pub(super) fn charge(&self, scope: &Scope, subject: &str, unit: Unit) -> u64 {
        let part = match scope {
            Scope::Model => self.part(|target| target == subject),
            Scope::Provider => self.part(|target| provider(target) == subject),
            _ => Some(self.total),
        };
        part.map_or(0, |part| part.in_unit(unit))
    }

    /// None where no such target was called.
    pub(super) fn part(&self, of: impl Fn(&str) -> bool) -> Option<Amount> {
        let parts = self.targets.iter().filter(|(target, _)| of(target)).map(|(_, amount)| *amount);
        parts.reduce(Amount::plus)
    }
}

impl From<NanoUsd> for Bill {
    fn from(usd: NanoUsd) -> Self {
        Bill { total: usd.into(), targets: Vec::new() }
    }
}
