//! The one pass from text to [`Config`]: every section in turn, all problems together.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::layers;
use super::parsed::{Config, KnownKind, TierId};
use super::problem::Problems;
use super::read::Section;
use super::report::Report;
use super::resolve::Surroundings;
use super::{clocks, guards, jwt, keys, limits, prices, providers, server, tiers};

const KEYS: &[&str] = &[
    "server",
    "store",
    "store_sync",
    "store_durability",
    "policies",
    "keys",
    "jwt",
    "providers",
    "default_tier",
    "tiers",
    "aliases",
    "prices",
    "limits",
    "request",
    "timeouts",
    "retry",
    "breaker",
    "guards",
    "background",
];

/// A config is written by hand; more than this is something else.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Reads the file at `path` and parses it as [`parse`] does.
///
/// Errors: everything that is wrong with it; a file that can't be read is one problem.
pub fn load(path: &Path, env: &BTreeMap<String, String>, kinds: &[KnownKind]) -> Result<Config, Problems> {
    match read_file(path) {
        Ok(text) => parse(&text, path, env, kinds),
        Err(message) => {
            let report = Report::new(path.display().to_string());
            report.problem_at(None, "", message);
            Err(report.into_problems())
        }
    }
}

/// Parses `text`, the content of the config at `path`. `env` gives `HEADGATE_…` overrides and the values of `${NAME}`;
/// `kinds` are the provider kinds that exist. Files that the config names (policies, `file:` secrets) are looked at.
///
/// Errors: everything that is wrong, each with its place and what to do. No text holds a secret.
pub fn parse(text: &str, path: &Path, env: &BTreeMap<String, String>, kinds: &[KnownKind]) -> Result<Config, Problems> {
    let report = Report::new(path.display().to_string());
    let Some(document) = layers::merge(text, env, KEYS, &report) else { return Err(report.into_problems()) };
    let root = Section::root(&document, KEYS, &report);
    let around = Surroundings { folder: path.parent().unwrap_or(Path::new("")), env, secret_files: RefCell::default() };

    let timeouts = clocks::timeouts(&root);
    let server = server::server(&root, &around, timeouts.total);
    let store = server::store(&root, &around);
    let policies = server::policies(&root, &around);
    let request = prices::request(&root);
    let providers = providers::providers(&root, &around, kinds);
    let tiers = tiers::tiers(&root, &providers, request.max_tokens);
    let default_tier = tiers::default_tier(&root, &tiers);
    let aliases = tiers::aliases(&root, &providers, &tiers);
    let prices = prices::prices(&root, &providers);
    let mut limits = limits::global(&root);
    limits.extend(guards::guards(&root).limits());
    let limits: Arc<[_]> = limits.into();
    let keys = keys::keys(&root, &providers, &tiers, &limits);
    let issuers = jwt::issuers(&root, &around, &keys);
    if keys.is_empty() {
        server::loopback_without_keys(&root, &server);
    }
    let (retry, breaker) = (clocks::retry(&root), clocks::breaker(&root));
    let background = clocks::background(&root);

    let warnings = report.finish()?;
    Ok(Config {
        path: path.to_owned(),
        server,
        store,
        policies,
        keys,
        issuers,
        providers,
        // Absent only beside a reported problem, and those ended the parse above.
        default_tier: default_tier.unwrap_or(TierId(0)),
        tiers,
        aliases,
        prices,
        limits,
        request,
        timeouts,
        retry,
        breaker,
        background,
        secret_files: around.secret_files.into_inner(),
        warnings,
    })
}

fn read_file(path: &Path) -> Result<String, String> {
    let advice = "create it, or name another one with --config FILE";
    let size = std::fs::metadata(path).map_err(|error| format!("can't be read: {error}; {advice}"))?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("has {size} bytes; a config has {MAX_FILE_BYTES} at most: {advice}"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("can't be read: {error}; {advice}"))?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text; save it as UTF-8".to_owned())
}
