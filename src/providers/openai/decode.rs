//! Whole answers.

use serde_json::value::RawValue;

use super::wire::{self, Answer, Called, Choice, Piece, Said};
use super::{details, usage};
use crate::domain::chat::{ChatReply, Detail, Part};
use crate::providers::{DecodeError, Inspected};

pub(super) fn reply(body: &[u8]) -> Result<ChatReply, DecodeError> {
    let answer = read(body)?;
    let choice = answer.choices.iter().flatten().next().ok_or(DecodeError::Empty)?;
    let finish = wire::finish(choice.finish_reason).transpose().map_err(DecodeError::InBand)?;
    let mut parts = Vec::new();
    let mut refusal = None;
    if let Some(said) = choice.said() {
        parts_of(said, &mut parts);
        refusal = owned(said.refusal);
    }
    if parts.is_empty() && refusal.is_none() && finish.is_none() {
        return Err(DecodeError::Empty);
    }
    let mut beside: Vec<Detail> = details::of_answer(&answer).into_iter().collect();
    details::of_choice(choice, &mut beside);
    Ok(ChatReply {
        id: owned(answer.id),
        model: owned(answer.model),
        parts,
        refusal,
        finish,
        usage: usage::of(&answer),
        details: beside,
    })
}

pub(super) fn inspect(body: &[u8]) -> Result<Inspected, DecodeError> {
    let answer = read(body)?;
    let choices = answer.choices.as_deref().unwrap_or_default();
    let mut finish = None;
    for choice in choices {
        let ended = wire::finish(choice.finish_reason).transpose().map_err(DecodeError::InBand)?;
        finish = finish.or(ended);
    }
    let measured = choices.iter().filter_map(Choice::said).map(measure);
    let (has_content, output_bytes) =
        measured.fold((false, 0), |(any, sum), (has_content, bytes)| (any || has_content, sum + bytes));
    if !has_content && finish.is_none() {
        return Err(DecodeError::Empty);
    }
    Ok(Inspected { usage: usage::of(&answer), finish, has_content, output_bytes })
}

fn read(body: &[u8]) -> Result<Answer<'_>, DecodeError> {
    let answer: Answer<'_> =
        serde_json::from_slice(body).map_err(|_| DecodeError::Malformed("it is not a chat completion".into()))?;
    match answer.in_band_error(body) {
        Some(error) => Err(DecodeError::InBand(error)),
        None => Ok(answer),
    }
}

fn parts_of(said: &Said<'_>, parts: &mut Vec<Part>) {
    let reasoning = |text: String| Part::Reasoning { text, signature: None };
    parts.extend(said.reasoning().map(|text| reasoning(text.into_owned())));
    wire::pieces(said.content, &mut |piece| {
        parts.push(match piece {
            Piece::Text(text) => Part::Text(text.into_owned()),
            Piece::Reasoning(text) => reasoning(text.into_owned()),
        });
    });
    for (at, call) in said.tool_calls.iter().flatten().enumerate() {
        // Some servers give no ids; the next turn needs one.
        let id = owned(call.id).unwrap_or_else(|| format!("call_{at}"));
        parts.extend(call.function.as_ref().and_then(|called| tool_call(id, called)));
    }
    parts.extend(said.function_call.as_ref().and_then(|called| tool_call("call_0".into(), called)));
}

fn tool_call(id: String, called: &Called<'_>) -> Option<Part> {
    let arguments = wire::arguments(called.arguments).map_or_else(|| "{}".into(), std::borrow::Cow::into_owned);
    Some(Part::ToolCall { id, name: owned(called.name)?, arguments })
}

/// Whether there is content, and its bytes.
fn measure(said: &Said<'_>) -> (bool, usize) {
    let len = |raw: Option<&RawValue>| wire::text(raw).map_or(0, |text| text.len());
    let mut bytes = len(said.refusal) + said.reasoning().map_or(0, |text| text.len());
    wire::pieces(said.content, &mut |piece| {
        let (Piece::Text(text) | Piece::Reasoning(text)) = piece;
        bytes += text.len();
    });
    let called = |called: &Called<'_>| len(called.name) + wire::arguments(called.arguments).map_or(0, |a| a.len());
    let calls = said.tool_calls.iter().flatten().filter_map(|call| call.function.as_ref()).chain(&said.function_call);
    bytes += calls.map(called).sum::<usize>();
    (bytes > 0, bytes)
}

fn owned(raw: Option<&RawValue>) -> Option<String> {
    wire::text(raw).map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::Finish;
    use crate::domain::usage::Usage;

    const ANSWER: &str = r#"{"id":"x","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"h\u00e9",
        "tool_calls":[{"type":"function","function":{"name":"f","arguments":{"a":1.0}}}]},"finish_reason":"tool_calls"}],
        "usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

    #[test]
    fn inspecting_says_what_translating_would_without_copying_the_answer() {
        let seen = inspect(ANSWER.as_bytes()).expect("an answer");
        let usage = Usage { input: 3, output: 2, ..Usage::default() };
        let expected =
            Inspected { usage: Some(usage), finish: Some(Finish::ToolCalls), has_content: true, output_bytes: 13 };
        assert_eq!(seen, expected);

        let reply = reply(ANSWER.as_bytes()).expect("an answer");
        let call = Part::ToolCall { id: "call_0".into(), name: "f".into(), arguments: r#"{"a":1.0}"#.into() };
        assert_eq!(reply.parts, [Part::Text("hé".into()), call]);
    }

    #[test]
    fn a_200_that_is_no_answer_says_why() {
        let error = |body: &str| (reply(body.as_bytes()).err(), inspect(body.as_bytes()).err());
        for empty in
            [r#"{"choices":[],"usage":null}"#, r#"{"choices":[{"message":{"content":""},"finish_reason":null}]}"#, "{}"]
        {
            assert_eq!(error(empty), (Some(DecodeError::Empty), Some(DecodeError::Empty)), "{empty}");
        }
        for in_band in [r#"{"error":"overloaded"}"#, r#"{"object":"error","message":"overloaded","code":1}"#] {
            assert!(
                matches!(error(in_band), (Some(DecodeError::InBand(_)), Some(DecodeError::InBand(_)))),
                "{in_band}"
            );
        }
        for broken in ["", "<html>", r#"{"choices":[{"mess"#, "[]x"] {
            assert!(
                matches!(error(broken), (Some(DecodeError::Malformed(_)), Some(DecodeError::Malformed(_)))),
                "{broken}"
            );
        }
        let failed = r#"{"choices":[{"message":{"content":"par"},"finish_reason":"error"}]}"#;
        assert!(matches!(error(failed), (Some(DecodeError::InBand(_)), Some(DecodeError::InBand(_)))));
    }

    #[test]
    fn an_answer_that_only_filters_is_an_answer() {
        let body = r#"{"choices":[{"message":{"content":null},"finish_reason":"content_filter"}]}"#;
        assert_eq!(inspect(body.as_bytes()).expect("an answer").finish, Some(Finish::ContentFilter));
    }
}
