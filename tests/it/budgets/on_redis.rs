//! The same budget where the store is Redis, for one gateway and for two that share it.

use tempfile::TempDir;

use super::parallel::{CALLS, exactly_99_of_200_fit};
use crate::support::redis::RedisServer;

/// All at once in a release build. An unoptimized one takes so long from one call to the next that a hundred on a
/// thread pass the store's time limit of 200 ms, and the test would measure the compiler instead of the ledger.
const IN_FLIGHT: usize = if cfg!(debug_assertions) { 32 } else { CALLS };

#[tokio::test]
async fn of_200_parallel_calls_exactly_99_fit_on_redis() {
    let folder = TempDir::new().expect("a temporary folder");
    let redis = RedisServer::start(folder.path());
    exactly_99_of_200_fit(&redis.url(), 1, IN_FLIGHT).await;
}

#[tokio::test]
async fn of_200_parallel_calls_exactly_99_fit_for_two_gateways_on_one_redis() {
    let folder = TempDir::new().expect("a temporary folder");
    let redis = RedisServer::start(folder.path());
    exactly_99_of_200_fit(&redis.url(), 2, IN_FLIGHT).await;
}
