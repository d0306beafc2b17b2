//! Parts of a message, whichever version of the SDK wrote them.

use serde_json::Value;

use super::{calls, media};
use crate::domain::chat::{Message, Part, Role};
use crate::domain::error::GatewayError;

/// Reads the parts of one message. An assistant's message holds several turns: what it said, the results of its calls,
/// what it said to them.
pub(super) struct Reader {
    place: Place,
    turns: Vec<Message>,
    said: Vec<Part>,
    results: Vec<Part>,
    /// Step of the calls so far, where the client counts steps instead of marking their start.
    step: Option<u64>,
}

/// Metadata is sorted by provider, and ours stands among others'; whoever signed, it goes by this name.
pub(super) const SIGNATURE: &str = "signature";

impl Reader {
    pub(super) fn new(place: Place) -> Self {
        Reader { place, turns: Vec::new(), said: Vec::new(), results: Vec::new(), step: None }
    }

    pub(super) fn finish(mut self) -> Vec<Message> {
        self.close();
        self.turns
    }

    /// Ends a turn: results are the user's answer to it.
    fn close(&mut self) {
        self.step = None;
        for (role, parts) in [(Role::Assistant, &mut self.said), (Role::User, &mut self.results)] {
            if !parts.is_empty() {
                self.turns.push(Message { role, parts: std::mem::take(parts) });
            }
        }
    }

    pub(super) fn all(&mut self, parts: &[Value]) -> Result<(), GatewayError> {
        parts.iter().try_for_each(|part| self.part(part))
    }

    /// A text, or a list of parts.
    pub(super) fn content(&mut self, content: &Value) -> Result<(), GatewayError> {
        match content {
            Value::Null => Ok(()),
            Value::String(text) => {
                self.text(text);
                Ok(())
            }
            Value::Array(parts) => self.all(parts),
            _ => Err(self.place.refuse("has a `content` that is neither a text nor a list of parts")),
        }
    }

    fn part(&mut self, part: &Value) -> Result<(), GatewayError> {
        // A tool may be called `call` or `result`; only parts of a page have a state.
        let is_of_a_page = !part["state"].is_null();
        match part["type"].as_str().unwrap_or_default() {
            "step-start" => self.close(),
            "text" => {
                self.signature(&part["providerMetadata"]);
                let text = part["text"].as_str().ok_or_else(|| self.place.refuse("has a text part without its `text`"));
                self.text(text?);
            }
            "reasoning" => self.reasoning(part),
            "file" | "image" => self.file(part)?,
            "tool-invocation" => self.invocation(&part["toolInvocation"])?,
            "tool-call" if !is_of_a_page => self.said.push(calls::call(part, self.place)?),
            "tool-result" if !is_of_a_page => self.results.push(calls::result(part, self.place)?),
            "dynamic-tool" => self.called(part, part["toolName"].as_str().unwrap_or_default())?,
            kind => {
                // The others are for the page: sources, data, and what later versions add.
                if let Some(name) = kind.strip_prefix("tool-").filter(|_| is_of_a_page) {
                    self.called(part, name)?;
                }
            }
        }
        Ok(())
    }

    /// Empty texts say nothing, and some providers refuse them.
    fn text(&mut self, text: &str) {
        if self.step.is_some() {
            // Where steps are only counted, a text behind calls is the answer to their results.
            self.close();
        }
        if !text.is_empty() {
            self.said.push(Part::Text(text.to_owned()));
        }
    }

    fn reasoning(&mut self, part: &Value) {
        let texts = |part: &Value| part["text"].as_str().unwrap_or_default().to_owned();
        match &part["details"] {
            Value::Array(details) => {
                let readable = details.iter().filter(|detail| detail["type"] == "text");
                self.said.extend(readable.map(|detail| Part::Reasoning {
                    text: texts(detail),
                    signature: detail[SIGNATURE].as_str().map(str::to_owned),
                }));
            }
            _ => {
                let metadata = [&part["providerMetadata"], &part["providerOptions"]];
                let signature = part[SIGNATURE].as_str().or_else(|| metadata.into_iter().find_map(signature_in));
                self.said.push(Part::Reasoning { text: texts(part), signature: signature.map(str::to_owned) });
            }
        }
    }

    /// A signature of something else than reasoning.
    fn signature(&mut self, metadata: &Value) {
        let signature = signature_in(metadata).map(str::to_owned);
        self.said.extend(signature.map(|text| Part::Reasoning { text: String::new(), signature: Some(text) }));
    }

    pub(super) fn file(&mut self, part: &Value) -> Result<(), GatewayError> {
        self.said.push(media::file(part, self.place)?);
        Ok(())
    }

    /// A call of a page since version 5.
    fn called(&mut self, part: &Value, name: &str) -> Result<(), GatewayError> {
        if let Some((call, result)) = calls::called(part, name, self.place)? {
            self.signature(&part["callProviderMetadata"]);
            self.said.push(call);
            self.results.push(result);
        }
        Ok(())
    }

    /// A call of a page of version 4.
    pub(super) fn invocation(&mut self, invocation: &Value) -> Result<(), GatewayError> {
        let step = invocation["step"].as_u64().unwrap_or_default();
        if self.step.is_some_and(|current| current != step) {
            self.close();
        }
        if let Some((call, result)) = calls::invocation(invocation, self.place)? {
            self.said.push(call);
            self.results.push(result);
        }
        self.step = Some(step);
        Ok(())
    }
}

fn signature_in(metadata: &Value) -> Option<&str> {
    metadata.as_object()?.values().find_map(|of_provider| of_provider[SIGNATURE].as_str())
}

/// The message at fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(pub(super) usize);

impl Place {
    pub(super) fn refuse(self, what: &str) -> GatewayError {
        GatewayError::invalid(format!("messages[{}] {what}.", self.0), Some(&format!("messages[{}]", self.0)))
    }
}
