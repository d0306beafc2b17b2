//! Who a call belongs to.

use std::sync::Arc;

/// The owner of a run: the key that was shown, its team, and the end user it acts for (the key's own name where no
/// user is known). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Name of the key in `keys:`; `local` in keyless mode.
    pub key: Arc<str>,
    /// Team of the key; empty when the key names none.
    pub team: Arc<str>,
    pub user: Arc<str>,
}
