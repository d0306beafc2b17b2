//! `server`, `store`, `policies`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::parsed::{Durability, PolicyPaths, Server, SqliteSync, StoreAt};
use super::read::{Field, Section};
use super::resolve::Surroundings;
use super::secret::Secret;

const LISTEN_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 8081;
const MAX_BODY_BYTES: usize = 32 << 20;
/// Bodies are held in memory while a run lives.
const MOST_BODY_BYTES: u64 = 1 << 30;
const MAX_DRAIN: Duration = Duration::from_secs(24 * 3_600);

/// `total` is the longest a run may take, and so the default time to drain.
pub(super) fn server(root: &Section<'_>, around: &Surroundings<'_>, total: Duration) -> Server {
    let known = &["listen", "admin_listen", "admin_token", "max_body", "drain", "threads", "hosts"];
    let section = root.section("server", known);
    let address = |key, port| {
        let given = section.get(key).and_then(|field| field.parsed::<SocketAddr>("an address such as 127.0.0.1:8080"));
        given.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    };
    let listen = address("listen", LISTEN_PORT);
    let admin_listen = address("admin_listen", ADMIN_PORT);
    if listen == admin_listen && listen.port() != 0 {
        section.problem("admin_listen", "listen and admin_listen are the same address; give each its own port");
    }
    let hosts = section.get("hosts").map(|field| field.list()).unwrap_or_default();
    Server {
        listen,
        admin_listen,
        admin_token: section.get("admin_token").and_then(|field| around.secret(&field)),
        max_body_bytes: section.get("max_body").and_then(|f| f.size_bytes(MOST_BODY_BYTES)).unwrap_or(MAX_BODY_BYTES),
        drain: section.duration_or("drain", MAX_DRAIN, total),
        threads: section
            .get("threads")
            .and_then(|field| field.small(1, 1_024))
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        hosts: hosts.iter().filter_map(host).collect(),
    }
}

fn host(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.contains(['/', ':', ' ', '*']) {
        field.problem("write a host name alone, without scheme, port or path: gateway.example");
        return None;
    }
    Some(text.to_lowercase())
}

/// Keyless mode answers everyone who can connect, so it may only listen where nobody else can.
pub(super) fn loopback_without_keys(root: &Section<'_>, server: &Server) {
    if !server.listen.ip().is_loopback() {
        let message = "without `keys:` anyone could spend your money; add keys, or listen on 127.0.0.1";
        root.problem("server.listen", message);
    }
}

pub(super) fn store(root: &Section<'_>, around: &Surroundings<'_>) -> StoreAt {
    let sync = root
        .get("store_sync")
        .and_then(|field| field.one_of(&[("normal", SqliteSync::Normal), ("full", SqliteSync::Full)]))
        .unwrap_or(SqliteSync::Normal);
    let durability = root
        .get("store_durability")
        .and_then(|field| field.one_of(&[("strict", Durability::Strict), ("relaxed", Durability::Relaxed)]))
        .unwrap_or(Durability::Strict);
    let sqlite = |path| StoreAt::Sqlite { path, sync };
    let redis = |url| StoreAt::Redis { url, durability };
    let default = || sqlite(around.path("headgate.db"));
    let Some(field) = root.get("store") else { return default() };
    let Some(text) = field.text() else { return default() };
    if let Some(file) = text.strip_prefix("sqlite:") {
        return match sqlite_path(file, around) {
            Some(path) => sqlite(path),
            None => {
                field.problem("the store must survive a restart; name a file: sqlite:headgate.db");
                default()
            }
        };
    }
    if text.starts_with("${") || text.starts_with("file:") {
        let Some(url) = around.secret(&field) else {
            field.problem("the store's address is not known; set the variable, or write sqlite:headgate.db");
            return default();
        };
        return match redis_url(url.expose()) {
            Ok(()) => redis(url),
            Err(why) => {
                field.problem(why);
                default()
            }
        };
    }
    match redis_url(text) {
        Ok(()) if has_password(text) && !field.set_by_env() => {
            field.problem("holds a password; put the whole URL into a variable and write \"${REDIS_URL}\"");
            default()
        }
        Ok(()) => redis(Secret::new(text)),
        Err(why) => {
            field.problem(why);
            default()
        }
    }
}

fn sqlite_path(file: &str, around: &Surroundings<'_>) -> Option<PathBuf> {
    let file = file.trim().trim_start_matches("//");
    (!file.is_empty() && !file.contains(":memory:")).then(|| around.path(file))
}

fn redis_url(text: &str) -> Result<(), &'static str> {
    if text.starts_with("redis+sentinel:") {
        return Err("redis+sentinel:// is not supported yet by this version; write redis:// or rediss://");
    }
    let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
    let host = rest.map(|rest| rest.rsplit_once('@').map_or(rest, |(_, host)| host));
    match host {
        Some(host) if !host.is_empty() && !host.starts_with(['/', ':']) => Ok(()),
        _ => Err("is no store; write sqlite:FILE, redis://HOST:PORT or rediss://HOST:PORT"),
    }
}

fn has_password(url: &str) -> bool {
    url.contains('@')
}

pub(super) fn policies(root: &Section<'_>, around: &Surroundings<'_>) -> PolicyPaths {
    let section = root.section("policies", &["admission", "errors", "tiers"]);
    let file = |key| section.get(key).and_then(|field| around.existing_file(&field));
    PolicyPaths { admission: file("admission"), errors: file("errors"), tiers: file("tiers") }
}
