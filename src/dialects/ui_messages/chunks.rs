//! Chunks of a UI message stream. Only those that version 5 knew: a client takes an unknown one for an error.

use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde_json::{Value, json};

use super::parts::SIGNATURE;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(super) enum Chunk<'a> {
    Start {
        message_id: &'a str,
        message_metadata: Value,
    },
    StartStep,
    TextStart {
        id: &'a str,
    },
    TextDelta {
        id: &'a str,
        delta: &'a str,
    },
    TextEnd {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<Value>,
    },
    ReasoningStart {
        id: &'a str,
    },
    ReasoningDelta {
        id: &'a str,
        delta: &'a str,
    },
    ReasoningEnd {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<Value>,
    },
    ToolInputStart {
        tool_call_id: &'a str,
        tool_name: &'a str,
    },
    ToolInputDelta {
        tool_call_id: &'a str,
        input_text_delta: &'a str,
    },
    ToolInputAvailable {
        tool_call_id: &'a str,
        tool_name: &'a str,
        input: Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        provider_metadata: Option<Value>,
    },
    ToolInputError {
        tool_call_id: &'a str,
        tool_name: &'a str,
        input: &'a str,
        error_text: String,
    },
    SourceUrl {
        source_id: String,
        url: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
    },
    FinishStep,
    Finish {
        finish_reason: &'static str,
        message_metadata: Value,
    },
    Error {
        error_text: &'a str,
    },
}

pub(super) fn write(chunk: &Chunk<'_>, out: &mut BytesMut) {
    out.put_slice(b"data: ");
    serde_json::to_writer((&mut *out).writer(), chunk).expect("a chunk is plain data and memory takes it");
    out.put_slice(b"\n\n");
}

/// What a page shows of a failure after its answer began.
pub(super) fn write_error(error_text: &str, out: &mut BytesMut) {
    write(&Chunk::Error { error_text }, out);
}

/// A signature as the metadata of a part. The page keeps it and sends it back with the part.
pub(super) fn signed(signature: Option<String>) -> Option<Value> {
    signature.map(|signature| json!({ "headgate": { SIGNATURE: signature } }))
}
