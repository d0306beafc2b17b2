//! One value per thread and generation.

use std::any::Any;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

thread_local! {
    static VALUES: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

struct Entry {
    owner: Weak<()>,
    value: Box<dyn Any>,
}

/// A handle that is shared by threads to a value that can't be: each thread builds its own on first use. When the handle is
/// dropped, a thread drops its value the next time it builds one for another handle.
pub struct PerThread<T> {
    id: Arc<()>,
    value: PhantomData<fn() -> T>,
}

/// Whether a value serves another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Keep,
    Rebuild,
}

impl<T: 'static> Default for PerThread<T> {
    fn default() -> Self {
        PerThread { id: Arc::new(()), value: PhantomData }
    }
}

impl<T: 'static> PerThread<T> {
    /// Runs `work` on this thread's value. The value is out of the cache meanwhile, so one that a panic left half-changed
    /// is never met again.
    pub fn with<R, E>(
        &self,
        build: impl FnOnce() -> Result<T, E>,
        work: impl FnOnce(&mut T) -> (R, After),
    ) -> Result<R, E> {
        let mut value = match self.take() {
            Some(value) => value,
            None => Box::new(build()?),
        };
        let (result, after) = work(&mut value);
        if after == After::Keep {
            VALUES.with_borrow_mut(|values| values.push(Entry { owner: Arc::downgrade(&self.id), value }));
        }
        Ok(result)
    }

    fn take(&self) -> Option<Box<T>> {
        let (found, dead) = VALUES.with_borrow_mut(|values| {
            let at = values.iter().position(|entry| entry.owner.as_ptr() == Arc::as_ptr(&self.id));
            match at {
                Some(at) => (Some(values.swap_remove(at)), Vec::new()),
                None => (None, values.extract_if(.., |entry| entry.owner.strong_count() == 0).collect()),
            }
        });
        // Dropping a VM runs destructors; they must not find the cache borrowed.
        drop(dead);
        found.and_then(|entry| entry.value.downcast().ok())
    }
}
