//! Token counts where no provider has counted yet, or none will.

use serde::Deserialize;
use serde_json::value::RawValue;

/// What the chat format adds around the messages of one call.
const FRAME_TOKENS: u64 = 16;

/// The most tokens that one inline image is counted as. Current models bill 10,000 at their highest detail, most far
/// fewer. Known exception: `gpt-4o-mini` bills up to 48,000 for a large picture; such a call is settled at its real
/// price, which may pass the hold.
pub const IMAGE_TOKENS: u64 = 10_000;

/// An upper bound of the input tokens of a call. `fields` are the raw JSON texts of the fields that reach the model:
/// messages, system, tools, schema.
///
/// Tokenizers work on bytes, so text has at most one token per byte; inline images count as [`IMAGE_TOKENS`] each or
/// their bytes, whichever is less. Never more than one token per byte plus 16. Not covered: images that the provider
/// fetches from a URL, and the few hundred tokens that some providers add for tools.
pub fn input_upper_bound(fields: &[&str]) -> u64 {
    let bytes: u64 = fields.iter().map(|field| count(field.len())).sum();
    let saved: u64 = fields.iter().map(|field| image_savings(field)).sum();
    bytes.saturating_sub(saved).saturating_add(FRAME_TOKENS)
}

/// Tokens that one image is guessed at where its caller asks before sending: what Claude makes of a picture of a
/// megapixel.
const TYPICAL_IMAGE_TOKENS: u64 = 1_600;

/// An estimate of the input tokens of a call, rather too high than too low: three bytes of the fields' JSON a token
/// (English prose has about four, code and other scripts fewer, names and brackets of the JSON count in) and
/// [`TYPICAL_IMAGE_TOKENS`] per image. Not for holds: a text of rare signs can have more.
pub fn input_estimate(fields: &[&str]) -> u64 {
    let mut text: u64 = fields.iter().map(|field| count(field.len())).sum();
    let images: Vec<u64> = fields.iter().flat_map(|field| images(field)).collect();
    text = text.saturating_sub(images.iter().sum());
    text.div_ceil(3).saturating_add(count(images.len()) * TYPICAL_IMAGE_TOKENS)
}

/// Our own count of `bytes` of delivered text, where the provider reported none: four bytes a token, which is what
/// common tokenizers make of prose, and at least one for any text.
pub fn output_count(bytes: usize) -> u64 {
    count(bytes).div_ceil(4)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// By how much the bytes of inline images in `field` exceed what they are counted as. Zero in doubt.
fn image_savings(field: &str) -> u64 {
    if count(field.len()) <= IMAGE_TOKENS {
        return 0;
    }
    images(field).iter().map(|bytes| bytes.saturating_sub(IMAGE_TOKENS)).sum()
}

/// The images in `field`: bytes of their data, 0 for one by URL. None in doubt.
///
/// Only a part that the protocols define as an image counts, never a text that looks like one: a model reads
/// such a text letter by letter.
fn images(field: &str) -> Vec<u64> {
    if !field.contains("image") {
        return Vec::new();
    }
    let messages: Vec<Message<'_>> = serde_json::from_str(field).unwrap_or_default();
    messages.iter().filter_map(|message| message.content).flat_map(images_in).collect()
}

fn images_in(content: &RawValue) -> Vec<u64> {
    let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
    parts.iter().flat_map(images_of).collect()
}

fn images_of(part: &Part<'_>) -> Vec<u64> {
    let data = match part.kind {
        "image_url" | "input_image" => part.image_url.map(RawValue::get).filter(|raw| raw.contains("data:image/")),
        "image" => part.source.as_ref().and_then(|source| source.data).map(RawValue::get),
        "tool_result" => return part.content.map_or_else(Vec::new, images_in),
        _ => return Vec::new(),
    };
    vec![data.map_or(0, |data| count(data.len()))]
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

/// A part of a message's content in any of the chat formats.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<Source<'a>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picture() -> String {
        "A".repeat(100_000)
    }

    #[test]
    fn text_counts_one_token_per_byte_and_the_frame() {
        let (messages, tools) = (r#"[{"role":"user","content":"é"}]"#, "[]");
        assert_eq!(input_upper_bound(&[messages, tools]), 33 + 2 + 16 - 1);
        assert_eq!(input_upper_bound(&[]), 16);
    }

    #[test]
    fn an_inline_image_counts_as_a_fixed_number_of_tokens_in_every_dialect() {
        let data = picture();
        for part in [
            format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#),
            format!(r#"{{"type":"input_image","image_url":"data:image/png;base64,{data}"}}"#),
            format!(r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}"#),
            format!(r#"{{"type":"tool_result","content":[{{"type":"image","source":{{"data":"{data}"}}}}]}}"#),
        ] {
            let messages = format!(r#"[{{"role":"user","content":[{{"type":"text","text":"hi"}},{part}]}}]"#);
            let bound = input_upper_bound(&[&messages]);
            assert!((IMAGE_TOKENS..IMAGE_TOKENS + 300).contains(&bound), "{bound} for {}", &part[..40]);
        }
    }

    #[test]
    fn a_text_that_looks_like_an_image_counts_in_full() {
        let data = picture();
        for content in [
            format!(r#""data:image/png;base64,{data}""#),
            format!(r#"[{{"type":"text","text":"data:image/png;base64,{data}"}}]"#),
            format!(r#"[{{"type":"text","text":"{data}","image_url":{{"url":"data:image/png"}}}}]"#),
            format!(r#"[{{"type":"tool_use","input":{{"image_url":{{"url":"data:image/png;base64,{data}"}}}}}}]"#),
        ] {
            let messages = format!(r#"[{{"role":"user","content":{content}}}]"#);
            assert_eq!(input_upper_bound(&[&messages]), count(messages.len()) + FRAME_TOKENS);
        }
    }

    #[test]
    fn an_estimate_has_a_third_of_the_bytes_and_a_usual_number_for_each_image() {
        assert_eq!(input_estimate(&[r#"[{"role":"user","content":"hello"}]"#]), 12);
        let by_url = r#"[{"content":[{"type":"image","source":{"type":"url","url":"https://a/b"}}]}]"#;
        let inline = format!(r#"[{{"content":[{{"type":"image","source":{{"data":"{}"}}}}]}}]"#, picture());
        for field in [by_url, &inline] {
            let estimate = input_estimate(&[field]);
            assert!((TYPICAL_IMAGE_TOKENS..TYPICAL_IMAGE_TOKENS + 40).contains(&estimate), "{estimate}");
        }
    }

    #[test]
    fn delivered_text_is_never_counted_as_nothing() {
        assert_eq!([0, 1, 4, 5, 400].map(output_count), [0, 1, 1, 2, 100]);
    }

    proptest! {
        #[test]
        fn the_bound_never_exceeds_a_token_per_byte_and_64(text in r#"\PC{0,200}"#, images in 0usize..3) {
            let image = format!(r#"{{"type":"image","source":{{"data":"{}"}}}}"#, picture());
            let messages = format!("[{{\"content\":[{}]}},{:?}]", vec![image; images].join(","), text);
            prop_assert!(input_upper_bound(&[&messages, &text]) <= count(messages.len() + text.len()) + 64);
        }
    }
}
