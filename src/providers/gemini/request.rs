//! What a call looks like.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) system_instruction: Option<Content<'a>>,
    pub(super) contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tools: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_config: Option<Value>,
    pub(super) generation_config: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) safety_settings: Option<&'a Value>,
}

#[derive(Serialize)]
pub(super) struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    pub(super) parts: Vec<Piece<'a>>,
}

/// One of the first five, maybe signed.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Piece<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inline_data: Option<InlineData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file_data: Option<FileData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_response: Option<FunctionResponse<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought_signature: Option<Cow<'a, str>>,
}

impl<'a> Piece<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Piece { text: Some(text), ..Piece::default() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InlineData<'a> {
    pub(super) mime_type: &'a str,
    pub(super) data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mime_type: Option<&'static str>,
    pub(super) file_uri: &'a str,
}

#[derive(Serialize)]
pub(super) struct FunctionCall<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) args: Box<RawValue>,
}

#[derive(Serialize)]
pub(super) struct FunctionResponse<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) response: Box<RawValue>,
}
