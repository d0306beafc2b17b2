//! `providers`: accounts at upstreams.

use std::sync::Arc;

use super::accounts::api_keys;
use super::parsed::{KnownKind, Provider};
use super::read::{Field, Section, hint, short};
use super::resolve::{HttpUrl, Surroundings};
use super::vendors;

/// Headers that servers in front of a model take a bare key in: Azure and proxies of its kind, Anthropic's and Google's
/// followers.
const KEY_HEADERS: &[(&str, &str)] =
    &[("api-key", "api-key"), ("x-api-key", "x-api-key"), ("x-goog-api-key", "x-goog-api-key")];

pub(super) fn providers(root: &Section<'_>, around: &Surroundings<'_>, kinds: &[KnownKind]) -> Vec<Arc<Provider>> {
    let kind = kinds.first().map_or("KIND", |kind| kind.name);
    let advice = format!("name at least one account, such as main: {{ kind: {kind} }}");
    let Some(field) = root.require("providers", &advice) else { return Vec::new() };
    let named = field.named();
    if named.is_empty() {
        field.problem(format!("names no provider; {advice}"));
    }
    named.into_iter().map(|(name, field)| Arc::new(provider(name, &field, around, kinds))).collect()
}

/// A provider with a problem is kept all the same: its name exists, and what refers to it is not at fault.
fn provider(name: &str, field: &Field<'_>, around: &Surroundings<'_>, kinds: &[KnownKind]) -> Provider {
    if !is_name(name) {
        field.key_problem("a provider's name has letters, digits, `-`, `_` and `.` only; rename it");
    }
    let section = field.section(&[
        "kind",
        "base_url",
        "api_key",
        "api_keys",
        "key_header",
        "api_version",
        "max_tokens_field",
        "responses",
    ]);
    let kind = kind(&section, kinds);
    let default = kind.and_then(|kind| kind.default_base_url).map(|url| url.trim_end_matches('/'));
    let given = match (kind, default) {
        (Some(_), None) => section.require("base_url", "write the server's, such as http://127.0.0.1:11434/v1"),
        (None, _) | (_, Some(_)) => section.get("base_url"),
    };
    let base_url = given.and_then(|field| base_url(&field)).or_else(|| default.map(str::to_owned)).unwrap_or_default();
    let default_base_url = default == Some(&base_url);
    let vendor = vendors::catalogue(&base_url).or(kind.and_then(|kind| kind.catalogue));
    Provider {
        name: name.into(),
        kind: kind.map_or("", |kind| kind.name),
        default_base_url,
        responses: responses(&section, kind, default_base_url),
        base_url,
        api_keys: api_keys(name, &section, around),
        key_header: section.get("key_header").and_then(|field| field.one_of(KEY_HEADERS)),
        api_version: section.get("api_version").and_then(|field| api_version(&field)),
        max_tokens_field: section.get("max_tokens_field").and_then(|field| request_field(&field)),
        catalogue: vendor,
        moderates: kind.is_none_or(|kind| kind.moderates),
    }
}

fn kind<'a>(section: &Section<'_>, kinds: &'a [KnownKind]) -> Option<&'a KnownKind> {
    let names = kinds.iter().map(|kind| kind.name);
    let known = names.clone().collect::<Vec<_>>().join(", ");
    let field = section.require("kind", &format!("say which wire format it speaks: {known}"))?;
    let name = field.text()?;
    let found = kinds.iter().find(|kind| kind.name == name);
    if found.is_none() {
        field.problem(format!("no provider kind is named \"{}\"{}", short(name), hint(name, names)));
    }
    found
}

/// By default where the vendor itself answers; servers that copy one of its formats seldom copy both.
fn responses(section: &Section<'_>, kind: Option<&KnownKind>, at_the_vendor: bool) -> bool {
    let can = kind.is_some_and(|kind| kind.responses);
    let Some(field) = section.get("responses") else { return can && at_the_vendor };
    let wanted = field.one_of(&[("true", true), ("false", false)]).unwrap_or(false);
    if wanted && kind.is_some() && !can {
        field.problem("providers of this kind have no second format; remove the key");
    }
    wanted && can
}

/// Names end up in `provider/model`, in metrics and in logs.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn base_url(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let Some(url) = HttpUrl::parse(text) else {
        field.problem("must be an http:// or https:// URL without credentials, query or fragment");
        return None;
    };
    if !url.tls && !url.is_loopback() {
        field.warning("keys and prompts go there unencrypted; use https:// unless the network is yours");
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// It becomes a part of the URL's query.
fn api_version(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')) {
        return Some(text.to_owned());
    }
    field.problem("must be a version as the vendor writes it, such as 2024-10-21 in quotes");
    None
}

fn request_field(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Some(text.to_owned());
    }
    field.problem("must be the name of a request field, such as max_tokens");
    None
}
