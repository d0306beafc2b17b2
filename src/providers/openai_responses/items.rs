//! What a response and its items look like, read leniently: servers that copy the format leave things out.

use serde::Deserialize;
use serde_json::Value;

use super::KIND;
use crate::domain::chat::{Citation, Detail, Finish, InBandError, Part};
use crate::domain::signatures;
use crate::domain::usage::Usage;
use crate::providers::errors;
use crate::providers::tokens::count;

#[derive(Deserialize)]
pub(super) struct Response {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) status: Option<String>,
    pub(super) error: Option<Value>,
    pub(super) incomplete_details: Option<Value>,
    pub(super) output: Option<Vec<Item>>,
    pub(super) usage: Option<Value>,
    pub(super) service_tier: Option<String>,
}

/// An item of the output. Those of tools that run at the provider say nothing to a client of another format.
#[derive(Default, Deserialize)]
pub(super) struct Item {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) content: Option<Vec<Content>>,
    #[serde(default)]
    pub(super) summary: Option<Vec<Content>>,
    pub(super) encrypted_content: Option<String>,
    pub(super) call_id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
    /// What a custom tool gets instead of arguments: free text.
    pub(super) input: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Content {
    pub(super) text: Option<String>,
    pub(super) refusal: Option<String>,
    pub(super) annotations: Option<Vec<Value>>,
}

impl Response {
    /// Why it failed, if it did.
    pub(super) fn failure(&self) -> Option<InBandError> {
        let failed = matches!(self.status.as_deref(), Some("failed" | "cancelled"));
        let told = self.error.as_ref().filter(|error| !error.is_null());
        match told {
            Some(error) => errors::read(&serde_json::json!({ "error": error })),
            None if failed => {
                let message = "the provider broke its answer off".to_owned();
                Some(InBandError { message, code: self.status.clone(), ..InBandError::default() })
            }
            None => None,
        }
    }

    /// How it was served; a wish is no answer.
    pub(super) fn tier(&self) -> Option<Detail> {
        self.service_tier.clone().filter(|tier| tier != "auto").map(Detail::ServiceTier)
    }

    /// None while it goes on.
    pub(super) fn finish(&self, has_calls: bool) -> Option<Finish> {
        match self.status.as_deref()? {
            "completed" if has_calls => Some(Finish::ToolCalls),
            "completed" => Some(Finish::Stop),
            "incomplete" => {
                let reason = self.incomplete_details.as_ref().map(|details| &details["reason"]);
                let filtered = reason.is_some_and(|reason| reason == "content_filter");
                Some(if filtered { Finish::ContentFilter } else { Finish::Length })
            }
            _ => None,
        }
    }

    /// None when input or output can't be believed: half a count would be billed as a whole one. Cached tokens count
    /// inside the input, reasoning inside the output.
    pub(super) fn usage(&self) -> Option<Usage> {
        let usage = self.usage.as_ref()?;
        let (input, output) = (count(&usage["input_tokens"])?, count(&usage["output_tokens"])?);
        let details = &usage["input_tokens_details"];
        let cache_read = count(&details["cached_tokens"]).unwrap_or(0).min(input);
        let cache_write = count(&details["cache_write_tokens"]).unwrap_or(0).min(input - cache_read);
        let searches = self.output.iter().flatten().filter(|item| item.kind == "web_search_call").count();
        Some(Usage {
            input: input - cache_read - cache_write,
            cache_read,
            cache_write,
            cache_write_1h: 0,
            output,
            web_searches: u64::try_from(searches).unwrap_or(u64::MAX),
        })
    }
}

/// The source of a passage; `from` counts the characters of the answer's texts before the part that names it. Files at
/// the provider are no place that a client could look at.
pub(super) fn citation(annotation: &Value, from: usize) -> Option<Detail> {
    let place = |name: &str| usize::try_from(annotation[name].as_u64()?).ok();
    let text = |name: &str| annotation[name].as_str().map(str::to_owned);
    let passage = from.saturating_add(place("start_index")?)..from.saturating_add(place("end_index")?);
    let url = Some(text("url").filter(|_| annotation["type"] == "url_citation")?);
    Some(Detail::Citation(Citation { passage, url, title: text("title"), quote: None }))
}

impl Item {
    pub(super) fn is_call(&self) -> bool {
        matches!(self.kind.as_str(), "function_call" | "custom_tool_call")
    }

    /// Arguments of a call as far as they are written.
    pub(super) fn arguments(&self) -> &str {
        let input = self.input.as_ref().and_then(Value::as_str);
        self.arguments.as_deref().or(input).unwrap_or_default()
    }

    /// The signature of reasoning that can go back.
    pub(super) fn signature(&self) -> Option<String> {
        let encrypted = self.encrypted_content.as_deref().filter(|text| !text.is_empty())?;
        Some(signatures::mark(KIND, self.id.as_deref().unwrap_or_default(), encrypted))
    }

    /// What reasoning says: the model's own words where they come, else their summary.
    pub(super) fn reasoning(&self) -> String {
        let texts = |parts: &Option<Vec<Content>>| {
            let texts = parts.iter().flatten().filter_map(|part| part.text.as_deref());
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n\n")
        };
        let said = texts(&self.content);
        if said.is_empty() { texts(&self.summary) } else { said }
    }

    /// The call this item is, if it is one.
    pub(super) fn call(&self) -> Option<Part> {
        let id = self.call_id.clone().or_else(|| self.id.clone())?;
        let name = self.name.clone()?;
        self.is_call().then(|| Part::ToolCall { id, name, arguments: self.arguments().to_owned() })
    }
}
