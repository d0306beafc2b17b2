//! `keys`: who may call.

use std::collections::HashSet;
use std::sync::Arc;

use super::guards;
use super::limits;
use super::parsed::{Key, Keys, Provider, Tier, TierId, UserFrom};
use super::read::{Field, Section};
use super::resolve::HttpUrl;
use super::tiers::{known_provider, known_tier};
use crate::domain::limit::Limit;

/// SHA-256 of nothing: what `printf %s "$KEY" | sha256sum` prints when the variable is not set.
const HASH_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// `global` are the limits that bind every key.
pub(super) fn keys(root: &Section<'_>, providers: &[Arc<Provider>], tiers: &[Tier], global: &Arc<[Limit]>) -> Keys {
    let entries = root.get("keys").map(|field| field.list()).unwrap_or_default();
    let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
    let mut keys = Vec::with_capacity(entries.len());
    for entry in entries {
        let section =
            entry.section(&["name", "sha256", "team", "user_from", "tiers", "models", "cors", "limits", "guards"]);
        let name = section.require("name", "give the key a name for logs and limits").and_then(|field| {
            let name = name(&field)?;
            if !names.insert(name) {
                field.problem(format!("another key is already named \"{name}\"; rename one"));
            }
            Some(name)
        });
        let user_from = section.get("user_from").and_then(|field| user_from(&field)).unwrap_or_default();
        let sha256 = sha256(&section, user_from).and_then(|field| {
            let hash = hash(&field)?;
            if !hashes.insert(hash) {
                field.problem("another entry has the same key; each entry needs a key of its own");
            }
            Some(hash)
        });
        let own = section.get("limits").map(|field| limits::list(&field)).unwrap_or_default();
        let team = section.get("team").and_then(|field| self::name(&field)).unwrap_or_default();
        let key = Key {
            name: name.unwrap_or_default().into(),
            sha256,
            team: team.into(),
            user_from,
            tiers: section.get("tiers").map(|field| allowed_tiers(&field, tiers)),
            models: texts(&section, "models", |field| model_pattern(field, providers)),
            cors: texts(&section, "cors", origin),
            limits: limits::combined(global, &own, &guards::guards(&section)),
        };
        keys.push(Arc::new(key));
    }
    Keys::new(keys)
}

/// Absent where tokens stand in for the key, and only there.
fn sha256<'a>(section: &Section<'a>, user_from: UserFrom) -> Option<Field<'a>> {
    if user_from != UserFrom::Jwt {
        return section.require("sha256", "write the SHA-256 of the key: printf %s \"$KEY\" | sha256sum");
    }
    if let Some(field) = section.get("sha256") {
        field.problem("user_from: jwt lets tokens in and no key; remove sha256, or give the key an entry of its own");
    }
    None
}

/// Names become ids of limits and labels of metrics.
fn name<'a>(field: &Field<'a>) -> Option<&'a str> {
    let text = field.text()?;
    if text.len() > 64 || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        field.problem("a name has 64 bytes at most and no spaces; shorten it");
        return None;
    }
    Some(text)
}

fn hash(field: &Field<'_>) -> Option<[u8; 32]> {
    let text = field.text()?;
    if text.eq_ignore_ascii_case(HASH_OF_NOTHING) {
        field.problem(
            "this is the hash of an empty text; set the variable and run printf %s \"$KEY\" | sha256sum again",
        );
        return None;
    }
    let bytes = hex_32(text);
    if bytes.is_none() {
        // The text may be the key itself, so it is not repeated here.
        field.problem(
            "must be the key's SHA-256 in 64 hex digits, never the key itself; printf %s \"$KEY\" | sha256sum prints it",
        );
    }
    bytes
}

fn hex_32(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn user_from(field: &Field<'_>) -> Option<UserFrom> {
    field.one_of(&[("none", UserFrom::None), ("header", UserFrom::Header), ("jwt", UserFrom::Jwt)])
}

fn allowed_tiers(field: &Field<'_>, tiers: &[Tier]) -> Vec<TierId> {
    let entries = field.list();
    if entries.is_empty() {
        field.problem("allows no tier at all; name some, or remove the key to allow every tier");
    }
    entries.iter().filter_map(|entry| known_tier(entry, tiers)).collect()
}

fn texts(section: &Section<'_>, key: &'static str, read: impl Fn(&Field<'_>) -> Option<String>) -> Vec<String> {
    section.get(key).map(|field| field.list()).unwrap_or_default().iter().filter_map(read).collect()
}

fn model_pattern(field: &Field<'_>, providers: &[Arc<Provider>]) -> Option<String> {
    let text = field.text()?;
    if text == "*" {
        return Some(text.to_owned());
    }
    let Some((provider, model)) = text.split_once('/') else {
        field.problem("write provider/model, provider/* or *");
        return None;
    };
    if model.is_empty() || model.trim_end_matches('*').contains('*') {
        field.problem("write provider/model; a `*` may only stand at the end");
        return None;
    }
    known_provider(field, provider, providers)?;
    Some(text.to_owned())
}

fn origin(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    match HttpUrl::parse(text) {
        Some(url) if url.path.is_empty() => Some(text.to_lowercase()),
        _ => {
            field.problem(
                "must be an origin as browsers send it: https://app.example, without path or slash at the end",
            );
            None
        }
    }
}
