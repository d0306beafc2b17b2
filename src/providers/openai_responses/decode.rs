//! Whole answers.

use serde_json::Value;

use super::items::{self, Item, Response};
use crate::domain::chat::{ChatReply, Detail, Part};
use crate::providers::{DecodeError, errors};

pub(super) fn reply(body: &[u8]) -> Result<ChatReply, DecodeError> {
    let response = read(body)?;
    let (mut parts, mut refusal) = (Vec::new(), String::new());
    let mut details: Vec<Detail> = response.tier().into_iter().collect();
    let mut said_chars = 0;
    for item in response.output.iter().flatten() {
        details.extend(sources(item, &mut said_chars));
        take(item, &mut parts, &mut refusal);
    }
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let finish = response.finish(has_calls);
    if parts.is_empty() && refusal.is_empty() && finish.is_none() {
        return Err(DecodeError::Empty);
    }
    Ok(ChatReply {
        usage: response.usage(),
        id: response.id,
        model: response.model,
        parts,
        details,
        refusal: Some(refusal).filter(|text| !text.is_empty()),
        finish,
    })
}

fn read(body: &[u8]) -> Result<Response, DecodeError> {
    let response: Response = serde_json::from_slice(body).map_err(|_| not_a_response(body))?;
    if response.output.is_none() && response.status.is_none() {
        return Err(not_a_response(body));
    }
    match response.failure() {
        Some(error) => Err(DecodeError::InBand(error)),
        None => Ok(response),
    }
}

fn not_a_response(body: &[u8]) -> DecodeError {
    let error = serde_json::from_slice::<Value>(body).ok().and_then(|value| errors::read(&value));
    error.map_or_else(|| DecodeError::Malformed("it is not a response".into()), DecodeError::InBand)
}

fn sources(item: &Item, said_chars: &mut usize) -> Vec<Detail> {
    let mut sources = Vec::new();
    for content in item.content.iter().flatten().filter(|_| item.kind == "message") {
        let annotations = content.annotations.iter().flatten();
        sources.extend(annotations.filter_map(|annotation| items::citation(annotation, *said_chars)));
        *said_chars += content.text.as_deref().unwrap_or_default().chars().count();
    }
    sources
}

fn take(item: &Item, parts: &mut Vec<Part>, refusal: &mut String) {
    match item.kind.as_str() {
        "message" => {
            for content in item.content.iter().flatten() {
                let text = content.text.clone().filter(|text| !text.is_empty());
                parts.extend(text.map(Part::Text));
                refusal.push_str(content.refusal.as_deref().unwrap_or_default());
            }
        }
        "reasoning" => {
            let (text, signature) = (item.reasoning(), item.signature());
            if !text.is_empty() || signature.is_some() {
                parts.push(Part::Reasoning { text, signature });
            }
        }
        _ => parts.extend(item.call()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::Finish;
    use crate::domain::usage::Usage;

    #[test]
    fn items_keep_their_order_and_those_of_the_providers_own_tools_are_passed_over() {
        let body = r#"{"id":"resp_1","model":"m","status":"completed","error":null,"output":[
            {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"gAA="},
            {"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}},
            {"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"a"}]},
            {"type":"custom_tool_call","id":"ct_1","call_id":"call_1","name":"sql","input":"SELECT 1"}],
            "usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":1},
            "output_tokens":3,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":13}}"#;
        let reply = reply(body.as_bytes()).expect("a response");
        let reasoning = Part::Reasoning { text: "hm".into(), signature: Some("openai-responses:rs_1:gAA=".into()) };
        let call = Part::ToolCall { id: "call_1".into(), name: "sql".into(), arguments: "SELECT 1".into() };
        assert_eq!(reply.parts, [reasoning, Part::Text("a".into()), call]);
        assert_eq!(reply.finish, Some(Finish::ToolCalls));
        let usage = Usage { input: 5, cache_read: 4, cache_write: 1, output: 3, web_searches: 1, ..Usage::default() };
        assert_eq!(reply.usage, Some(usage));
    }

    #[test]
    fn a_200_that_is_no_answer_says_why() {
        let failed = br#"{"status":"failed","error":{"code":"server_error","message":"boom"},"output":[]}"#;
        assert!(
            matches!(reply(failed), Err(DecodeError::InBand(error)) if error.code.as_deref() == Some("server_error"))
        );
        let error = br#"{"error":{"message":"no","type":"t","code":null,"param":null}}"#;
        assert!(matches!(reply(error), Err(DecodeError::InBand(error)) if error.message == "no"));
        assert!(matches!(reply(br#"{"status":"cancelled","output":[]}"#), Err(DecodeError::InBand(_))));
        assert_eq!(reply(br#"{"status":"in_progress","output":[]}"#), Err(DecodeError::Empty));
        for broken in [&b"{}"[..], b"<html>", b"[1]"] {
            assert!(matches!(reply(broken), Err(DecodeError::Malformed(_))));
        }
    }
}
