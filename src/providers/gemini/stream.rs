//! Streamed answers: every frame is a whole answer with the next parts in it, and there is no end marker.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::details::{Grounding, LogprobsResult};
use super::wire::{Answer, Called, Candidate, Piece};
use super::{failure, partial, signed, usage};
use crate::domain::chat::{ChatEvent, Detail, Finish, InBandError};
use crate::domain::sse::SseFrame;
use crate::providers::tokens::readable;
use crate::providers::{DecodeError, FrameKind, StreamDecoder};

#[derive(Default)]
pub(super) struct Decoder {
    started: bool,
    /// Something was said: text, thoughts or a call.
    spoke: bool,
    finished: bool,
    /// Of the whole answer; ids of calls are made of it.
    response_id: Option<String>,
    calls: usize,
    /// The last call, while its arguments still arrive.
    open: Option<Map<String, Value>>,
    /// The text so far; findings name its passages.
    text: String,
    grounding: Grounding,
}

impl StreamDecoder for Decoder {
    fn push(&mut self, frame: &SseFrame, out: &mut Vec<ChatEvent>) -> Result<FrameKind, DecodeError> {
        let fields = frame.fields();
        let Some(data) = fields.data.as_deref().map(<[u8]>::trim_ascii).filter(|data| !data.is_empty()) else {
            return Ok(FrameKind::Comment);
        };
        self.answer(data, out)?;
        Ok(FrameKind::Data)
    }
}

impl Decoder {
    /// A frame, or a whole answer: they look alike.
    pub(super) fn answer(&mut self, data: &[u8], out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let answer = match serde_json::from_slice::<Answer<'_>>(data) {
            Ok(answer) if answer.error.is_none() => answer,
            _ => {
                let error = failure::in_band(data);
                out.push(ChatEvent::Error(error.ok_or_else(|| DecodeError::Malformed("it is not an answer".into()))?));
                return Ok(());
            }
        };
        if !self.started && (answer.response_id.is_some() || answer.model_version.is_some()) {
            self.started = true;
            self.response_id.clone_from(&answer.response_id);
            out.push(ChatEvent::Start { id: answer.response_id, model: answer.model_version });
        }
        // Before the finish, which may be all that is waited for.
        out.extend(answer.usage_metadata.map(readable).as_ref().and_then(usage::of).map(ChatEvent::Usage));
        if let Some(reason) = answer.prompt_feedback.as_ref().and_then(|feedback| feedback.block_reason.as_deref()) {
            let said = answer.prompt_feedback.as_ref().and_then(|feedback| feedback.block_reason_message.clone());
            let message = said.unwrap_or_else(|| format!("the provider blocked the prompt: {reason}"));
            out.push(ChatEvent::Error(InBandError {
                message,
                code: Some(reason.to_owned()),
                // Reasons are added and some say nothing ("OTHER"); a blocked prompt is a blocked prompt.
                error_type: Some("content_policy_violation".to_owned()),
                ..InBandError::default()
            }));
            return Ok(());
        }
        // One answer is asked for.
        if let Some(candidate) = answer.candidates.into_iter().flatten().next() {
            self.candidate(candidate, out);
        }
        Ok(())
    }

    fn candidate(&mut self, candidate: Candidate<'_>, out: &mut Vec<ChatEvent>) {
        if let Some(tokens) = candidate.logprobs_result.and_then(read::<LogprobsResult>).map(LogprobsResult::logprobs)
            && !tokens.is_empty()
        {
            out.push(ChatEvent::Detail(Detail::Logprobs(tokens)));
        }
        for piece in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
            self.piece(piece, out);
        }
        if let Some(grounding) = candidate.grounding_metadata.and_then(read::<Grounding>).filter(|g| !g.is_empty()) {
            self.grounding = grounding;
        }
        let Some(reason) = candidate.finish_reason.filter(|_| !self.finished) else { return };
        self.close(out);
        let citations = self.grounding.citations(&self.text).into_iter();
        out.extend(citations.map(Detail::Citation).map(ChatEvent::Detail));
        match self.finish(&reason) {
            Some(Ok(finish)) => {
                self.finished = true;
                out.push(ChatEvent::Finish(finish));
            }
            Some(Err(error)) => out.push(ChatEvent::Error(error)),
            None => {}
        }
    }

    fn piece(&mut self, piece: Piece<'_>, out: &mut Vec<ChatEvent>) {
        let signature = piece.thought_signature.filter(|signature| !signature.is_empty());
        if let Some(called) = piece.function_call {
            let signature = signature.map(|signature| signed::on_call(self.calls, &signature));
            out.extend(signature.map(ChatEvent::ReasoningSignature));
            self.called(called, out);
            return;
        }
        if let Some(text) = piece.text.filter(|text| !text.is_empty()) {
            self.spoke = true;
            if piece.thought == Some(true) {
                out.push(ChatEvent::Reasoning { text });
            } else {
                self.text.push_str(&text);
                out.push(ChatEvent::Text(text));
            }
        }
        out.extend(signature.map(|signature| ChatEvent::ReasoningSignature(signed::on_text(&signature))));
    }

    fn called(&mut self, called: Called<'_>, out: &mut Vec<ChatEvent>) {
        if let Some(name) = called.name.filter(|name| !name.is_empty()) {
            self.close(out);
            self.spoke = true;
            let id = called.id.filter(|id| !id.is_empty()).unwrap_or_else(|| self.invented_id());
            out.push(ChatEvent::ToolStart { index: number(self.calls), id, name });
            self.calls += 1;
            if let Some(arguments) = called.args.filter(|raw| raw.get() != "null") {
                // The provider's own spelling: numbers and order survive.
                let fragment = arguments.get().to_owned();
                out.push(ChatEvent::ToolArguments { index: number(self.calls - 1), fragment });
                return;
            }
            self.open = Some(Map::new());
        }
        let Some(arguments) = &mut self.open else { return };
        for argument in called.partial_args {
            partial::write(arguments, argument);
        }
        if !called.will_continue {
            self.close(out);
        }
    }

    /// The arguments of the open call go out whole: JSON in fragments can't be made of values in any order.
    fn close(&mut self, out: &mut Vec<ChatEvent>) {
        if let Some(arguments) = self.open.take() {
            let index = number(self.calls.saturating_sub(1));
            out.push(ChatEvent::ToolArguments { index, fragment: Value::Object(arguments).to_string() });
        }
    }

    /// Results come back with the id alone, and in the next turn calls are counted from 0 again: the answer's own id
    /// keeps them apart. Short enough for OpenAI, which takes 40 characters at most.
    fn invented_id(&self) -> String {
        let answer = self.response_id.as_deref().unwrap_or_default();
        let answer: String = answer.chars().filter(char::is_ascii_alphanumeric).take(28).collect();
        if answer.is_empty() { format!("call_{}", self.calls) } else { format!("call_{answer}_{}", self.calls) }
    }

    fn finish(&self, reason: &str) -> Option<Result<Finish, InBandError>> {
        Some(Ok(match reason {
            // Seen in the field: an answer that stops before it said anything. It is none.
            "STOP" if !self.spoke => return None,
            "MAX_TOKENS" => Finish::Length,
            "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "LANGUAGE"
            | "MODEL_ARMOR"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION" => Finish::ContentFilter,
            "OTHER"
            | "MALFORMED_FUNCTION_CALL"
            | "MALFORMED_RESPONSE"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE" => {
                let message = format!("the provider broke its answer off: {reason}");
                return Some(Err(InBandError { message, code: Some(reason.to_owned()), ..InBandError::default() }));
            }
            // STOP, and what is still to come.
            _ if self.calls > 0 => Finish::ToolCalls,
            _ => Finish::Stop,
        }))
    }
}

/// What stands beside an answer and can't be read is no reason to refuse the answer.
fn read<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
