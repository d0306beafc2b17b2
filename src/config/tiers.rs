//! `tiers`, `default_tier`, `aliases`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::parsed::{Aim, Moderation, OnError, Provider, Target, Tier, TierId};
use super::read::{Field, Section, hint, short};

/// What a request asks for to let the `tiers` policy choose; no tier or alias may take the name.
const AUTO: &str = "auto";
const ON_ERROR: &[(&str, OnError)] = &[("deny", OnError::Deny), ("allow", OnError::Allow)];
/// A caller waits for it before anything else happens.
const LONGEST_MODERATION: Duration = Duration::from_secs(60);
/// No model answers with more.
pub(super) const MOST_TOKENS: u64 = 10_000_000;

pub(super) fn tiers(root: &Section<'_>, providers: &[Arc<Provider>], default_max_tokens: u64) -> Vec<Tier> {
    let advice = "name at least one, such as standard: { primary: provider/model }";
    let Some(field) = root.require("tiers", advice) else { return Vec::new() };
    let named = field.named();
    if named.is_empty() {
        field.problem(format!("names no tier; {advice}"));
    }
    let mut tiers = Vec::with_capacity(named.len());
    for (name, field) in named {
        let Ok(number) = u16::try_from(tiers.len()) else {
            field.key_problem("more tiers than this gateway counts (65,536); remove some");
            break;
        };
        tiers.push(tier(TierId(number), name, &field, providers, default_max_tokens));
    }
    tiers
}

fn tier(id: TierId, name: &str, field: &Field<'_>, providers: &[Arc<Provider>], default_max_tokens: u64) -> Tier {
    if name == AUTO {
        field.key_problem("`auto` lets the tiers policy choose; give the tier another name");
    } else if name.is_empty() || name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
        field.key_problem("a tier's name has no spaces and no `/`; rename it");
    }
    let section = field.section(&["primary", "fallback", "max_tokens", "cost_cap_usd", "moderation"]);
    let mut targets: Vec<Arc<Target>> = Vec::new();
    let primary = section.require("primary", "write the target that answers first: provider/model");
    let fallbacks = section.get("fallback").map(|field| field.one_or_list()).unwrap_or_default();
    for field in primary.into_iter().chain(fallbacks) {
        let Some(target) = target(&field, providers) else { continue };
        if targets.iter().any(|earlier| earlier.name == target.name) {
            field.problem(format!("\"{}\" is already a target of this tier; name another one", target.name));
            continue;
        }
        targets.push(Arc::new(target));
    }
    Tier {
        id,
        name: name.into(),
        targets,
        max_tokens: section.get("max_tokens").and_then(|f| f.integer(1, MOST_TOKENS)).unwrap_or(default_max_tokens),
        cost_cap: section.get("cost_cap_usd").and_then(|field| field.usd()),
        moderation: section.get("moderation").and_then(|field| moderation(&field, providers)),
    }
}

fn moderation(field: &Field<'_>, providers: &[Arc<Provider>]) -> Option<Moderation> {
    let section = field.section(&["provider", "model", "on_error", "timeout"]);
    let provider = section.require("provider", "name the account whose judge is asked");
    let model = section.require("model", "write the judge's, such as omni-moderation-latest");
    let on_error = section.get("on_error").and_then(|field| field.one_of(ON_ERROR)).unwrap_or(OnError::Deny);
    let timeout = section.duration_or("timeout", LONGEST_MODERATION, Duration::from_secs(2));
    let (provider, model) = (provider?, model?.text()?);
    let account = known_provider(&provider, provider.text()?, providers)?;
    if !account.moderates {
        provider.problem(format!("providers of kind {} have no moderation; name another one", account.kind));
        return None;
    }
    Some(Moderation { target: Arc::new(Target::new(account, model)), on_error, timeout })
}

fn target(field: &Field<'_>, providers: &[Arc<Provider>]) -> Option<Target> {
    let text = field.text()?;
    let Some((provider, model)) = text.split_once('/').filter(|(_, model)| !model.is_empty()) else {
        field.problem(format!("\"{}\" names no model; write provider/model", short(text)));
        return None;
    };
    let provider = known_provider(field, provider, providers)?;
    Some(Target::new(provider, model))
}

/// The provider with that name, or a problem at `field`.
pub(super) fn known_provider<'a>(
    field: &Field<'_>,
    name: &str,
    providers: &'a [Arc<Provider>],
) -> Option<&'a Arc<Provider>> {
    let found = providers.iter().find(|provider| &*provider.name == name);
    if found.is_none() {
        let hint = hint(name, providers.iter().map(|provider| &*provider.name));
        field.problem(format!("no provider is named \"{}\"{hint}", short(name)));
    }
    found
}

/// The tier with that name, or a problem at `field`.
pub(super) fn known_tier(field: &Field<'_>, tiers: &[Tier]) -> Option<TierId> {
    let name = field.text()?;
    let found = tiers.iter().find(|tier| &*tier.name == name).map(|tier| tier.id);
    if found.is_none() {
        let hint = hint(name, tiers.iter().map(|tier| &*tier.name));
        field.problem(format!("no tier is named \"{}\"{hint}", short(name)));
    }
    found
}

/// None only together with a reported problem.
pub(super) fn default_tier(root: &Section<'_>, tiers: &[Tier]) -> Option<TierId> {
    let field = root.require("default_tier", "name the tier for requests that ask for no model")?;
    known_tier(&field, tiers)
}

pub(super) fn aliases(root: &Section<'_>, providers: &[Arc<Provider>], tiers: &[Tier]) -> HashMap<String, Aim> {
    let named = root.get("aliases").map(|field| field.named()).unwrap_or_default();
    let mut aliases = HashMap::with_capacity(named.len());
    for (name, field) in named {
        if name == AUTO || tiers.iter().any(|tier| &*tier.name == name) {
            field.key_problem(format!("\"{name}\" is already a tier; an alias needs a name of its own"));
            continue;
        }
        let aim = match field.text() {
            Some(text) if text.contains('/') => target(&field, providers).map(|target| Aim::Target(Arc::new(target))),
            Some(_) => known_tier(&field, tiers).map(Aim::Tier),
            None => None,
        };
        aliases.extend(aim.map(|aim| (name.to_owned(), aim)));
    }
    aliases
}
