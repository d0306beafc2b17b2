//! Which page wrote a body. Each version reads its own stream format only, and none says in a header which one it wants.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Whether version 4 of the SDK wrote it, or someone by hand in that version's form.
///
/// Since version 5 every request has a `trigger`, which none had before. An app that builds its body by itself may leave it
/// out: then the newest message decides, because older ones may come from a database. Messages of version 4 always have a
/// `content`, from 4.2 on with `parts` beside it; those of later versions have `parts` only. A body without any message is
/// taken for the older form, which is the shorter one to write by hand.
pub(super) fn is_older(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Form {
        trigger: Option<IgnoredAny>,
        #[serde(default)]
        messages: Vec<Newest>,
    }
    #[derive(Deserialize)]
    struct Newest {
        content: Option<IgnoredAny>,
    }
    let Ok(form) = serde_json::from_slice::<Form>(body) else { return false };
    form.trigger.is_none() && form.messages.last().is_none_or(|newest| newest.content.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_of_version_4_by_its_newest_message_unless_it_has_a_trigger() {
        for (older, body) in [
            (true, r#"{"messages":[{"role":"user","content":"hi"}]}"#),
            (true, r#"{"id":"c","messages":[{"role":"user","content":"hi","parts":[{"type":"text","text":"hi"}]}]}"#),
            (true, r#"{"id":"c","messages":[{"role":"user","content":""}]}"#),
            (true, r#"{"messages":[{"role":"tool","content":[{"type":"tool-result"}]}]}"#),
            (true, r#"{"messages":[]}"#),
            (true, "{}"),
            (false, r#"{"messages":[],"trigger":"submit-message"}"#),
            (false, r#"{"messages":[{"role":"user","content":"hi"}],"trigger":"regenerate-message"}"#),
            (false, r#"{"messages":[{"role":"user","parts":[{"type":"text","text":"hi"}]}]}"#),
            (false, r#"{"messages":[{"role":"user","content":"hi"},{"role":"user","parts":[]}]}"#),
            (false, r#"{"messages":["hi"]}"#),
            (false, "not JSON"),
        ] {
            assert_eq!(is_older(body.as_bytes()), older, "{body}");
        }
    }
}
