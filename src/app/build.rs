//! From files to one config generation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::{self, Config, Durability, KnownKind, SqliteSync, StoreAt};
use crate::pipeline::Snapshot;
use crate::policy::{Policies, PolicySources, Source};
use crate::pricing::PriceBook;
use crate::providers::ADAPTERS;
use crate::store::StoreSpec;

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

/// Reads, validates and compiles everything that makes a generation, or says everything that is wrong with it. `files`
/// are those it is likely to be made of: other ones only cost a second reading.
pub(super) fn snapshot(
    path: &Path,
    env: &BTreeMap<String, String>,
    generation: u64,
    files: Vec<PathBuf>,
) -> Result<(Snapshot, Fingerprint), Refused> {
    let mut files = files;
    let (config, fingerprint) = loop {
        // Hashed before it is read. An edit in between is then loaded a second time; the other way round, the hash
        // of a text that was never loaded would pass for the one in force, and the edit would be lost.
        let fingerprint = fingerprint(&files);
        let config = config::load(path, env, &known_kinds())
            .map_err(|problems| Refused { problems: problems.to_string(), files: vec![path.to_owned()] })?;
        if config.files() == files {
            break (config, fingerprint);
        }
        files = config.files();
    };
    let refused = |problems| Refused { problems, files: config.files() };
    let sources = policy_sources(&config).map_err(refused)?;
    let policies = Policies::compile(sources).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        refused(lines.join("\n"))
    })?;
    let prices = PriceBook::new(config.prices.clone());
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
