//! Whose consumption is counted together.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// `scope: user` gives *each* user the limit, `scope: model` each `provider/model`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Scope {
    User,
    Key,
    Team,
    Tier,
    /// One target: `provider/model`.
    Model,
    Provider,
    Global,
    /// Each value of this key of the request's metadata; a request without it is not bound.
    Metadata(Arc<str>),
}

/// In front of the key's name, in config and everywhere a scope is written.
const METADATA: &str = "metadata.";

/// Longest name of a metadata key.
const LONGEST_KEY: usize = 64;

impl Scope {
    const NAMED: [(&str, Scope); 7] = [
        ("user", Scope::User),
        ("key", Scope::Key),
        ("team", Scope::Team),
        ("tier", Scope::Tier),
        ("model", Scope::Model),
        ("provider", Scope::Provider),
        ("global", Scope::Global),
    ];

    /// True where the operator counts and not a caller: what a crashed run may have cost is charged here.
    pub fn is_operators(&self) -> bool {
        matches!(self, Scope::Global | Scope::Tier | Scope::Model | Scope::Provider)
    }

    /// True where a run counts only under the targets that it called.
    pub fn is_of_targets(&self) -> bool {
        matches!(self, Scope::Model | Scope::Provider)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Scope::Metadata(key) = self {
            return f.pad(&format!("{METADATA}{key}"));
        }
        f.pad(Scope::NAMED.iter().find(|(_, scope)| scope == self).map_or("", |(name, _)| name))
    }
}

/// The error says what to write.
impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, scope)) = Scope::NAMED.into_iter().find(|(name, _)| *name == text) {
            return Ok(scope);
        }
        let Some(key) = text.strip_prefix(METADATA) else {
            let names: Vec<&str> = Scope::NAMED.iter().map(|(name, _)| *name).collect();
            return Err(format!("write {}, or metadata.NAME", names.join(", ")));
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(plain) {
            return Err(format!(
                "behind metadata. stands a key of the request's metadata: letters, digits, _ and -, {LONGEST_KEY} at most"
            ));
        }
        Ok(Scope::Metadata(key.into()))
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_reads_as_it_is_written() {
        for text in ["user", "key", "team", "tier", "model", "provider", "global", "metadata.cost-centre_2"] {
            assert_eq!(text.parse::<Scope>().map(|scope| scope.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "User", "metadata", "metadata.", "metadata.a:b", "metadata.a.b"] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
