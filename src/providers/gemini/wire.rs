//! What an answer, or one frame of it, looks like: both have the same shape.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Number;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    pub(super) prompt_feedback: Option<Feedback>,
    pub(super) usage_metadata: Option<&'a RawValue>,
    pub(super) model_version: Option<String>,
    pub(super) response_id: Option<String>,
    pub(super) error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feedback {
    pub(super) block_reason: Option<String>,
    pub(super) block_reason_message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(borrow)]
    pub(super) content: Option<Content<'a>>,
    pub(super) finish_reason: Option<String>,
    pub(super) grounding_metadata: Option<&'a RawValue>,
    pub(super) logprobs_result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub(super) parts: Option<Vec<Piece<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Piece<'a> {
    pub(super) text: Option<String>,
    /// The text is a summary of thoughts.
    pub(super) thought: Option<bool>,
    pub(super) thought_signature: Option<String>,
    #[serde(borrow)]
    pub(super) function_call: Option<Called<'a>>,
}

/// A call, whole or in steps: a name, then values for paths of its arguments, then nothing at all.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Called<'a> {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    #[serde(borrow)]
    pub(super) args: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) partial_args: Vec<PartialArgument>,
    #[serde(default)]
    pub(super) will_continue: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartialArgument {
    pub(super) json_path: String,
    /// Goes behind what the path holds already.
    pub(super) string_value: Option<String>,
    pub(super) number_value: Option<Number>,
    pub(super) bool_value: Option<bool>,
}
