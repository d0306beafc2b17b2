//! Whole answers.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::citations;
use super::finish;
use super::usage::Tally;
use super::{KIND, REDACTED};
use crate::domain::chat::{ChatReply, Detail, Part};
use crate::domain::signatures;
use crate::providers::tokens::readable;
use crate::providers::{DecodeError, Inspected, errors};

#[derive(Deserialize)]
struct Answer<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<Block<'a>>>,
    stop_reason: Option<String>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
    stop_sequence: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    id: Option<String>,
    name: Option<String>,
    data: Option<String>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

pub(super) fn reply(body: &[u8]) -> Result<ChatReply, DecodeError> {
    let answer: Answer<'_> = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(_) => return Err(not_an_answer(body)),
    };
    let Some(content) = answer.content else { return Err(not_an_answer(body)) };
    let (mut parts, mut details, mut characters) = (Vec::new(), Vec::new(), 0);
    for mut block in content {
        let sources = block.citations.take().map(citations::read).unwrap_or_default();
        let Some(part) = part(block) else { continue };
        if let Part::Text(text) = &part {
            let passage = characters..characters + text.chars().count();
            characters = passage.end;
            details.extend(sources.into_iter().map(|source| Detail::Citation(source.of(passage.clone()))));
        }
        parts.push(part);
    }
    if parts.is_empty() && answer.stop_reason.is_none() {
        return Err(DecodeError::Empty);
    }
    let mut tally = Tally::default();
    if let Some(usage) = answer.usage.map(readable) {
        tally.update(&usage);
        details.extend(service_tier(&usage).map(Detail::ServiceTier));
    }
    details.extend(answer.stop_sequence.map(Detail::StopSequence));
    let explanation = answer.stop_details.map(readable).as_ref().and_then(explanation);
    let refused = answer.stop_reason.as_deref() == Some("refusal");
    Ok(ChatReply {
        id: answer.id,
        model: answer.model,
        parts,
        refusal: explanation.filter(|_| refused),
        finish: answer.stop_reason.as_deref().map(finish),
        usage: tally.total(),
        details,
    })
}

pub(super) fn inspect(body: &[u8]) -> Result<Inspected, DecodeError> {
    let reply = reply(body)?;
    let output_bytes = reply.output_bytes();
    Ok(Inspected { usage: reply.usage, finish: reply.finish, has_content: output_bytes > 0, output_bytes })
}

/// How the call was served, in OpenAI's word for it.
pub(super) fn service_tier(usage: &Value) -> Option<String> {
    let tier = usage["service_tier"].as_str()?;
    Some(if tier == "standard" { "default" } else { tier }.to_owned())
}

/// Reasoning that only the provider can read: all of it is its signature.
fn redacted(data: &str) -> Part {
    Part::Reasoning { text: String::new(), signature: Some(signatures::mark(KIND, REDACTED, data)) }
}

/// Why the provider refused, in its own words.
pub(super) fn explanation(stop_details: &Value) -> Option<String> {
    stop_details["explanation"].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn part(block: Block<'_>) -> Option<Part> {
    match block.kind.as_str() {
        "text" => block.text.filter(|text| !text.is_empty()).map(Part::Text),
        "thinking" => Some(Part::Reasoning { text: block.thinking.unwrap_or_default(), signature: block.signature }),
        "redacted_thinking" => Some(redacted(&block.data?)),
        "tool_use" => Some(Part::ToolCall {
            id: block.id?,
            name: block.name?,
            // The provider's own spelling: numbers and order survive.
            arguments: block.input.map_or("{}", RawValue::get).to_owned(),
        }),
        // Tools that run at the provider are not the client's to answer.
        _ => None,
    }
}

fn not_an_answer(body: &[u8]) -> DecodeError {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => match errors::read(&value) {
            Some(error) => DecodeError::InBand(error),
            None => DecodeError::Malformed("it is not a message".into()),
        },
        Err(_) => DecodeError::Malformed("it is not JSON".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::Finish;

    #[test]
    fn thinking_text_and_calls_keep_their_order_and_spelling() {
        let body = r#"{"id":"msg_1","model":"m","content":[{"type":"thinking","thinking":"t","signature":"s"},
            {"type":"text","text":"a"},{"type":"server_tool_use","id":"x","name":"y","input":{}},
            {"type":"tool_use","id":"toolu_1","name":"f","input":{"b":1.0,"a":2}}],"stop_reason":"tool_use",
            "usage":{"input_tokens":1,"output_tokens":2}}"#;
        let reply = reply(body.as_bytes()).expect("a message");
        let call = Part::ToolCall { id: "toolu_1".into(), name: "f".into(), arguments: r#"{"b":1.0,"a":2}"#.into() };
        let reasoning = Part::Reasoning { text: "t".into(), signature: Some("s".into()) };
        assert_eq!(reply.parts, [reasoning, Part::Text("a".into()), call]);
        assert_eq!(reply.finish, Some(Finish::ToolCalls));
    }

    #[test]
    fn a_refusal_says_why() {
        let body = r#"{"content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"no"}}"#;
        let reply = reply(body.as_bytes()).expect("a message");
        assert_eq!((reply.refusal.as_deref(), reply.finish), (Some("no"), Some(Finish::ContentFilter)));
    }

    #[test]
    fn a_200_that_is_no_message_says_why() {
        let overloaded = br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        assert!(matches!(reply(overloaded), Err(DecodeError::InBand(error)) if error.message == "Overloaded"));
        assert_eq!(inspect(br#"{"content":[]}"#), Err(DecodeError::Empty));
        assert!(matches!(reply(b"{}"), Err(DecodeError::Malformed(_))));
        assert!(matches!(reply(b"<html>"), Err(DecodeError::Malformed(_))));
    }
}
