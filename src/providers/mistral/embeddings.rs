//! Mistral's embeddings: OpenAI's with another word for the length of a vector and none for the end user.

use bytes::Bytes;
use serde_json::Value;

use super::Mistral;
use crate::domain::error::GatewayError;
use crate::domain::json;
use crate::providers::Passed;
use crate::providers::embeddings::{Embeddings, EmbeddingsFormat};

pub(super) static EMBEDDINGS: Embeddings = Embeddings { account: &Mistral, format: &Format };

struct Format;

impl EmbeddingsFormat for Format {
    fn path(&self, _model: &str) -> String {
        "/embeddings".into()
    }

    /// Everything else keeps its bytes: what Mistral does not know it names in a 422.
    fn request(&self, call: &Passed<'_>) -> Result<Bytes, GatewayError> {
        let fields = json::fields(call.body).map_err(|error| GatewayError::invalid(error.to_string(), None))?;
        let mut members = Vec::with_capacity(fields.len());
        for field in &fields {
            let (name, value) = match field.name.as_ref() {
                "user" => continue,
                "model" => ("model", Value::from(call.model).to_string()),
                "dimensions" => ("output_dimension", field.value.to_owned()),
                name => (name, field.value.to_owned()),
            };
            members.push(format!("{}:{value}", Value::from(name)));
        }
        Ok(format!("{{{}}}", members.join(",")).into())
    }

    fn unsaid(&self, call: &Passed<'_>) -> Vec<String> {
        let fields = json::fields(call.body).unwrap_or_default();
        fields.iter().filter(|field| field.name == "user").map(|field| field.name.to_string()).collect()
    }
}
