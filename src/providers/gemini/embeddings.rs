//! Gemini's embeddings: one request per text, all in one call.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Gemini;
use crate::domain::embeddings::Input;
use crate::domain::error::GatewayError;
use crate::domain::json::{self, Field};
use crate::domain::usage::Usage;
use crate::providers::embeddings::{self, Embeddings, EmbeddingsFormat};
use crate::providers::tokens::count;
use crate::providers::{DecodeError, Inspected, Passed};

pub(super) static EMBEDDINGS: Embeddings = Embeddings { account: &Gemini, format: &Format };

struct Format;

/// Fields of OpenAI's request that are said in Gemini's words, or done here.
const SAID: &[&str] = &["model", "input", "dimensions", "encoding_format"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow)]
    embeddings: Vec<Embedding<'a>>,
    usage_metadata: Option<Value>,
}

#[derive(Deserialize)]
struct Embedding<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
}

impl EmbeddingsFormat for Format {
    fn path(&self, model: &str) -> String {
        format!("{}:batchEmbedContents", super::place(model))
    }

    fn request(&self, call: &Passed<'_>) -> Result<Bytes, GatewayError> {
        let fields = json::fields(call.body).map_err(|error| GatewayError::invalid(error.to_string(), None))?;
        let value = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value);
        let input = value("input").and_then(Input::parse);
        let Some(texts) = input.as_ref().and_then(Input::texts) else {
            let message = "This model takes texts and no tokens; send `input` as a text or a list of texts.";
            return Err(GatewayError::invalid(message, Some("input")));
        };
        let dimensions = value("dimensions").and_then(|dimensions| dimensions.parse::<u64>().ok());
        let model = super::place(call.model);
        let request = |text: &str| {
            let mut request =
                json!({ "model": model.trim_start_matches('/'), "content": { "parts": [{ "text": text }] } });
            if let Some(dimensions) = dimensions {
                request["outputDimensionality"] = dimensions.into();
            }
            request
        };
        let requests: Vec<Value> = texts.into_iter().map(request).collect();
        Ok(json!({ "requests": requests }).to_string().into())
    }

    fn unsaid(&self, call: &Passed<'_>) -> Vec<String> {
        let fields = json::fields(call.body).unwrap_or_default();
        let said = |field: &&Field<'_>| SAID.contains(&field.name.as_ref()) || field.value == "null";
        fields.iter().filter(|field| !said(field)).map(|field| field.name.to_string()).collect()
    }

    /// Older models report no usage; then the count is ours.
    fn inspect(&self, body: &[u8]) -> Result<Inspected, DecodeError> {
        let answer: Answer<'_> = embeddings::read(body)?;
        let input = answer.usage_metadata.as_ref().and_then(|usage| count(&usage["promptTokenCount"]));
        Ok(embeddings::inspected(input, !answer.embeddings.is_empty()))
    }

    fn answer(&self, body: Bytes, call: &Passed<'_>, usage: &dyn Fn() -> Usage) -> Result<Bytes, DecodeError> {
        let answer: Answer<'_> = embeddings::read(&body)?;
        let vectors: Vec<&RawValue> = answer.embeddings.iter().map(|embedding| embedding.values).collect();
        if vectors.len() != wanted(call) {
            return Err(DecodeError::Malformed("it has not one vector for each input".into()));
        }
        embeddings::reply(&vectors, call, &usage())
    }
}

/// Vectors that the client waits for.
fn wanted(call: &Passed<'_>) -> usize {
    let fields = json::fields(call.body).unwrap_or_default();
    let input = fields.iter().find(|field| field.name == "input").and_then(|field| Input::parse(field.value));
    input.map_or(0, |input| input.count())
}
