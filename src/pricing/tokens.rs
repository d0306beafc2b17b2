//! Token counts where no provider has counted yet, or none will.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What the chat format adds around the messages of one call.
const FRAME_TOKENS: u64 = 16;

/// The most tokens that one image is counted as. Current models bill 10,000 at their highest detail, most far fewer.
/// Known exception: `gpt-4o-mini` bills up to 48,000 for a large picture; such a call is settled at its real price, which
/// may pass the hold.
pub const IMAGE_TOKENS: u64 = 10_000;

/// An upper bound of the input tokens of a call. `fields` are the raw JSON texts of the fields that reach the model:
/// messages, system, tools, schema.
///
/// Tokenizers work on bytes, so text has at most one token per byte; an image, by URL or inline, counts as
/// [`IMAGE_TOKENS`] in place of its data: the bytes of a picture tell nothing of its size. Without images never more than
/// one token per byte plus 16. Not covered: documents that the provider fetches from a URL or has already, and the few
/// hundred tokens that some providers add for tools.
pub fn input_upper_bound(fields: &[&str]) -> u64 {
    let bytes: u64 = fields.iter().map(|field| count(field.len())).sum();
    let images: Vec<u64> = fields.iter().flat_map(|field| images(field)).collect();
    let text = bytes.saturating_sub(images.iter().sum());
    text.saturating_add(count(images.len()) * IMAGE_TOKENS).saturating_add(FRAME_TOKENS)
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

/// The images in `field`: bytes of their data, 0 for one by URL or file. None in doubt.
///
/// Only a part that the protocols define as an image counts, never a text that looks like one: a model reads
/// such a text letter by letter.
fn images(field: &str) -> Vec<u64> {
    // A letter may be written as an escape, which is its right and hides nothing.
    if !field.contains("image") && !field.contains("\\u00") {
        return Vec::new();
    }
    each::<Message<'_>>(field).flat_map(|message| message.parts()).flat_map(images_in).collect()
}

fn images_in(content: &RawValue) -> Vec<u64> {
    each::<Part<'_>>(content.get()).flat_map(|part| images_of(&part)).collect()
}

/// The items of a list. One that can't be read does not hide the others.
fn each<'a, T: Deserialize<'a>>(list: &'a str) -> impl Iterator<Item = T> {
    let items: Vec<&'a RawValue> = serde_json::from_str(list).unwrap_or_default();
    items.into_iter().filter_map(|item| serde_json::from_str(item.get()).ok())
}

fn images_of(part: &Part<'_>) -> Vec<u64> {
    let inline = |raw: &&RawValue| raw.get().contains("data:image/");
    let data = match &*part.kind {
        "image_url" | "input_image" => part.image_url.filter(inline),
        "image" => part.source.as_ref().and_then(|source| source.data),
        "file" if part.media_type.as_ref().is_some_and(|kind| kind.starts_with("image/")) => part.url.filter(inline),
        "tool_result" => return part.content.map_or_else(Vec::new, images_in),
        _ => return Vec::new(),
    };
    vec![data.map_or(0, |data| count(data.get().len()))]
}

/// A message in any of the chat formats: its parts are its content, a page's parts, or a tool's output.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    fn parts(self) -> impl Iterator<Item = &'a RawValue> {
        [self.content, self.parts, self.output].into_iter().flatten()
    }
}

/// A part of a message's content in any of the chat formats.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<Source<'a>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(rename = "mediaType", borrow, default)]
    media_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    url: Option<&'a RawValue>,
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
    fn an_image_counts_as_a_fixed_number_of_tokens_in_every_dialect_inline_or_not() {
        let data = picture();
        let url = "https://example.org/1.png";
        for part in [
            format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#),
            format!(r#"{{"type":"input_image","image_url":"data:image/png;base64,{data}"}}"#),
            format!(r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}"#),
            format!(r#"{{"type":"tool_result","content":[{{"type":"image","source":{{"data":"{data}"}}}}]}}"#),
            format!(r#"{{"type":"file","mediaType":"image/png","url":"data:image/png;base64,{data}"}}"#),
            format!(r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#),
            format!(r#"{{"type":"im\u0061ge_url","image_url":{{"url":"{url}"}}}}"#),
            format!(r#"{{"type":"input_image","image_url":"{url}"}}"#),
            r#"{"type":"input_image","file_id":"file-1"}"#.to_owned(),
            format!(r#"{{"type":"image","source":{{"type":"url","url":"{url}"}}}}"#),
            format!(r#"{{"type":"file","mediaType":"image/png","url":"{url}"}}"#),
            r#"{"type":"image","source":{"type":"base64","data":"iVBORw0KGgo="}}"#.to_owned(),
        ] {
            for message in
                ["role\":\"user\",\"content", "role\":\"user\",\"parts", "type\":\"function_call_output\",\"output"]
            {
                let messages = format!(r#"[{{"{message}":[{{"type":"text","text":"hi"}},{part}]}}]"#);
                let bound = input_upper_bound(&[&messages]);
                assert!((IMAGE_TOKENS..IMAGE_TOKENS + 300).contains(&bound), "{bound} for {}", &part[..40]);
            }
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
