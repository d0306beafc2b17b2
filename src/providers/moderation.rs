//! Judges of texts: OpenAI's moderations endpoint and Mistral's, which differ in whether they see images.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{DecodeError, errors};
use crate::domain::chat::Media;

/// What a caller said, as far as it can be judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    pub texts: Vec<String>,
    pub images: Vec<Media>,
}

/// A provider's judge of texts. It is asked at its account's base URL with its account's headers.
pub trait Moderator: Sync {
    /// Appended to the base URL.
    fn path(&self) -> &'static str;

    /// Bodies of the calls that judge all of `said`, one after the other; none where there is nothing to judge.
    fn encode(&self, model: &str, said: &Said) -> Vec<Bytes>;

    /// Names of the categories in which something was flagged; empty = nothing was.
    fn decode(&self, body: &[u8]) -> Result<Vec<String>, DecodeError>;
}

pub(super) struct Moderations {
    pub(super) takes_images: bool,
}

impl Moderator for Moderations {
    fn path(&self) -> &'static str {
        "/moderations"
    }

    /// All texts in one call; each image in one of its own, because more than one is refused.
    fn encode(&self, model: &str, said: &Said) -> Vec<Bytes> {
        let call = |input: Value| Bytes::from(json!({ "model": model, "input": input }).to_string());
        let texts = (!said.texts.is_empty()).then(|| call(said.texts.clone().into()));
        let images = said.images.iter().filter(|_| self.takes_images).map(|image| {
            let url = match image {
                Media::Url(url) => url.clone(),
                Media::Inline { media_type, data } => format!("data:{media_type};base64,{data}"),
            };
            call(json!([{ "type": "image_url", "image_url": { "url": url } }]))
        });
        texts.into_iter().chain(images).collect()
    }

    fn decode(&self, body: &[u8]) -> Result<Vec<String>, DecodeError> {
        let answer: Value = serde_json::from_slice(body)
            .map_err(|error| DecodeError::Malformed(format!("{:?} error", error.classify())))?;
        let Some(results) = answer["results"].as_array().filter(|results| !results.is_empty()) else {
            return Err(errors::read(&answer).map_or(DecodeError::Empty, DecodeError::InBand));
        };
        let mut found = Vec::new();
        for result in results {
            let Some(categories) = result["categories"].as_object() else {
                return Err(DecodeError::Malformed("a result without categories".into()));
            };
            let hits = categories.iter().filter(|(_, hit)| hit.as_bool() == Some(true)).map(|(name, _)| name);
            // Where there is a verdict it counts; Mistral leaves it to the reader.
            let flagged = result["flagged"].as_bool();
            let before = found.len();
            found.extend(hits.filter(|_| flagged != Some(false)).cloned());
            if flagged == Some(true) && found.len() == before {
                found.push("unnamed".to_owned());
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEES: Moderations = Moderations { takes_images: true };
    const BLIND: Moderations = Moderations { takes_images: false };

    #[test]
    fn texts_go_together_and_each_image_alone_to_those_who_see() {
        let inline = Media::Inline { media_type: "image/png".into(), data: "QUJD".into() };
        let said = Said { texts: vec!["a".into(), "b".into()], images: vec![Media::Url("https://i".into()), inline] };
        let sent = |judge: &Moderations| -> Vec<Value> {
            judge.encode("m", &said).iter().map(|body| serde_json::from_slice(body).expect("JSON")).collect()
        };
        let image =
            |url: &str| json!({ "model": "m", "input": [{ "type": "image_url", "image_url": { "url": url } }] });
        let texts = json!({ "model": "m", "input": ["a", "b"] });
        assert_eq!(sent(&SEES), [texts.clone(), image("https://i"), image("data:image/png;base64,QUJD")]);
        assert_eq!(sent(&BLIND), [texts]);
        assert!(SEES.encode("m", &Said::default()).is_empty());
    }

    #[test]
    fn a_verdict_counts_and_without_one_the_categories_do() {
        let read = |body: Value| SEES.decode(body.to_string().as_bytes());
        let result = |flagged: Value, hate: bool| json!({ "flagged": flagged, "categories": { "hate": hate, "self-harm": hate } });
        let clean = Ok(Vec::new());
        assert_eq!(read(json!({ "results": [result(false.into(), false)] })), clean);
        assert_eq!(read(json!({ "results": [result(false.into(), true)] })), clean);
        let both = Ok(vec!["hate".to_owned(), "self-harm".to_owned()]);
        assert_eq!(read(json!({ "results": [result(false.into(), false), result(true.into(), true)] })), both);
        assert_eq!(read(json!({ "results": [{ "categories": { "hate": true, "self-harm": true } }] })), both);
        assert_eq!(read(json!({ "results": [result(true.into(), false)] })), Ok(vec!["unnamed".to_owned()]));
    }

    #[test]
    fn no_judgement_is_never_taken_for_a_clean_one() {
        for body in ["", "{}", "<html>", r#"{"results":[]}"#, r#"{"results":[{}]}"#, r#"{"error":{"message":"no"}}"#] {
            assert!(SEES.decode(body.as_bytes()).is_err(), "{body}");
        }
    }
}
