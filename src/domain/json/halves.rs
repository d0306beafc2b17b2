//! Halves of characters: servers cut texts at any UTF-16 unit, and a surrogate that lost its other half is no text.

use std::borrow::Cow;

const REPLACEMENT: &[u8] = b"\\ufffd";

/// `json` with the replacement character for every escaped surrogate without its other half. A reader of strings refuses
/// the whole text for one of them; what passes through as bytes needs none of this.
pub fn mended(json: &[u8]) -> Cow<'_, [u8]> {
    // Almost always there is none: `\ud8` to `\udf` are surrogates.
    if !json.windows(3).any(|three| matches!(three, [b'\\', b'u', b'd' | b'D'])) {
        return Cow::Borrowed(json);
    }
    let (mut out, mut rest) = (Vec::with_capacity(json.len()), json);
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let (before, escape) = rest.split_at(at);
        out.extend_from_slice(before);
        let (kept, length) = match unit(escape) {
            Some(0xD800..=0xDBFF) => match escape.get(6..).and_then(unit) {
                Some(0xDC00..=0xDFFF) => (escape.get(..12), 12),
                _ => (None, 6),
            },
            Some(0xDC00..=0xDFFF) => (None, 6),
            Some(_) => (escape.get(..6), 6),
            None => {
                let length = escape.len().min(2);
                (escape.get(..length), length)
            }
        };
        out.extend_from_slice(kept.unwrap_or(REPLACEMENT));
        rest = escape.get(length..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// The UTF-16 unit of an escape at the beginning of `text`.
fn unit(text: &[u8]) -> Option<u32> {
    let hex = text.strip_prefix(b"\\u")?.get(..4)?;
    u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        serde_json::from_slice(&mended(json.as_bytes())).expect("a text")
    }

    #[test]
    fn a_half_is_replaced_and_everything_around_it_stays() {
        assert_eq!(text(r#""a\ud83d b""#), "a\u{FFFD} b");
        assert_eq!(text(r#""\udE00\u00e9""#), "\u{FFFD}é");
        assert_eq!(text(r#""\ud83d\ud83d\ude00\ud83d""#), "\u{FFFD}😀\u{FFFD}");
        assert_eq!(text(r#""\ud83d\n\\ud83d""#), "\u{FFFD}\n\\ud83d");
    }

    #[test]
    fn whole_characters_and_what_is_no_json_keep_their_bytes() {
        for same in [r#""\ud83d\ude00 \u00e9""#, r#""\\ud83d""#, r#"{"a":"\ud8"#, r#"\ud83"#, "\\", ""] {
            assert_eq!(mended(same.as_bytes()), same.as_bytes(), "{same}");
        }
    }
}
