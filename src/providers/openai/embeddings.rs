//! OpenAI's embeddings: passed on with the target's model.

use bytes::Bytes;

use super::OpenAi;
use crate::domain::error::GatewayError;
use crate::providers::Passed;
use crate::providers::embeddings::{Embeddings, EmbeddingsFormat};
use crate::providers::pass::Splice;

pub(super) static EMBEDDINGS: Embeddings = Embeddings { account: &OpenAi, format: &Format };

struct Format;

impl EmbeddingsFormat for Format {
    fn path(&self, _model: &str) -> String {
        "/embeddings".into()
    }

    fn request(&self, call: &Passed<'_>) -> Result<Bytes, GatewayError> {
        Ok(Splice::new(call).finish())
    }
}
