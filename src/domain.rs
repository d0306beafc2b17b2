//! Ground floor: values, errors and the chat language. No I/O, no clock, no configuration.
//!
//! Everything above may import this; this imports nothing of ours.

pub mod caller;
pub mod chat;
pub mod embeddings;
pub mod error;
pub mod facts;
pub mod failure;
pub mod ids;
pub mod json;
pub mod jwks;
pub mod kept;
pub mod limit;
pub mod money;
pub mod record;
pub mod signatures;
pub mod sse;
pub mod usage;
