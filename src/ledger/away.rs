//! What goes on while the store is away: runs whose limits allow it are booked here by the same rules, and told to the store
//! when it is back.
//!
//! Every limit says for itself what becomes of its calls, and one that denies is enough. `allow` counts in this process,
//! from nothing: each process admits at most the limit once more. `local_share` counts in the share of the limit that
//! this process holds in the store ([`Shares`]), so that nothing goes beyond the limit. Guards count here from nothing:
//! they are no budgets, and a loop is looked for wherever it is.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::ids::RunId;
use crate::domain::limit::{Limit, OnStoreError};
use crate::store::{Now, StoreError};

use super::binding::bind;
use super::book::Book;
use super::counter::Bind;
use super::shares::Shares;
use super::{Amount, Bill, Reserve, Reserved};

#[derive(Default)]
pub(super) struct Away {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    book: Book,
    /// By id, and so in the order of their admission.
    stays: BTreeMap<RunId, Stay>,
}

/// A run that the store does not know.
struct Stay {
    /// Under the limits as they are, not as they are bounded here.
    binds: Vec<Bind>,
    amount: Amount,
    end: Option<End>,
    /// It is being told to the store.
    is_moving: bool,
}

#[derive(Clone, Debug)]
pub(super) enum End {
    Settle(Bill),
    Void,
}

impl Away {
    /// Takes a hold here, where every limit that binds the run allows that and has room. None: it must be refused.
    pub fn reserve(&self, ask: &Reserve, shares: &Shares, now: Now) -> Option<Reserved> {
        let binds = bind(&ask.subjects, &ask.limits, now.unix_ms);
        let mut allowed = false;
        let mut bounded = Vec::with_capacity(binds.len());
        for bind in &binds {
            let max = match rule(bind, &ask.limits) {
                Some(OnStoreError::Deny) => return None,
                Some(OnStoreError::Allow) => bind.max,
                Some(OnStoreError::LocalShare) => shares.held(bind),
                None => {
                    bounded.push(bind.clone());
                    continue;
                }
            };
            allowed = true;
            bounded.push(Bind { max, ..bind.clone() });
        }
        let mut state = locked(&self.state);
        match state.book.reserve_under(ask.run, ask.amount, bounded, now) {
            Ok(Reserved::Held { limits }) if allowed => {
                let stay = Stay { binds, amount: ask.amount, end: None, is_moving: false };
                state.stays.insert(ask.run, stay);
                Some(Reserved::Away { limits })
            }
            Ok(Reserved::Held { .. }) => {
                // Nothing but guards binds it.
                state.book.void(ask.run, now);
                None
            }
            _ => None,
        }
    }

    /// Enlarges the hold of a run that is here; none where it is not.
    pub fn extend(&self, run: RunId, more: Amount, now: Now) -> Option<Result<Reserved, StoreError>> {
        let mut state = locked(&self.state);
        let State { book, stays } = &mut *state;
        let stay = stays.get_mut(&run)?;
        let no_room = || StoreError::Unavailable("what may be spent without the store is used up".to_owned());
        if stay.is_moving {
            return Some(Err(no_room()));
        }
        Some(match book.extend(run, more, now) {
            Ok(Reserved::Held { limits }) => {
                stay.amount = stay.amount.plus(more);
                Ok(Reserved::Away { limits })
            }
            _ => Err(no_room()),
        })
    }

    /// Books the bill of a run that is here; false where it is not.
    pub fn settle(&self, run: RunId, bill: &Bill, now: Now) -> bool {
        let mut state = locked(&self.state);
        let State { book, stays } = &mut *state;
        let Some(stay) = stays.get_mut(&run) else { return false };
        book.settle(run, bill, now);
        stay.end = Some(End::Settle(bill.clone()));
        true
    }

    /// Gives the hold of a run back that is here; false where it is not.
    pub fn void(&self, run: RunId, now: Now) -> bool {
        let mut state = locked(&self.state);
        let State { book, stays } = &mut *state;
        let Some(stay) = stays.get_mut(&run) else { return false };
        book.void(run, now);
        stay.end = Some(End::Void);
        true
    }

    /// The next run that the store has to be told of. It stays here until [`Away::told`] or [`Away::gone`].
    pub fn next(&self) -> Option<(RunId, Amount, Vec<Bind>)> {
        let mut state = locked(&self.state);
        let (run, stay) = state.stays.iter_mut().next()?;
        stay.is_moving = true;
        Some((*run, stay.amount, stay.binds.clone()))
    }

    /// The store has the hold. Its end, if it has ended; else the run is the store's from now on.
    pub fn told(&self, run: RunId) -> Option<End> {
        let mut state = locked(&self.state);
        let end = state.stays.get(&run)?.end.clone();
        if end.is_none() {
            state.gone(run);
        }
        end
    }

    /// The store has the end, too.
    pub fn gone(&self, run: RunId) {
        locked(&self.state).gone(run);
    }
}

impl State {
    fn gone(&mut self, run: RunId) {
        self.stays.remove(&run);
        if self.stays.is_empty() {
            // The next time counts from nothing again.
            self.book = Book::default();
        }
    }
}

/// What the limits say of this counter, the strictest of them; none where it is only tracked.
fn rule(bind: &Bind, limits: &[Limit]) -> Option<OnStoreError> {
    let counter = &bind.counter;
    let those = limits.iter().filter(|limit| {
        limit.scope == counter.scope && limit.quota.unit == counter.unit && limit.quota.window == counter.window
    });
    those.filter(|limit| limit.quota.unit.guard().is_none()).map(|limit| limit.on_store_error).max()
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // The book's steps are all or nothing as long as nothing in them panics, and nothing can.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
