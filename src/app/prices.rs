//! The price book of a config: what it lists, and what in the config does not fit it.

use std::collections::BTreeSet;

use crate::config::{Aim, Config, Problem};
use crate::pricing::{Account, Listing, PriceBook};

/// Every price that calls under this config may have: all models of its accounts' vendors, and what it names itself.
/// `wanted` says which targets (`provider/model`) to list.
pub fn prices(config: &Config, wanted: impl Fn(&str) -> bool) -> Listing {
    let accounts: Vec<Account<'_>> = config.providers.iter().map(|p| (&*p.name, p.catalogue)).collect();
    let of_tiers = config.tiers.iter().flat_map(|tier| &tier.targets).map(|target| &*target.name);
    let of_aliases = config.aliases.values().filter_map(|aim| match aim {
        Aim::Target(target) => Some(&*target.name),
        Aim::Tier(_) => None,
    });
    let named: BTreeSet<&str> = of_tiers.chain(of_aliases).collect();
    let named: Vec<&str> = named.into_iter().collect();
    PriceBook::new(config.prices.clone()).listing(&accounts, &named, wanted)
}

/// Tiers that let a model write more than it can: its provider may refuse such a call.
pub(super) fn too_long(config: &Config, prices: &PriceBook) -> Vec<Problem> {
    let mut problems = Vec::new();
    for tier in &config.tiers {
        for target in &tier.targets {
            let longest = prices.longest_answer(target.provider.catalogue, &target.model);
            if let Some(longest) = longest.filter(|longest| tier.max_tokens > *longest) {
                problems.push(Problem {
                    file: config.path.display().to_string(),
                    line: None,
                    column: None,
                    path: format!("tiers.{}.max_tokens", tier.name),
                    message: format!(
                        "{} is more than {} can write, which is {longest}; its provider may refuse the call",
                        tier.max_tokens, target.name
                    ),
                });
            }
        }
    }
    problems
}
