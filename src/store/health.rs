//! Whether the store works, and how much new work it may be given.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::StoreError;

/// What one store's operations have taught. Shared by all of its handles.
pub(super) struct Health {
    up: AtomicBool,
    /// Set by the first failure since [`Health::take_trouble`] was last asked.
    trouble: Mutex<Option<String>>,
    /// Why it went down.
    reason: Mutex<Option<String>>,
    new_work: AtomicUsize,
    /// New work that may be under way at the same time while the store is up.
    most: usize,
}

impl Health {
    pub(super) fn new(most: usize) -> Self {
        Health {
            up: AtomicBool::new(true),
            trouble: Mutex::default(),
            reason: Mutex::default(),
            new_work: AtomicUsize::new(0),
            most,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// A place for one more piece of new work, free again when it is dropped. While the store is down there is one
    /// place in all: a single call tries, and the others are refused at once instead of waiting out its time limit.
    pub(super) fn place(&self) -> Result<Place<'_>, StoreError> {
        let (up, taken) = (self.is_up(), self.new_work.fetch_add(1, Ordering::Relaxed));
        let place = Place { health: self };
        if taken < if up { self.most } else { 1 } {
            return Ok(place);
        }
        drop(place);
        Err(StoreError::NotAsked(match locked(&self.reason).clone() {
            Some(reason) if !up => reason,
            _ => format!("{taken} calls of this process are under way"),
        }))
    }

    pub(super) fn works(&self) {
        self.up.store(true, Ordering::Relaxed);
    }

    pub(super) fn fails(&self, error: &StoreError) {
        if self.up.swap(false, Ordering::Relaxed) {
            *locked(&self.reason) = Some(error.to_string());
            *locked(&self.trouble) = Some(error.to_string());
        }
    }

    /// Why the store failed for the first time since this was asked; none where it did not.
    pub(super) fn take_trouble(&self) -> Option<String> {
        locked(&self.trouble).take()
    }
}

/// See [`Health::place`].
pub struct Place<'a> {
    health: &'a Health,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.health.new_work.fetch_sub(1, Ordering::Relaxed);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A text is whole whatever panicked while it was locked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_works_takes_so_much_new_work_and_one_that_does_not_a_single_call() {
        let health = Health::new(2);
        let places = [health.place(), health.place()];
        assert!(places.iter().all(Result::is_ok));
        assert!(matches!(health.place(), Err(StoreError::NotAsked(why)) if why.contains('2')));
        drop(places);

        health.fails(&StoreError::Unavailable("first".to_owned()));
        health.fails(&StoreError::Unavailable("second".to_owned()));
        let trial = health.place();
        assert!(trial.is_ok());
        assert!(matches!(health.place(), Err(StoreError::NotAsked(why)) if why.contains("first")));
        drop(trial);
        assert!(health.place().is_ok());
    }

    #[test]
    fn trouble_is_told_once_however_often_it_comes_and_however_soon_it_goes() {
        let health = Health::new(1);
        assert_eq!(health.take_trouble(), None);
        health.fails(&StoreError::Unavailable("gone".to_owned()));
        health.fails(&StoreError::Unavailable("still gone".to_owned()));
        health.works();
        assert!(health.take_trouble().is_some_and(|why| why.contains("gone")));
        assert_eq!(health.take_trouble(), None);
        assert!(health.is_up());
    }
}
