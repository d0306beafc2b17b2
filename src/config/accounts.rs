//! `providers.*.api_key` and `api_keys`: one account at an upstream, or several that stand in for one another.

use sha2::{Digest, Sha256};

use super::read::{Field, Section};
use super::resolve::Surroundings;
use super::secret::Secret;
use crate::domain::ids::KeyId;

/// A key that a provider gave us. `Debug` shows no more of it than its place.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub secret: Secret,
    /// Its place in `api_keys`, from 1: what logs and receipts call it.
    pub position: u32,
    /// What is remembered of it over a reload that moves it to another place.
    pub id: KeyId,
}

/// The keys of the provider `name`, in the order of the file. Those whose variable is not set are left out.
pub(super) fn api_keys(name: &str, section: &Section<'_>, around: &Surroundings<'_>) -> Vec<ApiKey> {
    let (one, several) = (section.get("api_key"), section.get("api_keys"));
    if let (Some(_), Some(several)) = (&one, &several) {
        several.problem("stands beside api_key; write the one or the other");
    }
    let fields = match several {
        Some(several) => listed(&several),
        None => one.into_iter().collect(),
    };
    let mut keys: Vec<ApiKey> = Vec::with_capacity(fields.len());
    for (position, field) in (1..).zip(&fields) {
        let Some(secret) = around.secret(field) else { continue };
        let id = id(name, &secret);
        if let Some(same) = keys.iter().find(|earlier| earlier.id == id) {
            field.problem(format!("is the same key as number {} of this list; name each account once", same.position));
            continue;
        }
        keys.push(ApiKey { secret, position, id });
    }
    keys
}

fn listed<'a>(several: &Field<'a>) -> Vec<Field<'a>> {
    let fields = several.list();
    if several.is_empty_list() {
        several.problem("names no key; write [\"${FIRST_KEY}\", \"${SECOND_KEY}\"], or remove it");
    }
    fields
}

/// One way, and with the provider's name in it: the same text may stand for another account elsewhere.
fn id(provider: &str, secret: &Secret) -> KeyId {
    let mut hasher = Sha256::new();
    hasher.update(provider);
    hasher.update([0]);
    hasher.update(secret.expose());
    KeyId::from_sha256(hasher.finalize().into())
}
