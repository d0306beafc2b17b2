//! Whose signature it is. Signed reasoning travels through the client and comes back with the dialogue, maybe to
//! another provider than the one that signed it, which refuses the whole call for it.
//!
//! A codec whose signatures belong to a place in the answer writes both in front of them; Anthropic's stay bare, because
//! they reach its own clients untouched. Signatures are base64 and hold no colon.

/// Kind of the providers whose own clients carry their signatures bare, as encrypted reasoning.
pub const OPENAI_RESPONSES: &str = "openai-responses";

/// `signature` as it goes to the client.
pub fn mark(kind: &str, place: &str, signature: &str) -> String {
    format!("{kind}:{place}:{signature}")
}

pub fn is_marked(signature: &str) -> bool {
    signature.contains(':')
}

/// Place and signature, where `kind` gave it.
pub fn unmark<'a>(kind: &str, marked: &'a str) -> Option<(&'a str, &'a str)> {
    marked.strip_prefix(kind)?.strip_prefix(':')?.split_once(':')
}
