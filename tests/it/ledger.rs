//! The ledger's rules on both stores, through its public face.

mod admission;
mod away;
mod driver;
mod durability;
mod expiry;
mod guards;
mod lost_tail;
mod money;
mod outage;
mod property;
mod records;
pub mod rig;
mod round_trips;
mod scopes;
mod windows;
