//! Headgate: a config-driven gateway for language models.
//!
//! Rooms by floor; imports point down only (`tests/it/floors.rs` checks every path):
//!
//! ```text
//! roof    main, cli, app                        arguments; the composition root
//! doors   server, admin, workers, simulator     bytes in, bytes out
//! hall    pipeline                              admit -> route -> reserve -> attempt -> settle
//! shops   dialects, providers, policy, ledger, targets, runs, journal, jwt    strangers to one another
//! pipes   config, store, egress, luau, pricing
//! ground  domain, telemetry, sync               values, errors, metric names, locks; no I/O
//! ```

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod dialects;
pub mod domain;
pub mod egress;
pub mod journal;
pub mod jwt;
pub mod ledger;
pub mod luau;
pub mod pipeline;
pub mod policy;
pub mod pricing;
pub mod providers;
pub mod queue;
pub mod runs;
pub mod server;
pub mod simulator;
pub mod store;
mod sync;
pub mod targets;
pub mod telemetry;
#[path = "../workers/workers.rs"]
pub mod workers;
