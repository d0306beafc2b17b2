//! A config that needs no further checks. Only `config::parse` makes one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::accounts::ApiKey;
use super::problem::Problem;
use super::secret::Secret;
use crate::domain::jwks::{Algorithm, KeySet};
use crate::domain::limit::Limit;
use crate::domain::money::NanoUsd;
use crate::domain::usage::Price;

/// One generation of `config.yaml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    pub server: Server,
    pub store: StoreAt,
    pub policies: PolicyPaths,
    pub keys: Keys,
    /// Who signs tokens that are taken instead of a key.
    pub issuers: Vec<Arc<Issuer>>,
    pub providers: Vec<Arc<Provider>>,
    /// For requests that name no model, and for `auto` when the `tiers` policy fails.
    pub default_tier: TierId,
    pub tiers: Vec<Tier>,
    /// Names that existing clients already send.
    pub aliases: HashMap<String, Aim>,
    /// By `provider/model`; each overrides the bundled price book.
    pub prices: HashMap<String, Price>,
    /// Limits and guards that bind every caller. A key's own list already holds these, or what it has instead.
    pub limits: Arc<[Limit]>,
    pub request: RequestCaps,
    pub timeouts: Timeouts,
    pub retry: Retry,
    pub breaker: Breaker,
    pub background: Background,
    /// Files that secrets and key sets were read from.
    pub(super) secret_files: Vec<PathBuf>,
    /// What is allowed but deserves a look, for instance an API key whose variable is not set.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// `id` must come from this generation; a run pins one, so it can't meet another's.
    pub fn tier(&self, id: TierId) -> &Tier {
        &self.tiers[usize::from(id.0)]
    }

    pub fn tier_named(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|tier| &*tier.name == name)
    }

    pub fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| &*provider.name == name)
    }

    /// Any model of a configured provider; a model's own name may have slashes: `local/org/model`. None when the part
    /// before the first slash names no provider or nothing follows it.
    pub fn target(&self, provider_slash_model: &str) -> Option<Arc<Target>> {
        let (provider, model) = provider_slash_model.split_once('/')?;
        let provider = self.provider(provider)?;
        (!model.is_empty()).then(|| Arc::new(Target::new(provider, model)))
    }

    /// Every file that this config came from, policies and secrets included: an edit of one is a reason to reload.
    pub fn files(&self) -> Vec<PathBuf> {
        let policies = [&self.policies.admission, &self.policies.errors, &self.policies.tiers];
        let files = [&self.path].into_iter().chain(policies.into_iter().flatten()).chain(&self.secret_files);
        files.cloned().collect()
    }

    /// Settings that differ between the running config and `new` and are only read at start. A reload that would
    /// change one is refused by name.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let (old, new) = ((&self.server, &self.store), (&new.server, &new.store));
        [
            ("server.listen", old.0.listen != new.0.listen),
            ("server.admin_listen", old.0.admin_listen != new.0.admin_listen),
            ("server.threads", old.0.threads != new.0.threads),
            ("store", old.1 != new.1),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

#[derive(Clone, Debug)]
pub struct Server {
    /// Client listener.
    pub listen: SocketAddr,
    /// Operators' listener: metrics and admin routes.
    pub admin_listen: SocketAddr,
    /// None = one is generated at start and printed once.
    pub admin_token: Option<Secret>,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Time for open runs to end after a shutdown signal.
    pub drain: Duration,
    /// Threads that serve clients.
    pub threads: usize,
    /// Host names that clients may use besides loopback names and the listen address, without a port.
    pub hosts: Vec<String>,
}

/// Where state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAt {
    Sqlite { path: PathBuf, sync: SqliteSync },
    Redis { url: Secret, durability: Durability },
}

/// What a commit on SQLite survives: `Normal` a killed process, `Full` also a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqliteSync {
    Normal,
    Full,
}

/// `Strict` refuses a Redis that may evict keys or writes no append-only file; `Relaxed` accepts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Strict,
    Relaxed,
}

/// Scripts of the hooks; none = the built-in rule. Paths are absolute or relative to the working directory: those of
/// the file were joined to its folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyPaths {
    pub admission: Option<PathBuf>,
    pub errors: Option<PathBuf>,
    pub tiers: Option<PathBuf>,
}

/// Who may call. Empty = keyless mode, which serves loopback only.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    in_order: Vec<Arc<Key>>,
    by_sha256: HashMap<[u8; 32], Arc<Key>>,
}

impl Keys {
    pub(super) fn new(in_order: Vec<Arc<Key>>) -> Self {
        let by_sha256 = in_order.iter().filter_map(|key| Some((key.sha256?, Arc::clone(key)))).collect();
        Keys { in_order, by_sha256 }
    }

    /// The entry whose key hashes to `sha256`. A lookup by hash tells an attacker's clock nothing about the key.
    pub fn find(&self, sha256: &[u8; 32]) -> Option<&Arc<Key>> {
        self.by_sha256.get(sha256)
    }

    pub fn is_empty(&self) -> bool {
        self.in_order.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Key>> + Clone {
        self.in_order.iter()
    }
}

/// One entry of `keys:`.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: Arc<str>,
    /// SHA-256 of the key text; none where callers show tokens instead.
    pub sha256: Option<[u8; 32]>,
    /// Empty when the entry names none.
    pub team: Arc<str>,
    pub user_from: UserFrom,
    /// Tiers it may use; none = all.
    pub tiers: Option<Vec<TierId>>,
    /// `provider/model` patterns it may name directly; a `*` at the end matches any rest.
    pub models: Vec<String>,
    /// Browser origins that may use it.
    pub cors: Vec<String>,
    /// Everything that binds a call with this key: the global limits and its own.
    pub limits: Arc<[Limit]>,
}

impl Key {
    pub fn may_use_tier(&self, tier: TierId) -> bool {
        self.tiers.as_ref().is_none_or(|tiers| tiers.contains(&tier))
    }

    /// Whether the caller may name `provider_slash_model` itself instead of a tier.
    pub fn may_name(&self, provider_slash_model: &str) -> bool {
        self.models.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => provider_slash_model.starts_with(prefix),
            None => pattern == provider_slash_model,
        })
    }
}

/// Where the end user of a call comes from: nowhere (the key is the user), the `x-user-id` header, or a signed token,
/// which stands in for the key as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserFrom {
    #[default]
    None,
    Header,
    Jwt,
}

/// One entry of `jwt:`: whose tokens are taken, how they are checked, and what their users may do.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The tokens' `iss`.
    pub issuer: String,
    /// One of the tokens' `aud`.
    pub audience: String,
    /// Never empty, and of the kind that `keys` has.
    pub algorithms: Vec<Algorithm>,
    pub keys: IssuerKeys,
    /// `host:port` of private or plain hosts that the keys may be fetched from.
    pub allow: Vec<String>,
    /// The entry whose rights and limits its users have. No other issuer has it.
    pub key: Arc<Key>,
    /// Names the end user.
    pub user_claim: String,
    /// Names the team; none, or a token without it: the key's.
    pub team_claim: Option<String>,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// Since `iat`; none = as long as `exp` says.
    pub max_age: Option<Duration>,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub enum IssuerKeys {
    /// One that the issuer and we share.
    Secret(KeySet),
    /// A JWK Set that was read with the rest of the config, and is with every reload.
    File { path: PathBuf, keys: KeySet },
    /// A JWK Set that is fetched.
    Url(String),
}

/// An upstream: where it is, what it speaks, and our accounts there.
#[derive(Clone, Debug)]
pub struct Provider {
    pub name: Arc<str>,
    /// One of the kinds that were passed to `parse`.
    pub kind: &'static str,
    /// Without a slash at the end; as the vendor's own SDK writes it.
    pub base_url: String,
    /// True when the config names no `base_url` and the kind's own is used.
    pub default_base_url: bool,
    /// The first that works is sent; without any, no credentials are.
    pub api_keys: Vec<ApiKey>,
    /// Header that takes the bare key; none = the kind's own way.
    pub key_header: Option<&'static str>,
    /// Sent as `?api-version=`.
    pub api_version: Option<String>,
    /// Request field that carries the output cap; none = the adapter decides.
    pub max_tokens_field: Option<String>,
    /// Clients of OpenAI's Responses format are passed through to it in that format.
    pub responses: bool,
    /// The vendor's id in the bundled price list.
    pub catalogue: Option<&'static str>,
    /// The kind has a judge of texts.
    pub moderates: bool,
}

/// A tier that exists in this generation's config: a misspelt name fails at load or at the door, never inside a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TierId(pub(super) u16);

#[derive(Clone, Debug)]
pub struct Tier {
    pub id: TierId,
    pub name: Arc<str>,
    /// The primary, then the fallbacks in order. Never empty, no target twice.
    pub targets: Vec<Arc<Target>>,
    /// Output tokens per request at most.
    pub max_tokens: u64,
    /// Replaces `request.cost_cap_usd` for this tier.
    pub cost_cap: Option<NanoUsd>,
    /// None = nobody judges what callers say.
    pub moderation: Option<Moderation>,
}

/// Who judges what a caller says before a model of the tier hears it.
#[derive(Clone, Debug)]
pub struct Moderation {
    /// A provider that has a judge, and the judge's model.
    pub target: Arc<Target>,
    pub on_error: OnError,
    /// The judge's time for one run, within the run's.
    pub timeout: Duration,
}

/// What becomes of a call that nobody could judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    Deny,
    Allow,
}

/// One provider and one model.
#[derive(Clone, Debug)]
pub struct Target {
    pub provider: Arc<Provider>,
    /// As the provider spells it.
    pub model: Arc<str>,
    /// `provider/model`.
    pub name: Arc<str>,
}

impl Target {
    pub(super) fn new(provider: &Arc<Provider>, model: &str) -> Self {
        let name = format!("{}/{model}", provider.name).into();
        Target { provider: Arc::clone(provider), model: model.into(), name }
    }
}

/// What an alias stands for.
#[derive(Clone, Debug)]
pub enum Aim {
    Tier(TierId),
    Target(Arc<Target>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestCaps {
    /// Worst-case price of one request at most; none = no cap.
    pub cost_cap: Option<NanoUsd>,
    pub over_cap: OverCap,
    /// Output tokens at most where a request names a target instead of a tier.
    pub max_tokens: u64,
}

/// A request above its cost cap is refused, or its output cap is lowered until it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverCap {
    Deny,
    Clamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Upstream: connection and TLS handshake.
    pub connect: Duration,
    /// Upstream, streamed: response head after the request was sent.
    pub headers: Duration,
    /// Upstream, streamed: first content after the head; keep-alives don't count.
    pub first_content: Duration,
    /// Upstream, streamed: gap between two events.
    pub idle: Duration,
    /// Whole run, all attempts and waits included.
    pub total: Duration,
    /// A streamed answer's head is held back at most this long for the first content.
    pub head_hold: Duration,
    /// Gap between keep-alives to a client that waits on an open stream.
    pub keep_alive: Duration,
    /// Client: time for it to take what was written.
    pub write: Duration,
    /// Client: request head.
    pub client_headers: Duration,
    /// Client: request body.
    pub client_body: Duration,
    /// Client: connection without a request.
    pub client_idle: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Upstream calls per run over all targets, the first included.
    pub attempts: u32,
    /// Longest `Retry-After` that is waited for inside a run.
    pub max_wait: Duration,
    pub budget: RetryBudget,
}

/// How many retries and fallbacks all replicas together may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Of their runs.
    pub percent: u32,
    /// Besides those.
    pub per_second: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row that open a target's breaker.
    pub errors: u32,
    /// How long it stays open before one trial call.
    pub open: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Background {
    /// The longest that a job may work, from its first call on.
    pub timeout: Duration,
    /// Jobs that one process works on at a time.
    pub concurrency: u32,
    /// Processes that a job may take with it before it is given up.
    pub poison_limit: u32,
    /// How long a journaled run can be read again.
    pub keep_results: Duration,
}

/// A provider kind that `config.yaml` may name. The list comes from the adapters, so that no kind is named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKind {
    pub name: &'static str,
    /// None = `base_url` must be given.
    pub default_base_url: Option<&'static str>,
    /// Provider id in the bundled price list.
    pub catalogue: Option<&'static str>,
    /// It has a judge of texts.
    pub moderates: bool,
    /// Its providers may speak OpenAI's Responses format beside their own.
    pub responses: bool,
}
