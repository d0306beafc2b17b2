//! From files to one config generation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::{self, Config, Durability, KnownKind, SqliteSync, StoreAt};
use crate::domain::chat::Wire;
use crate::pipeline::Snapshot;
use crate::policy::{Policies, PolicySources, Source};
use crate::pricing::PriceBook;
use crate::providers::ADAPTERS;
use crate::store::StoreSpec;

use super::prices::too_long;

/// Hash over the texts of everything that config reads: equal texts are no edit.
pub(super) type Fingerprint = [u8; 32];

/// The provider kinds that this build can speak to.
fn known_kinds() -> Vec<KnownKind> {
    ADAPTERS
        .iter()
        .map(|adapter| KnownKind {
            name: adapter.kind(),
            default_base_url: adapter.default_base_url(),
            catalogue: adapter.catalogue(),
            moderates: adapter.moderator().is_some(),
            responses: adapter.speaks(Wire::OpenAiResponses).is_some(),
        })
        .collect()
}

/// Why there is no generation.
pub(super) struct Refused {
    /// Everything that is wrong, one problem per line.
    pub problems: String,
    /// Where it may be mended. A script that is named for the first time is in no generation's files yet.
    pub files: Vec<PathBuf>,
}

/// Readings in a row that an edit may disturb; then the last one is taken, and the watcher brings the next.
const READINGS: u32 = 5;

/// Reads, validates and compiles everything that makes a generation, or says everything that is wrong with it. `files`
/// are those it is likely to be made of: other ones only cost a second reading.
pub(super) fn snapshot(
    path: &Path,
    env: &BTreeMap<String, String>,
    generation: u64,
    mut files: Vec<PathBuf>,
) -> Result<(Snapshot, Fingerprint), Refused> {
    let mut readings = 1;
    let (mut config, sources, fingerprint) = loop {
        // Hashed before and after it is read: only a text that stood still in between has this hash. A hash of another
        // text than the loaded one would lose an edit, or count one twice.
        let before = fingerprint(&files);
        let config = config::load(path, env, &known_kinds())
            .map_err(|problems| Refused { problems: problems.to_string(), files: vec![path.to_owned()] })?;
        let sources = policy_sources(&config).map_err(|problems| Refused { problems, files: config.files() })?;
        let stood_still = config.files() == files && fingerprint(&files) == before;
        if stood_still || readings == READINGS {
            break (config, sources, before);
        }
        files = config.files();
        readings += 1;
    };
    let policies = Policies::compile(sources).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Refused { problems: lines.join("\n"), files: config.files() }
    })?;
    let prices = PriceBook::new(config.prices.clone());
    config.warnings.extend(too_long(&config, &prices));
    let config = Arc::new(config);
    Ok((Snapshot { generation, config, policies, prices }, fingerprint))
}

/// Of all texts together, secrets from files included. What can't be read is told where it is used.
fn fingerprint(files: &[PathBuf]) -> Fingerprint {
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(std::fs::read(file).unwrap_or_default());
        hasher.update([0]);
    }
    hasher.finalize().into()
}

/// Everything that `serve` and each reload check, without opening a port or a store.
/// Errors: all problems, one per line, with file and line.
pub fn check(path: &Path, env: &BTreeMap<String, String>) -> Result<Arc<Config>, String> {
    snapshot(path, env, 0, Vec::new()).map(|(snapshot, _)| snapshot.config).map_err(|refused| refused.problems)
}

/// Texts of the policies that `config` names.
fn policy_sources(config: &Config) -> Result<PolicySources, String> {
    let read = |path: &Option<PathBuf>| -> Result<Option<Source>, String> {
        let Some(path) = path else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Some(Source { file: path.display().to_string(), text }))
    };
    let paths = &config.policies;
    Ok(PolicySources { admission: read(&paths.admission)?, errors: read(&paths.errors)?, tiers: read(&paths.tiers)? })
}

pub(super) fn store_spec(at: &StoreAt) -> StoreSpec {
    match at {
        StoreAt::Sqlite { path, sync } => {
            StoreSpec::Sqlite { path: path.clone(), full_sync: *sync == SqliteSync::Full }
        }
        StoreAt::Redis { url, durability } => {
            StoreSpec::Redis { url: url.expose().to_owned(), relaxed: *durability == Durability::Relaxed }
        }
    }
}
