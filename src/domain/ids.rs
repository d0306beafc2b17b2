//! Identifiers that we mint.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// One key of ours at a provider, as far as it may be remembered: not its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    /// Half of a hash tells keys apart as well as the whole.
    pub fn from_sha256(hash: [u8; 32]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        KeyId(id)
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Option<Self> {
        let id = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
        Some(KeyId(id.to_be_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// One accepted request, from admission to its terminal event. The same id names the hold, the receipt and, for
/// background work, the job. Time-ordered, with 74 random bits, so that it can't be guessed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(Uuid);

impl RunId {
    pub fn mint() -> Self {
        RunId(Uuid::now_v7())
    }

    /// Reads the `run_…` form; anything else is not one of our ids.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("run_")?;
        if hex.len() != 32 {
            return None;
        }
        Uuid::try_parse(hex).ok().map(RunId)
    }

    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        RunId(Uuid::from_bytes(bytes))
    }

    /// The id of the `n`th attempt at this run, from the second on: as hard to guess as the run's own, and of its time.
    pub fn again(&self, n: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.as_bytes());
        hash.update(n.to_be_bytes());
        let mut id = *self.as_bytes();
        id[7..].copy_from_slice(&hash.finalize()[7..16]);
        RunId::from_bytes(id)
    }

    /// The smallest id that can be minted at `unix_ms`: ids start with their time.
    pub fn first_at(unix_ms: u64) -> Self {
        let mut id = [0; 16];
        let [_, _, time @ ..] = unix_ms.to_be_bytes();
        id[..6].copy_from_slice(&time);
        RunId::from_bytes(id)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run_{}", self.0.simple())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for RunId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        RunId::parse(&text).ok_or("not a run id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_at_a_run_has_an_id_of_its_own_and_keeps_the_time() {
        let id = RunId::mint();
        assert_eq!(id.again(2), id.again(2));
        assert_ne!(id.again(2), id.again(3));
        assert_eq!(id.again(2).as_bytes()[..6], id.as_bytes()[..6]);
    }

    #[test]
    fn an_id_survives_its_text_form_and_nothing_else_parses() {
        let id = RunId::mint();
        assert_eq!(RunId::parse(&id.to_string()), Some(id));
        for wrong in ["", "run_", "run_xyz", "0190c0de-0000-7000-8000-000000000000"] {
            assert_eq!(RunId::parse(wrong), None);
        }
    }
}
