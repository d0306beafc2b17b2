//! The one thing that goes wrong with a call.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `after` counts content frames; a stream shorter than that fails after its last content. On a plain call the faults
/// of a stream have a nearest kin: half the body instead of some frames, a broken body instead of a broken frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// An HTTP error. Bills nothing.
    Status(StatusFault),
    /// A redirect (302). Bills nothing.
    Redirect {
        location: String,
    },

    /// Not a byte until the peer leaves.
    HangBeforeHead,
    ResetBeforeHead,
    CloseBeforeHead,

    /// A TCP reset; plain: after half the body.
    Reset {
        after: u64,
    },
    /// The connection closes in the middle of a chunk; plain: after half the body.
    Cut {
        after: u64,
    },
    /// Silence until the peer leaves; plain: after half the body.
    Stall {
        after: u64,
    },
    /// A proper end of the HTTP body, without finish reason and end marker; plain: a null finish reason.
    CleanEnd {
        after: u64,
    },
    /// The end marker without a finish reason; plain: a null finish reason.
    DoneWithoutFinish {
        after: u64,
    },
    /// Finish reason, then a proper end of the HTTP body without the end marker; plain: no fault.
    FinishWithoutDone,
    /// An error frame, then a proper end of the HTTP body; plain: 200 with an error object.
    InBandError(InBandError),
    /// One frame of broken JSON, then the rest as if nothing had happened; plain: [`Fault::TruncatedJson`].
    MalformedFrame {
        after: u64,
    },

    /// 200 and not one frame; plain: [`Fault::EmptyBody`].
    EmptyStream,
    /// 200 and the end marker alone; plain: [`Fault::EmptyBody`].
    OnlyDone,
    /// A `data:` line of this many bytes before the answer; plain: a body of that size that is no JSON.
    HugeLine {
        bytes: u64,
    },
    /// `data:` lines without a blank line until the peer leaves; plain: an endless body.
    EndlessData,
    /// This many empty `data:` lines in one event before the answer; plain: a body of that many line feeds.
    EmptyDataLines {
        lines: u64,
    },

    /// Half of the JSON, with a content-length that fits.
    TruncatedJson,
    /// Half of the body the content-length promised, then a close.
    ShortBody,
    /// 200 with an HTML page.
    Html,
    /// 200 with no body.
    EmptyBody,
    /// 200 with an error object.
    ErrorObject,
    /// A plain answer although a stream was asked for; plain: no fault.
    JsonToStream,

    /// Says `content-encoding: gzip` and does not mean it.
    GzipHeader,
    /// The text begins with a byte that no UTF-8 has.
    BadUtf8,
}

impl Fault {
    /// Content frames before the fault; none for faults that are not in the middle of a stream.
    pub(in super::super) fn after(&self) -> Option<u64> {
        match self {
            Fault::Reset { after }
            | Fault::Cut { after }
            | Fault::Stall { after }
            | Fault::CleanEnd { after }
            | Fault::DoneWithoutFinish { after }
            | Fault::MalformedFrame { after }
            | Fault::InBandError(InBandError { after, .. }) => Some(*after),
            _ => None,
        }
    }

    /// Whether a call for a stream gets a plain answer too.
    pub(in super::super) fn is_of_plain_answers(&self) -> bool {
        matches!(
            self,
            Fault::JsonToStream
                | Fault::TruncatedJson
                | Fault::ShortBody
                | Fault::Html
                | Fault::EmptyBody
                | Fault::ErrorObject
        )
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusFault {
    pub status: u16,
    pub retry_after: Option<RetryAfter>,
    /// What differs from the provider's usual error for this status.
    pub error: ErrorWords,
    /// The whole body instead, as it is: HTML, nothing, an error that is a string or not nested.
    pub body: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    Seconds(u64),
    /// A date this many seconds ahead.
    HttpDate(u64),
    /// In the header `retry-after-ms`.
    Ms(u64),
    /// Sent as it is.
    Raw(String),
}

/// Values that replace the provider's usual ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorWords {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Any JSON: compatible servers send numbers. For Anthropic it becomes `details.error_code`, for
    /// Gemini the reason of an `ErrorInfo`.
    pub code: Option<Value>,
    pub message: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InBandError {
    /// 0: the error is the first event of the stream.
    pub after: u64,
    pub error: ErrorWords,
    /// Adds the line `event: error` to an OpenAI frame; Anthropic frames have it anyway.
    pub event_line: bool,
}
