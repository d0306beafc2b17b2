//! Locks of what threads share. `tests/interleavings.rs` compiles the files that use them with locks that it schedules
//! itself, so those files name these and not those of `std`.

pub(crate) use std::sync::{Mutex, MutexGuard};

/// Locks what is valid after every statement, so that a panic elsewhere is no reason to give up.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
