//! `config.yaml`: read once, checked whole, swapped whole.
//!
//! ```text
//! text -> yaml (values and places) -> layers (file < environment) -> parse (sections) -> Config, or all problems
//! ```
//!
//! Sections are read by hand and not by derived structs: serde stops at the first error, and a person who edits wants
//! all of them, each with its line.

mod accounts;
mod clocks;
mod effective;
mod guards;
mod jwt;
mod keys;
mod layers;
mod limits;
mod parse;
mod parsed;
mod prices;
mod problem;
mod providers;
mod rates;
mod read;
mod report;
mod resolve;
mod secret;
mod server;
#[cfg(test)]
mod tests;
mod tiers;
mod units;
mod vendors;
mod watch;
mod yaml;

pub use accounts::ApiKey;
pub use parse::{load, parse};
pub use parsed::{
    Aim, Breaker, Config, Durability, Issuer, IssuerKeys, Key, Keys, KnownKind, Moderation, OnError, OverCap,
    PolicyPaths, Provider, RequestCaps, Retry, Server, SqliteSync, StoreAt, Target, Tier, TierId, Timeouts, UserFrom,
};
pub use problem::{Problem, Problems};
pub use secret::Secret;
pub use watch::{WatchError, Watcher, watch};
