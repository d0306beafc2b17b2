//! Signed reasoning as encrypted content. What an OpenAI model encrypted is carried bare, as its own clients know it;
//! signatures of all other providers are marked, so that none of them goes to the wrong one.

use crate::domain::signatures::{OPENAI_RESPONSES, is_marked, mark, unmark};

/// Stands in front of the signatures that their own codec leaves bare.
const BARE: &str = "signed";

pub(super) fn encrypted(signature: &str) -> String {
    match unmark(OPENAI_RESPONSES, signature) {
        Some((_, encrypted)) => encrypted.to_owned(),
        None if is_marked(signature) => signature.to_owned(),
        None => mark(BARE, "", signature),
    }
}

/// The signature that `content` of the item with this id was made from.
pub(super) fn signature(item_id: &str, content: &str) -> String {
    match unmark(BARE, content) {
        Some((_, bare)) => bare.to_owned(),
        None if is_marked(content) => content.to_owned(),
        None => mark(OPENAI_RESPONSES, item_id, content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_comes_back_as_it_was_given_whoever_gave_it() {
        for given in ["EqoBbase64==", "gemini:text:abc", "openai-responses:rs_1:gAAA"] {
            assert_eq!(signature("rs_1", &encrypted(given)), given);
        }
        assert_eq!(encrypted("openai-responses:rs_1:gAAA"), "gAAA");
    }
}
