//! The config in force, defaults and overrides included, as YAML in the shape of `config.yaml`.

use serde_json::{Map, Value, json};

use super::parsed::{
    Aim, Config, Durability, Issuer, IssuerKeys, Key, Moderation, OnError, OverCap, Provider, Server, SqliteSync,
    StoreAt, Tier, Timeouts, UserFrom,
};
use super::secret::Secret;
use super::units::{print_duration, print_size};
use crate::domain::limit::{Limit, OnStoreError, Quota, Unit};
use crate::domain::money::NanoUsd;
use crate::domain::usage::Price;

impl Config {
    /// What this config means in full. Secrets are `***`.
    pub fn effective_yaml(&self) -> String {
        let named =
            |items: Vec<(&str, Value)>| items.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>();
        let mut prices: Vec<_> = self.prices.iter().map(|(name, price)| (name.as_str(), prices(price))).collect();
        prices.sort_by_key(|(name, _)| *name);
        let mut aliases: Vec<_> = self.aliases.iter().map(|(name, aim)| (name.as_str(), self.aim(aim))).collect();
        aliases.sort_by_key(|(name, _)| *name);
        let document = json!({
            "server": server(&self.server),
            "store": match &self.store {
                StoreAt::Sqlite { path, .. } => format!("sqlite:{}", path.display()),
                StoreAt::Redis { .. } => STARS.to_owned(),
            },
            "store_sync": match self.store {
                StoreAt::Sqlite { sync: SqliteSync::Normal, .. } => Some("normal"),
                StoreAt::Sqlite { sync: SqliteSync::Full, .. } => Some("full"),
                StoreAt::Redis { .. } => None,
            },
            "store_durability": match self.store {
                StoreAt::Redis { durability: Durability::Strict, .. } => Some("strict"),
                StoreAt::Redis { durability: Durability::Relaxed, .. } => Some("relaxed"),
                StoreAt::Sqlite { .. } => None,
            },
            "policies": {
                "admission": self.policies.admission,
                "errors": self.policies.errors,
                "tiers": self.policies.tiers,
            },
            "keys": self.keys.iter().map(|entry| self.key(entry)).collect::<Vec<_>>(),
            "jwt": self.issuers.iter().map(|entry| issuer(entry.as_ref())).collect::<Vec<_>>(),
            "providers": named(self.providers.iter().map(|p| (&*p.name, provider(p))).collect()),
            "default_tier": &*self.tier(self.default_tier).name,
            "tiers": named(self.tiers.iter().map(|t| (&*t.name, tier(t))).collect()),
            "aliases": named(aliases),
            "prices": named(prices),
            "limits": limits(self.limits.iter()),
            "guards": guards(self.limits.iter()),
            "request": {
                "cost_cap_usd": self.request.cost_cap.map(|usd| usd.to_string()),
                "over_cap": match self.request.over_cap { OverCap::Deny => "deny", OverCap::Clamp => "clamp" },
                "max_tokens": self.request.max_tokens,
            },
            "timeouts": timeouts(&self.timeouts),
            "retry": {
                "attempts": self.retry.attempts,
                "max_wait": print_duration(self.retry.max_wait),
                "budget": { "percent": self.retry.budget.percent, "per_second": self.retry.budget.per_second },
            },
            "breaker": { "errors": self.breaker.errors, "open": print_duration(self.breaker.open) },
            "background": {
                "timeout": print_duration(self.background.timeout),
                "concurrency": self.background.concurrency,
                "poison_limit": self.background.poison_limit,
                "keep_results": print_duration(self.background.keep_results),
            },
        });
        serde_yaml::to_string(&without_nulls(document)).unwrap_or_else(|error| format!("# can't be printed: {error}\n"))
    }

    fn aim(&self, aim: &Aim) -> Value {
        match aim {
            Aim::Tier(id) => json!(self.tier(*id).name),
            Aim::Target(target) => json!(target.name),
        }
    }

    fn key(&self, key: &Key) -> Value {
        json!({
            "name": key.name,
            "sha256": key.sha256.map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
            "team": Some(&key.team).filter(|team| !team.is_empty()),
            "user_from": match key.user_from {
                UserFrom::None => "none",
                UserFrom::Header => "header",
                UserFrom::Jwt => "jwt",
            },
            "tiers": key.tiers.as_ref().map(|ids| ids.iter().map(|id| json!(self.tier(*id).name)).collect::<Vec<_>>()),
            "models": key.models,
            "cors": key.cors,
            "limits": limits(key.limits.iter().filter(|limit| !self.limits.contains(limit))),
            "guards": key_guards(&self.limits, &key.limits),
        })
    }
}

const STARS: &str = "***";

fn stars(secret: &Option<Secret>) -> Option<&'static str> {
    secret.as_ref().map(|_| STARS)
}

fn server(server: &Server) -> Value {
    json!({
        "listen": server.listen,
        "admin_listen": server.admin_listen,
        "admin_token": stars(&server.admin_token),
        "max_body": print_size(server.max_body_bytes),
        "drain": print_duration(server.drain),
        "threads": server.threads,
        "hosts": server.hosts,
    })
}

fn issuer(issuer: &Issuer) -> Value {
    let (jwks, secret) = match &issuer.keys {
        IssuerKeys::Secret(_) => (None, Some(STARS)),
        IssuerKeys::File { path, .. } => (Some(format!("file:{}", path.display())), None),
        IssuerKeys::Url(url) => (Some(url.clone()), None),
    };
    json!({
        "issuer": issuer.issuer,
        "audience": issuer.audience,
        "algorithms": issuer.algorithms.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>(),
        "jwks": jwks,
        "secret": secret,
        "allow": issuer.allow,
        "key": issuer.key.name,
        "user_claim": issuer.user_claim,
        "team_claim": issuer.team_claim,
        "leeway": print_duration(issuer.leeway),
        "max_age": issuer.max_age.map(print_duration),
    })
}

fn provider(provider: &Provider) -> Value {
    json!({
        "kind": provider.kind,
        "base_url": provider.base_url,
        "api_key": (provider.api_keys.len() == 1).then_some(STARS),
        "api_keys": (provider.api_keys.len() > 1).then(|| vec![STARS; provider.api_keys.len()]),
        "key_header": provider.key_header,
        "api_version": provider.api_version,
        "max_tokens_field": provider.max_tokens_field,
        "responses": provider.responses,
    })
}

fn tier(tier: &Tier) -> Value {
    let mut names = tier.targets.iter().map(|target| &target.name);
    json!({
        "primary": names.next(),
        "fallback": names.collect::<Vec<_>>(),
        "max_tokens": tier.max_tokens,
        "cost_cap_usd": tier.cost_cap.map(|usd| usd.to_string()),
        "moderation": tier.moderation.as_ref().map(moderation),
    })
}

fn moderation(moderation: &Moderation) -> Value {
    json!({
        "provider": moderation.target.provider.name,
        "model": moderation.target.model,
        "on_error": match moderation.on_error { OnError::Deny => "deny", OnError::Allow => "allow" },
        "timeout": print_duration(moderation.timeout),
    })
}

fn prices(price: &Price) -> Value {
    json!({
        "input": price.input.to_string(),
        "output": price.output.to_string(),
        "cache_read": price.cache_read.to_string(),
        "cache_write": price.cache_write.to_string(),
        "cache_write_1h": price.cache_write_1h.to_string(),
    })
}

fn guards<'a>(limits: impl Iterator<Item = &'a Limit> + Clone) -> Value {
    let of_unit = |unit| limits.clone().filter(move |limit| limit.quota.unit == unit);
    let looping = of_unit(Unit::Identical).next();
    let usd =
        of_unit(Unit::SpendRate).map(|limit| (limit.scope.to_string(), NanoUsd::new(limit.quota.max).to_string()));
    json!({
        "loop": looping.map_or(json!("off"), |limit| json!({ "same": limit.quota.max, "in": limit.quota.window.per() })),
        "usd_per_hour": usd.map(|(scope, usd)| (scope, Value::from(usd))).collect::<Map<_, _>>(),
    })
}

/// Only where the key has guards of its own.
fn key_guards(global: &[Limit], own: &[Limit]) -> Option<Value> {
    let of = |limits: &[Limit]| guards(limits.iter());
    (of(global) != of(own)).then(|| of(own))
}

fn limits<'a>(limits: impl Iterator<Item = &'a Limit>) -> Value {
    let print = |limit: &Limit| {
        let Quota { unit, max, window } = &limit.quota;
        let max = match unit {
            Unit::Usd => NanoUsd::new(*max).to_string().into(),
            _ => Value::from(*max),
        };
        json!({
            "scope": limit.scope,
            unit.as_str(): max,
            "per": window.per(),
            "tz": window.foreign_zone(),
            "on_store_error": Some(limit.on_store_error).filter(|rule| *rule != OnStoreError::Deny).map(OnStoreError::as_str),
        })
    };
    limits.filter(|limit| limit.quota.unit.guard().is_none()).map(print).map(without_nulls).collect()
}

fn timeouts(timeouts: &Timeouts) -> Value {
    json!({
        "connect": print_duration(timeouts.connect),
        "headers": print_duration(timeouts.headers),
        "first_content": print_duration(timeouts.first_content),
        "idle": print_duration(timeouts.idle),
        "total": print_duration(timeouts.total),
        "head_hold": print_duration(timeouts.head_hold),
        "keep_alive": print_duration(timeouts.keep_alive),
        "write": print_duration(timeouts.write),
        "client_headers": print_duration(timeouts.client_headers),
        "client_body": print_duration(timeouts.client_body),
        "client_idle": print_duration(timeouts.client_idle),
    })
}

/// A setting that is not set is left out, as in a file.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        other => other,
    }
}
