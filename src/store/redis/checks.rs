//! What a Redis must be before money is entrusted to it.

use std::time::Duration;

use redis::{Client, ConnectionInfo, IntoConnectionInfo, RedisError};
use uuid::Uuid;

use super::super::StoreError;
use super::trust::{ACCEPTED_KEY, EPOCH_KEY, LOST_KEY, REMEDY};

/// For the checks at start; they run on a connection of their own, before any runtime.
const START_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn connection_info(url: &str) -> Result<ConnectionInfo, StoreError> {
    let info = url.into_connection_info().map_err(|error| {
        StoreError::Refused(format!("the Redis URL in `store:` can't be read: {error}; write redis://host:6379"))
    })?;
    // Nagle's algorithm would let a small script wait for the acknowledgement of the one before it.
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    Ok(info.set_tcp_settings(tcp))
}

/// Returns the epoch of this Redis.
pub(super) fn at_start(info: &ConnectionInfo, relaxed: bool) -> Result<String, StoreError> {
    let mut server = connect(info).map_err(|error| {
        StoreError::Unavailable(format!("Redis at {}: {error}; is it running and is `store:` right?", info.addr()))
    })?;
    let said = |error: RedisError| StoreError::Unavailable(format!("Redis at {}: {error}", info.addr()));
    if relaxed {
        tracing::warn!("`store_durability: relaxed`: a Redis that evicts or restarts may forget what was spent");
    } else {
        // INFO and not CONFIG GET: managed servers forbid CONFIG, and INFO says the same.
        check_durability(&redis::cmd("INFO").query::<String>(&mut server).map_err(said)?)?;
        if redis::cmd("EXISTS").arg(LOST_KEY).query(&mut server).map_err(said)? {
            return Err(StoreError::Corrupt(format!(
                "running gateways have found that this Redis has forgotten what was spent; {REMEDY}"
            )));
        }
    }
    let new = Uuid::now_v7().to_string();
    redis::cmd("SET").arg(EPOCH_KEY).arg(new).arg("NX").query::<redis::Value>(&mut server).map_err(said)?;
    redis::cmd("GET").arg(EPOCH_KEY).query(&mut server).map_err(said)
}

/// See [`super::super::Store::accept_loss`].
pub(in super::super) fn accept_loss(url: &str) -> Result<bool, StoreError> {
    let info = connection_info(url)?;
    let said = |error: RedisError| StoreError::Unavailable(format!("Redis at {}: {error}", info.addr()));
    let mut server = connect(&info).map_err(said)?;
    if !redis::cmd("EXISTS").arg(LOST_KEY).query::<bool>(&mut server).map_err(said)? {
        return Ok(false);
    }
    let epoch = Uuid::now_v7().to_string();
    let mut change = redis::pipe();
    change.atomic().set(EPOCH_KEY, &epoch).set(ACCEPTED_KEY, &epoch).del(LOST_KEY);
    change.query::<redis::Value>(&mut server).map_err(said)?;
    Ok(true)
}

fn connect(info: &ConnectionInfo) -> Result<redis::Connection, RedisError> {
    let server = Client::open(info.clone())?.get_connection_with_timeout(START_TIMEOUT)?;
    server.set_read_timeout(Some(START_TIMEOUT))?;
    server.set_write_timeout(Some(START_TIMEOUT))?;
    Ok(server)
}

pub(super) fn check_durability(info: &str) -> Result<(), StoreError> {
    let fact = |name| fact(info, name);
    let unless = "or say `store_durability: relaxed` to accept that budgets may be forgotten";
    match fact("maxmemory_policy") {
        Some("noeviction") => {}
        Some(policy) => {
            return Err(StoreError::Refused(format!(
                "this Redis evicts keys (maxmemory-policy {policy}), and an evicted budget is a fresh budget; set it \
                 to noeviction, {unless}"
            )));
        }
        None => return Err(StoreError::Refused(format!("this Redis does not say whether it evicts keys; {unless}"))),
    }
    match fact("aof_enabled") {
        Some("1") => Ok(()),
        Some(_) => Err(StoreError::Refused(format!(
            "this Redis keeps no append-only file, so a restart would forget what was spent; set appendonly yes, \
             {unless}"
        ))),
        None => Err(StoreError::Refused(format!("this Redis does not say whether it keeps an AOF; {unless}"))),
    }
}

/// Keys that the server has removed for want of memory since it was started.
pub(super) fn evicted_keys(info: &str) -> u64 {
    fact(info, "evicted_keys").and_then(|count| count.parse().ok()).unwrap_or_default()
}

/// What INFO says of `name`.
fn fact<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evicting_redis_and_one_without_aof_are_refused_with_the_remedy() {
        let good = "maxmemory_policy:noeviction\r\naof_enabled:1\r\n";
        assert_eq!(check_durability(good), Ok(()));
        for (bad, remedy) in [
            ("maxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n", "noeviction"),
            ("maxmemory_policy:noeviction\r\naof_enabled:0\r\n", "appendonly yes"),
            ("aof_enabled:1\r\n", "relaxed"),
        ] {
            let Err(StoreError::Refused(why)) = check_durability(bad) else { panic!("{bad} was accepted") };
            assert!(why.contains(remedy), "{why}");
        }
    }

    #[test]
    fn a_url_with_a_password_is_not_echoed_when_it_can_t_be_read() {
        let Err(error) = connection_info("redis//:s3cret@host") else { panic!("it was accepted") };
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
