//! The specification: one test binary, through the real HTTP door, against real SQLite and real Redis.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::large_futures,
    reason = "tests fail by panicking, and few run at once"
)]

mod accounts;
mod admin;
mod bad_input;
mod billing;
mod breakers;
mod budgets;
mod callers;
mod chat;
mod cli;
mod config_errors;
mod crash;
mod decode;
mod embeddings;
mod explain;
mod failures;
mod fallback;
mod faults;
mod fidelity;
mod floors;
mod hangup;
mod idempotency;
mod jobs;
mod jwt;
mod ledger;
mod messages;
mod moderation;
mod policies;
mod prices;
mod process;
mod providers;
mod receipts;
mod reload;
mod responses;
mod resting;
mod retry_budget;
mod routes;
mod safety;
mod store_trouble;
mod streaming;
mod support;
mod ui_chat;
