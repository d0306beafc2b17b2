//! What holds for every body and every stream, not only for the cases.

use bytes::Bytes;
use headgate::dialects::OPENAI_CHAT;
use headgate::providers::Passed;
use proptest::prelude::*;
use serde_json::Value;

use super::{cases, decode, provider};

/// Fields of a call in the spellings clients use; the gateway owns the first five.
const FIELDS: &[&str] = &[
    r#""model" : "standard""#,
    r#""max_tokens":4096"#,
    r#""max_completion_tokens": 4095"#,
    r#""stream":false"#,
    r#""stream_options":{"x":1}"#,
    r#""messages":[{"role":"user","content":"\u00e9 \"} 😀"}]"#,
    r#""temperature":1.50"#,
    r#""seed":12345678901234567890"#,
    r#""x_unknown":{"model":"inner","n":[1e2]}"#,
];

const OWNED: &[&str] = &["model", "max_tokens", "max_completion_tokens", "stream", "stream_options"];

proptest! {
    #[test]
    fn passing_a_call_on_changes_the_owned_fields_and_no_other_byte(
        order in Just((0..FIELDS.len()).collect::<Vec<_>>()).prop_shuffle(),
        gap in "[ \n\t]{0,3}",
        stream in any::<bool>(),
        cap in proptest::option::of(1u64..5_000),
        left_out in proptest::option::of(1usize..5),
    ) {
        let members: Vec<&str> =
            order.iter().filter(|at| Some(**at) != left_out).map(|at| FIELDS[*at]).collect();
        let body = Bytes::from(format!("{{{gap}{}{gap}}}", members.join(&format!("{gap},{gap}"))));
        let call = OPENAI_CHAT.decode(body).expect("a valid call");
        let passed = Passed {
            body: &call.body, owned: &call.owned, model: "gpt", stream, max_tokens: cap, cap_field: "max_tokens",
        };

        let sent = provider("openai").pass(&passed).expect("passes");

        let sent_text = std::str::from_utf8(&sent).expect("UTF-8");
        for member in members.iter().filter(|m| !OWNED.iter().any(|name| m.starts_with(&format!("\"{name}\"")))) {
            prop_assert!(sent_text.contains(*member), "{} lost {}", sent_text, member);
        }
        let sent: Value = serde_json::from_slice(&sent).expect("JSON");
        prop_assert_eq!(&sent["model"], "gpt");
        prop_assert_eq!(sent["stream"].as_bool().unwrap_or(false), stream);
        prop_assert_eq!(sent["stream_options"]["include_usage"] == true, stream);
        let (old, new) = (&sent["max_tokens"], &sent["max_completion_tokens"]);
        if let Some(cap) = cap {
            prop_assert!([old, new].into_iter().all(|sent| sent.is_null() || *sent == cap));
        }
        prop_assert!(old.is_null() || new.is_null() || old == new);
    }
}

#[test]
fn a_damaged_stream_is_an_error_or_other_events_but_never_a_panic() {
    cases::each_stream("streams", "out", |kind, bytes| {
        let mut damaged = bytes.to_vec();
        for at in 0..bytes.len() {
            for byte in [b'"', b'{', b'0', 0xFF] {
                damaged[at] = byte;
                let _ = decode(kind, &[&damaged]);
            }
            damaged[at] = bytes[at];
        }
        cases::UNCHECKED.to_owned()
    });
}
