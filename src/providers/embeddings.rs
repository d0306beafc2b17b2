//! Embeddings of an account: what is the same for all providers that have them. Clients speak OpenAI's format alone, so
//! every one of these adapters takes it and gives it back.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::tokens::count;
use super::{Adapter, Ask, DecodeError, Encoded, FailureParts, Inspected, Passed, StreamDecoder, errors};
use crate::domain::chat::{ChatReply, ChatRequest, Wire};
use crate::domain::error::GatewayError;
use crate::domain::json;
use crate::domain::usage::Usage;

/// How one provider is asked for embeddings.
pub(super) trait EmbeddingsFormat: Sync {
    fn path(&self, model: &str) -> String;

    /// OpenAI's request as this provider takes it.
    fn request(&self, call: &Passed<'_>) -> Result<Bytes, GatewayError>;

    /// Fields of the request that this provider has no word for.
    fn unsaid(&self, _call: &Passed<'_>) -> Vec<String> {
        Vec::new()
    }

    fn inspect(&self, body: &[u8]) -> Result<Inspected, DecodeError> {
        inspect(body)
    }

    /// The provider's answer as OpenAI's. `usage` makes the numbers where the provider has none.
    fn answer(&self, body: Bytes, call: &Passed<'_>, _usage: &dyn Fn() -> Usage) -> Result<Bytes, DecodeError> {
        as_asked(body, call)
    }
}

/// An account, asked for embeddings instead of a chat.
pub(super) struct Embeddings {
    pub(super) account: &'static dyn Adapter,
    pub(super) format: &'static dyn EmbeddingsFormat,
}

impl Adapter for Embeddings {
    fn kind(&self) -> &'static str {
        self.account.kind()
    }

    fn wire(&self) -> Wire {
        Wire::OpenAiEmbeddings
    }

    fn default_base_url(&self) -> Option<&'static str> {
        self.account.default_base_url()
    }

    fn catalogue(&self) -> Option<&'static str> {
        self.account.catalogue()
    }

    fn headers(&self, api_key: Option<&str>) -> Vec<(&'static str, String)> {
        self.account.headers(api_key)
    }

    fn path(&self, model: &str, _stream: bool) -> String {
        self.format.path(model)
    }

    fn pass(&self, call: &Passed<'_>) -> Result<Bytes, GatewayError> {
        self.format.request(call)
    }

    fn unsaid(&self, call: &Passed<'_>) -> Vec<String> {
        self.format.unsaid(call)
    }

    fn encode(&self, _: &ChatRequest, _: &Ask<'_>) -> Result<Encoded, GatewayError> {
        Err(GatewayError::invalid("A chat can't be embedded; send `input`.", None))
    }

    fn decode(&self, _: &[u8]) -> Result<ChatReply, DecodeError> {
        Err(DecodeError::Malformed("vectors are no chat".into()))
    }

    fn inspect(&self, body: &[u8]) -> Result<Inspected, DecodeError> {
        self.format.inspect(body)
    }

    fn answer(&self, body: Bytes, call: &Passed<'_>, usage: &dyn Fn() -> Usage) -> Result<Bytes, DecodeError> {
        self.format.answer(body, call, usage)
    }

    /// Embeddings are never streamed.
    fn decoder(&self) -> Box<dyn StreamDecoder> {
        self.account.decoder()
    }

    fn failure(
        &self,
        status: u16,
        headers: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: SystemTime,
    ) -> FailureParts {
        self.account.failure(status, headers, body, now)
    }
}

/// OpenAI's answer; everything in it stays as it is written but what is replaced.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Vec<Item<'a>>,
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    embedding: &'a RawValue,
}

fn inspect(body: &[u8]) -> Result<Inspected, DecodeError> {
    let answer: Answer<'_> = read(body)?;
    let usage = answer.usage.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let input = usage.as_ref().and_then(|usage| count(&usage["prompt_tokens"]));
    Ok(inspected(input, !answer.data.is_empty()))
}

/// Vectors are no tokens: only what went in is counted.
pub(super) fn inspected(input_tokens: Option<u64>, has_content: bool) -> Inspected {
    let usage = input_tokens.map(|input| Usage { input, ..Usage::default() });
    Inspected { usage, finish: None, has_content, output_bytes: 0 }
}

/// Reads an answer, or the error that stands in its place.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(body).map_err(|error| {
        let told = serde_json::from_slice::<Value>(body).ok().and_then(|value| errors::read(&value));
        told.map_or_else(|| DecodeError::Malformed(format!("{:?} error", error.classify())), DecodeError::InBand)
    })
}

/// Some compatible servers send numbers whatever was asked for, and some clients read nothing but what they asked for.
fn as_asked(body: Bytes, call: &Passed<'_>) -> Result<Bytes, DecodeError> {
    if !wants_base64(call) {
        return Ok(body);
    }
    let answer: Answer<'_> = read(&body)?;
    let numbers = answer.data.iter().map(|item| item.embedding).filter(|raw| raw.get().starts_with('['));
    let start = body.as_ptr() as usize;
    let edits = numbers.map(|raw| {
        let at = raw.get().as_ptr() as usize - start;
        Ok(json::Edit::Replace { span: at..at + raw.get().len(), value: format!("\"{}\"", base64(raw)?).into() })
    });
    let edits: Vec<json::Edit<'_>> = edits.collect::<Result<_, DecodeError>>()?;
    Ok(if edits.is_empty() { body.clone() } else { json::splice(&body, &edits) })
}

/// A list of numbers as OpenAI packs it: 32-bit floats, least significant byte first.
fn base64(numbers: &RawValue) -> Result<String, DecodeError> {
    let numbers: Vec<f32> = read(numbers.get().as_bytes())?;
    let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
    Ok(STANDARD.encode(bytes))
}

fn wants_base64(call: &Passed<'_>) -> bool {
    json::fields(call.body)
        .is_ok_and(|fields| fields.iter().any(|field| field.name == "encoding_format" && field.value == "\"base64\""))
}

#[derive(Serialize)]
struct Reply<'a> {
    object: &'static str,
    data: Vec<ReplyItem<'a>>,
    model: &'a str,
    usage: ReplyUsage,
}

#[derive(Serialize)]
struct ReplyItem<'a> {
    object: &'static str,
    index: usize,
    embedding: ReplyVector<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ReplyVector<'a> {
    Numbers(&'a RawValue),
    Packed(String),
}

#[derive(Serialize)]
struct ReplyUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// OpenAI's answer around the vectors of a provider with another format. Numbers keep their spelling.
pub(super) fn reply(vectors: &[&RawValue], call: &Passed<'_>, usage: &Usage) -> Result<Bytes, DecodeError> {
    let packed = wants_base64(call);
    let data = vectors
        .iter()
        .enumerate()
        .map(|(index, numbers)| {
            let embedding = if packed { ReplyVector::Packed(base64(numbers)?) } else { ReplyVector::Numbers(numbers) };
            Ok(ReplyItem { object: "embedding", index, embedding })
        })
        .collect::<Result<_, DecodeError>>()?;
    let tokens = usage.total_input();
    let usage = ReplyUsage { prompt_tokens: tokens, total_tokens: tokens };
    let reply = Reply { object: "list", data, model: call.model, usage };
    serde_json::to_vec(&reply).map(Bytes::from).map_err(|error| DecodeError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::OwnedFields;
    use crate::providers::adapter;

    fn answered(request: &'static str, answer: &'static str) -> String {
        let (body, owned) = (Bytes::from_static(request.as_bytes()), OwnedFields::default());
        let call = Passed {
            body: &body,
            owned: &owned,
            model: "m",
            stream: false,
            max_tokens: Some(0),
            cap_field: "max_tokens",
        };
        let openai =
            adapter("openai").and_then(|openai| openai.speaks(Wire::OpenAiEmbeddings)).expect("has embeddings");
        let answer = openai.answer(answer.into(), &call, &Usage::default).expect("readable");
        String::from_utf8(answer.to_vec()).expect("UTF-8")
    }

    #[test]
    fn a_server_that_sends_numbers_whatever_was_asked_is_packed_and_the_rest_keeps_its_bytes() {
        let asked = r#"{"model":"m","input":"a","encoding_format":"base64"}"#;
        let numbers = r#"{ "data":[{"x":1.50,"embedding":[1.0, -2.5]},{"embedding":"AAAAAA=="}], "model":"m" }"#;
        let packed = r#"{ "data":[{"x":1.50,"embedding":"AACAPwAAIMA="},{"embedding":"AAAAAA=="}], "model":"m" }"#;
        assert_eq!(answered(asked, numbers), packed);
        assert_eq!(answered(r#"{"model":"m","input":"a"}"#, numbers), numbers);
    }

    #[test]
    fn an_error_in_place_of_vectors_is_told_as_one() {
        let told = inspect(br#"{"error":{"message":"no","code":"model_not_found"}}"#).expect_err("no vectors");
        assert!(matches!(told, DecodeError::InBand(error) if error.code.as_deref() == Some("model_not_found")));
        assert!(matches!(inspect(b"<html>"), Err(DecodeError::Malformed(_))));
        assert!(!inspect(br#"{"data":[]}"#).expect("readable").has_content);
    }
}
