//! OpenAI's embeddings, as clients speak them. No chat: a call is passed on to a provider that speaks the format or
//! puts it into its own.

use bytes::Bytes;

use super::fields::{self, wrong};
use super::{About, Decoded, Dialect, ErrorReply, OPENAI_CHAT, StreamEncoder};
use crate::domain::chat::{ChatReply, ChatRequest, Wire};
use crate::domain::embeddings::Input;
use crate::domain::error::GatewayError;
use crate::domain::json::{self, Field};

pub(super) struct OpenAiEmbeddings;

/// Fields that decide what a call may cost, where it goes or what its answer looks like.
const DECIDING: &[&str] = &["model", "input", "encoding_format", "dimensions", "user"];

/// Values that never reach the model.
const UNBILLED: &[&str] = &["model", "encoding_format", "dimensions", "user"];

/// More than any model's vectors have.
const MOST_DIMENSIONS: u64 = 1 << 20;

impl Dialect for OpenAiEmbeddings {
    fn name(&self) -> &'static str {
        "openai_embeddings"
    }

    fn wire(&self) -> Wire {
        Wire::OpenAiEmbeddings
    }

    fn decode(&self, body: Bytes) -> Result<Decoded, GatewayError> {
        decode(body)
    }

    fn chat(&self, _: &Decoded) -> Result<ChatRequest, GatewayError> {
        Err(GatewayError::invalid("An embeddings call is no chat; name a model for embeddings.", Some("model")))
    }

    /// Tokens have no text that could be read without the model's vocabulary.
    fn prompt_text(&self, call: &Decoded) -> String {
        let fields = json::fields(&call.body).unwrap_or_default();
        let input = fields.iter().find(|field| field.name == "input").and_then(|field| Input::parse(field.value));
        input.and_then(|input| input.texts().map(|texts| texts.join("\n"))).unwrap_or_default()
    }

    fn encode(&self, reply: &ChatReply, about: &About) -> Bytes {
        OPENAI_CHAT.encode(reply, about)
    }

    fn encoder(&self, about: &About) -> Box<dyn StreamEncoder> {
        OPENAI_CHAT.encoder(about)
    }

    fn keep_alive(&self) -> Bytes {
        OPENAI_CHAT.keep_alive()
    }

    fn comment(&self, text: &str) -> Bytes {
        OPENAI_CHAT.comment(text)
    }

    fn error(&self, error: &GatewayError, request_id: &str) -> ErrorReply {
        OPENAI_CHAT.error(error, request_id)
    }

    fn in_band_error(&self, error: &GatewayError, request_id: &str) -> Bytes {
        OPENAI_CHAT.in_band_error(error, request_id)
    }
}

fn decode(body: Bytes) -> Result<Decoded, GatewayError> {
    let fields = fields::read(&body)?;
    if let Some((clean, dropped)) = fields::without_routing(&fields) {
        return Ok(Decoded { dropped, ..decode(clean)? });
    }
    fields::refuse_ambiguous(&fields, DECIDING)?;
    let mut call = Decoded::of(body.clone());
    for field in &fields {
        if !UNBILLED.contains(&field.name.as_ref()) {
            call.billed.push(field.span.clone());
        }
        read(field, &mut call)?;
    }
    if call.model.is_none() {
        return Err(GatewayError::invalid("`model` is missing; name a model for embeddings.", Some("model")));
    }
    if call.message_count == 0 {
        return Err(GatewayError::invalid("`input` is missing; send a text or a list of texts.", Some("input")));
    }
    Ok(call)
}

/// Takes one field into `call`. A null is an absent field, but its place is kept.
fn read(field: &Field<'_>, call: &mut Decoded) -> Result<(), GatewayError> {
    if field.name == "model" {
        call.owned.model = Some(field.span.clone());
    }
    if field.value == "null" {
        return Ok(());
    }
    match field.name.as_ref() {
        "model" => call.model = Some(fields::model(field)?),
        "input" => {
            let want = "a text, a list of texts, or tokens, none of them empty";
            let input = Input::parse(field.value).ok_or_else(|| wrong(field, want))?;
            call.message_count = u32::try_from(input.count()).unwrap_or(u32::MAX);
        }
        "encoding_format" if !matches!(field.value, "\"float\"" | "\"base64\"") => {
            return Err(wrong(field, "float or base64"));
        }
        "dimensions" => {
            fields::whole(field, MOST_DIMENSIONS)?;
        }
        "user" => call.user = Some(fields::text(field)?),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(body: &str) -> Result<Decoded, GatewayError> {
        decode(Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn what_reaches_the_model_is_billed_and_nothing_else() {
        let body = r#"{"model":"m","input":["one","two"],"dimensions":8,"encoding_format":"base64","user":"u"}"#;
        let call = decoded(body).expect("valid");
        assert_eq!((call.message_count, call.stream, call.user.as_deref()), (2, false, Some("u")));
        assert_eq!(call.billed_bytes(), r#"["one","two"]"#.len());
        assert_eq!(OpenAiEmbeddings.prompt_text(&call), "one\ntwo");
        assert_eq!(OpenAiEmbeddings.prompt_text(&decoded(r#"{"model":"m","input":[1,2]}"#).expect("valid")), "");
    }

    #[test]
    fn a_field_that_can_not_be_used_is_named() {
        for (body, param) in [
            (r#"{"input":"a"}"#, "model"),
            (r#"{"model":"m"}"#, "input"),
            (r#"{"model":"m","input":[]}"#, "input"),
            (r#"{"model":"m","input":{"text":"a"}}"#, "input"),
            (r#"{"model":"m","input":"a","encoding_format":"hex"}"#, "encoding_format"),
            (r#"{"model":"m","input":"a","dimensions":0}"#, "dimensions"),
            (r#"{"model":"m","input":"a","Input":"b"}"#, "input"),
        ] {
            match decoded(body) {
                Err(GatewayError::InvalidRequest { param: Some(named), .. }) => assert_eq!(named, param, "{body}"),
                other => panic!("{body}: {:?}", other.map(|call| call.body)),
            }
        }
    }
}
