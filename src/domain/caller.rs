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
    /// The user has shown a signed token and no key. It may see what is its own, and nothing else of the key's.
    pub alone: bool,
}

impl Caller {
    /// Whether it may see what `key` made for `user`. A key's holder speaks for all users of the key.
    pub fn may_see(&self, key: &str, user: &str) -> bool {
        *self.key == *key && (!self.alone || *self.user == *user)
    }
}

#[cfg(test)]
mod tests {
    use super::Caller;

    #[test]
    fn a_user_who_has_no_key_sees_what_is_its_own() {
        let alice = |alone| Caller { key: "page".into(), team: "".into(), user: "alice".into(), alone };
        assert!(alice(true).may_see("page", "alice") && alice(false).may_see("page", "bob"));
        assert!(!alice(true).may_see("page", "bob"));
        assert!(!alice(true).may_see("web", "alice") && !alice(false).may_see("web", "alice"));
    }
}
