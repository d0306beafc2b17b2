//! The hooks a script can fill.

/// A new hook is a variant here, a runner in `prelude.luau` and a method of `Room`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// `auto` -> tier.
    Tiers,
    /// Who may do what, and how.
    Admission,
    /// What a failure of a provider means.
    Errors,
}

impl Hook {
    pub(super) const COUNT: usize = 3;
    pub const ALL: [Hook; Hook::COUNT] = [Hook::Tiers, Hook::Admission, Hook::Errors];

    pub fn as_str(self) -> &'static str {
        match self {
            Hook::Tiers => "tiers",
            Hook::Admission => "admission",
            Hook::Errors => "errors",
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}
