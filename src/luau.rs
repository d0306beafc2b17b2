//! Luau under limits: a script may be wrong, slow or hostile and costs its caller one [`CallFailed`].
//!
//! Scripts see an allow-list of the standard library ([`globals`]), frozen, and an environment of their own that is emptied
//! after every call. A call has a memory cap and a wall-clock limit ([`Limits`]) that no `pcall`, coroutine or string
//! pattern gets round ([`watch`]). What a script may do with all this is the business of the rooms above.

mod globals;
mod per_thread;
mod script;
mod vm;
mod watch;

#[cfg(test)]
mod tests;

pub use per_thread::{After, PerThread};
pub use script::{Script, ScriptError};
pub use vm::{CallFailed, HostClock, Limits, Vm};
