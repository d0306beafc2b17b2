//! The one internal chat language. Every client dialect and every provider format translates to and from it, so N
//! dialects and M providers need N + M codecs. Unknown fields travel in `extra`.

mod detail;
mod gather;

use std::ops::Range;

use serde_json::{Map, Value};

use super::usage::Usage;
pub use detail::{Citation, Detail, Logprob};
pub use gather::Gathered;

/// A wire format. A client dialect and a provider that speak the same one pass bytes through untouched but for the
/// fields that the gateway owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    OpenAiChat,
    OpenAiResponses,
    /// Of a dialogue; no provider is asked in it.
    Compaction,
    AnthropicMessages,
    /// Of providers that no client speaks: nothing passes them as it is.
    ProvidersOnly,
    /// The AI SDK's two stream formats; no provider speaks them.
    AiSdk,
    OpenAiEmbeddings,
}

impl Wire {
    /// Whether this is a format of chats, which the chat language has words for. Others are never translated.
    pub fn is_chat(self) -> bool {
        match self {
            Wire::OpenAiChat
            | Wire::OpenAiResponses
            | Wire::Compaction
            | Wire::AnthropicMessages
            | Wire::ProvidersOnly
            | Wire::AiSdk => true,
            Wire::OpenAiEmbeddings => false,
        }
    }
}

/// Where the fields that the gateway owns have their values in a client's body, as byte spans. A field given as null
/// has a span too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedFields {
    pub model: Option<Range<usize>>,
    pub max_tokens: Option<Range<usize>>,
    pub max_completion_tokens: Option<Range<usize>>,
    pub max_output_tokens: Option<Range<usize>>,
    pub stream: Option<Range<usize>>,
    pub stream_options: Option<Range<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    User,
    Assistant,
}

/// A piece of a message. `Tool…` parts keep the order in which the dialogue had them.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text(String),
    Image(Media),
    File {
        media: Media,
        name: Option<String>,
    },
    /// Model reasoning that has to go back to the provider that made it.
    Reasoning {
        text: String,
        signature: Option<String>,
    },
    ToolCall {
        id: String,
        name: String,
        arguments: String,
    },
    ToolResult {
        call_id: String,
        content: Vec<Part>,
        is_error: bool,
    },
}

/// Where an image or a file is.
#[derive(Clone, Debug, PartialEq)]
pub enum Media {
    Url(String),
    /// `data` is base64, as it came.
    Inline {
        media_type: String,
        data: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub role: Role,
    pub parts: Vec<Part>,
}

/// A function that the client offers to the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// JSON Schema of the arguments, untouched.
    pub parameters: Value,
    pub strict: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

/// What the client wants the answer to look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    Text,
    JsonObject,
    JsonSchema { name: String, schema: Value, strict: Option<bool> },
}

/// A whole request in the internal language; made only where client and provider speak different formats.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatRequest {
    /// System and developer texts, in order.
    pub system: Vec<String>,
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    pub parallel_tool_calls: Option<bool>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub stop: Vec<String>,
    pub format: Format,
    /// `none`, `minimal`, `low`, `medium`, `high`.
    pub reasoning_effort: Option<String>,
    pub user: Option<String>,
    /// Fields of the client's request that the language has no word for.
    pub extra: Map<String, Value>,
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    Stop,
    Length,
    ToolCalls,
    /// A safety block or a refusal.
    ContentFilter,
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatReply {
    pub id: Option<String>,
    pub model: Option<String>,
    /// Text, reasoning and tool calls, in order.
    pub parts: Vec<Part>,
    pub refusal: Option<String>,
    pub finish: Option<Finish>,
    /// None when the provider reported no usage that can be read.
    pub usage: Option<Usage>,
    /// Probabilities and sources in the order of the text.
    pub details: Vec<Detail>,
}

impl ChatReply {
    /// Bytes of model output, for our own count when the provider reports no usage.
    pub fn output_bytes(&self) -> usize {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) | Part::Reasoning { text, .. } => text.len(),
            Part::ToolCall { name, arguments, .. } => name.len() + arguments.len(),
            Part::Image(_) | Part::File { .. } | Part::ToolResult { .. } => 0,
        });
        parts.sum::<usize>() + self.refusal.as_ref().map_or(0, String::len)
    }
}

/// An error that arrived inside a 200 answer or an SSE stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InBandError {
    pub message: String,
    pub code: Option<String>,
    pub error_type: Option<String>,
    pub param: Option<String>,
}

/// One step of a streamed answer. A provider frame may carry several or none.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatEvent {
    /// Identity of the answer; not content: a switch of targets is still possible after it.
    Start {
        id: Option<String>,
        model: Option<String>,
    },
    Text(String),
    Reasoning {
        text: String,
    },
    /// Closes the reasoning before it; has to go back in the next turn.
    ReasoningSignature(String),
    Refusal(String),
    /// `index` counts tool calls of the answer from 0, whatever the provider numbered.
    ToolStart {
        index: u32,
        id: String,
        name: String,
    },
    ToolArguments {
        index: u32,
        fragment: String,
    },
    Detail(Detail),
    /// The running total as of now: replaces what came before, never adds.
    Usage(Usage),
    Finish(Finish),
    Error(InBandError),
    /// The protocol's terminal marker (`[DONE]`, `message_stop`).
    End,
}

impl ChatEvent {
    /// Content commits the run to its target: after it no fallback is possible.
    pub fn is_content(&self) -> bool {
        match self {
            ChatEvent::Text(text) | ChatEvent::Refusal(text) | ChatEvent::Reasoning { text } => !text.is_empty(),
            ChatEvent::ToolStart { .. } | ChatEvent::ToolArguments { .. } => true,
            ChatEvent::Start { .. }
            | ChatEvent::ReasoningSignature(_)
            | ChatEvent::Detail(_)
            | ChatEvent::Usage(_)
            | ChatEvent::Finish(_)
            | ChatEvent::Error(_)
            | ChatEvent::End => false,
        }
    }

    /// Bytes of model output in this event, for our own count when the provider reports no usage.
    pub fn output_bytes(&self) -> usize {
        match self {
            ChatEvent::Text(text) | ChatEvent::Refusal(text) | ChatEvent::Reasoning { text } => text.len(),
            ChatEvent::ToolStart { name, .. } => name.len(),
            ChatEvent::ToolArguments { fragment, .. } => fragment.len(),
            ChatEvent::Start { .. }
            | ChatEvent::ReasoningSignature(_)
            | ChatEvent::Detail(_)
            | ChatEvent::Usage(_)
            | ChatEvent::Finish(_)
            | ChatEvent::Error(_)
            | ChatEvent::End => 0,
        }
    }
}
