//! `jwt`: issuers of tokens that callers may show instead of a key.

use std::sync::Arc;
use std::time::Duration;

use super::parsed::{Issuer, IssuerKeys, Key, Keys, UserFrom};
use super::read::{Field, Section, hint, short};
use super::resolve::{HttpUrl, Surroundings};
use crate::domain::jwks::{Algorithm, KeySet};

const LEEWAY: Duration = Duration::from_secs(30);
const MOST_LEEWAY: Duration = Duration::from_secs(300);
const LONGEST_AGE: Duration = Duration::from_secs(366 * 24 * 3_600);
/// RFC 7518 §3.2: a key of the hash's size or larger.
const SHORTEST_SECRET_BYTES: usize = 32;
const MAX_JWKS_BYTES: u64 = 1 << 20;

pub(super) fn issuers(root: &Section<'_>, around: &Surroundings<'_>, keys: &Keys) -> Vec<Arc<Issuer>> {
    let entries = root.get("jwt").map(|field| field.list()).unwrap_or_default();
    let mut issuers: Vec<Arc<Issuer>> = Vec::with_capacity(entries.len());
    for entry in &entries {
        let Some(issuer) = issuer(entry, around, keys) else { continue };
        for earlier in &issuers {
            if (&earlier.issuer, &earlier.audience) == (&issuer.issuer, &issuer.audience) {
                entry.problem("an earlier entry takes the same tokens; keep one of them");
            }
            // Users of two issuers may have the same name, and what belongs to a key's user is told by that.
            if earlier.key.name == issuer.key.name {
                entry
                    .problem("an earlier entry lets its users in with the same key; give each issuer an entry of keys");
            }
        }
        issuers.push(Arc::new(issuer));
    }
    for key in keys.iter().filter(|key| key.user_from == UserFrom::Jwt) {
        if entries.len() == issuers.len() && !issuers.iter().any(|issuer| issuer.key.name == key.name) {
            root.problem("keys", format!("\"{}\" takes its users from tokens, and no entry of jwt names it", key.name));
        }
    }
    issuers
}

fn issuer(entry: &Field<'_>, around: &Surroundings<'_>, keys: &Keys) -> Option<Issuer> {
    let section = entry.section(&[
        "issuer",
        "audience",
        "algorithms",
        "jwks",
        "secret",
        "allow",
        "key",
        "user_claim",
        "team_claim",
        "leeway",
        "max_age",
    ]);
    let text = |key, advice| section.require(key, advice).and_then(|field| field.text().map(str::to_owned));
    let claim = |key| section.get(key).and_then(|field| field.text().map(str::to_owned));
    let issuer = text("issuer", "write what its tokens have as iss, such as https://login.example/");
    let audience = text("audience", "write what its tokens for this gateway have as aud");
    let allow = section.get("allow").map(|field| field.list()).unwrap_or_default();
    let allow: Vec<String> = allow.iter().filter_map(host_and_port).collect();
    let algorithms = section.get("algorithms").map(|field| algorithms(&field));
    let verifying = verifying(&section, around, &allow, algorithms.as_deref());
    let key = section.require("key", "name the entry of keys whose tiers, limits and cors its users get");
    let key = key.and_then(|field| entry_of_keys(&field, keys));
    let (user_claim, team_claim) = (claim("user_claim"), claim("team_claim"));
    let leeway = section.duration_or("leeway", MOST_LEEWAY, LEEWAY);
    let max_age = section.get("max_age").and_then(|field| field.duration(LONGEST_AGE));
    // Everything was looked at: what is wrong is told in one go.
    let (keys, default) = verifying?;
    Some(Issuer {
        issuer: issuer?,
        audience: audience?,
        algorithms: algorithms.unwrap_or(default),
        keys,
        allow,
        key: key?,
        user_claim: user_claim.unwrap_or_else(|| "sub".to_owned()),
        team_claim,
        leeway,
        max_age,
    })
}

/// The keys, and the algorithms they are for.
fn verifying(
    section: &Section<'_>,
    around: &Surroundings<'_>,
    allow: &[String],
    algorithms: Option<&[Algorithm]>,
) -> Option<(IssuerKeys, Vec<Algorithm>)> {
    let (keys, possible) = match (section.get("jwks"), section.get("secret")) {
        (Some(jwks), None) => (key_set(&jwks, around, allow), vec![Algorithm::Rs256, Algorithm::Es256]),
        (None, Some(secret)) => (shared_secret(&secret, around), vec![Algorithm::Hs256]),
        (Some(_), Some(secret)) => {
            secret.problem("stands beside jwks; tokens are signed with the one or the other, so remove one");
            return None;
        }
        (None, None) => {
            section.require(
                "jwks",
                "write the https:// URL or file:PATH of its public keys, or secret: \"${NAME}\" for HS256",
            );
            return None;
        }
    };
    if let Some(wrong) = algorithms.and_then(|given| given.iter().find(|given| !possible.contains(given))) {
        let advice = "RS256 and ES256 take jwks, HS256 takes secret";
        section.problem("algorithms", format!("{} does not go with these keys: {advice}", wrong.as_str()));
    }
    if let (Some(IssuerKeys::File { keys, .. }), Some(given)) = (&keys, algorithms)
        && let Some(unserved) = given.iter().find(|given| possible.contains(given) && !keys.serves(**given))
    {
        section.problem("jwks", format!("holds no key for {}", unserved.as_str()));
    }
    Some((keys?, possible))
}

fn key_set(field: &Field<'_>, around: &Surroundings<'_>, allow: &[String]) -> Option<IssuerKeys> {
    let text = field.text()?;
    if let Some(file) = text.strip_prefix("file:") {
        let text = around.read_file(field, file, MAX_JWKS_BYTES)?;
        return match KeySet::parse(&text) {
            Ok(keys) => Some(IssuerKeys::File { path: around.path(file), keys }),
            Err(why) => {
                field.problem(why);
                None
            }
        };
    }
    let (address, _) = text.split_once('?').unwrap_or((text, ""));
    let Some(url) = HttpUrl::parse(address) else {
        field.problem("must be an https:// URL without credentials and fragment, or file:PATH");
        return None;
    };
    if !url.tls && allow.is_empty() {
        field.problem("keys over http:// could be anybody's; use https://, or list host:port under allow");
        return None;
    }
    Some(IssuerKeys::Url(text.to_owned()))
}

fn shared_secret(field: &Field<'_>, around: &Surroundings<'_>) -> Option<IssuerKeys> {
    let Some(secret) = around.secret(field) else {
        // A variable that is not set is a warning elsewhere. Here it would leave tokens that anyone can sign.
        field.problem("the secret is not known; set the variable or write the file");
        return None;
    };
    if secret.expose().len() < SHORTEST_SECRET_BYTES {
        field.problem(format!("is shorter than {SHORTEST_SECRET_BYTES} bytes and could be guessed; make a longer one"));
        return None;
    }
    Some(IssuerKeys::Secret(KeySet::shared(secret.expose())))
}

fn algorithms(field: &Field<'_>) -> Vec<Algorithm> {
    let entries = field.list();
    if field.is_empty_list() {
        field.problem("allows no algorithm; name some of RS256, ES256, HS256, or remove the key");
    }
    let known = Algorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm));
    entries.iter().filter_map(|entry| entry.one_of(&known)).collect()
}

fn entry_of_keys(field: &Field<'_>, keys: &Keys) -> Option<Arc<Key>> {
    let name = field.text()?;
    let Some(key) = keys.iter().find(|key| &*key.name == name) else {
        let names = keys.iter().map(|key| &*key.name);
        field.problem(format!("no entry of keys is named \"{}\"{}", short(name), hint(name, names)));
        return None;
    };
    if key.user_from != UserFrom::Jwt {
        field.problem(format!(
            "\"{name}\" is for a key of its own; name an entry with user_from: jwt and without sha256"
        ));
        return None;
    }
    Some(Arc::clone(key))
}

/// As it is compared with a URL's.
fn host_and_port(field: &Field<'_>) -> Option<String> {
    let text = field.text()?.to_lowercase();
    let with_port = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !with_port || text.contains(['/', '@', '*']) {
        field.problem("must be host:port, such as login.internal:443");
        return None;
    }
    Some(text)
}
