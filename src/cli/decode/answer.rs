//! A recording as the gateway reads it, and what clients get of it.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use crate::dialects::{About, DIALECTS, Dialect};
use crate::domain::chat::{ChatEvent, ChatReply, Gathered, InBandError};
use crate::domain::error::{GatewayError, UpstreamError};
use crate::domain::failure::{ErrorVerdict, Failure, Phase};
use crate::domain::sse::SseFrame;
use crate::policy::Policies;
use crate::providers::{Adapter, DecodeError};

use super::recording::Recording;

pub(super) struct Read {
    pub(super) kind: &'static str,
    /// How many frames it came in; none = in one body.
    pub(super) frames: Option<usize>,
    pub(super) reply: ChatReply,
    pub(super) failed: Option<(Failure, ErrorVerdict)>,
    pub(super) clients: Vec<Client>,
}

/// The answer in one client format.
pub(super) struct Client {
    pub(super) dialect: &'static str,
    pub(super) whole: Bytes,
    /// For recorded streams.
    pub(super) stream: Option<Bytes>,
}

impl Read {
    /// `status` goes before what the contents tell. Errors: not in the adapter's format.
    pub(super) fn new(adapter: &dyn Adapter, recording: &Recording, status: Option<u16>) -> Result<Read, DecodeError> {
        let (events, reply, error) = match recording {
            Recording::Whole(body) => match adapter.decode(body) {
                Ok(reply) => (None, reply, None),
                Err(DecodeError::InBand(error)) => (None, ChatReply::default(), Some(error)),
                Err(error) => return Err(error),
            },
            Recording::Stream(frames) => {
                let events = events(adapter, frames)?;
                let Gathered { reply, error, .. } = events.iter().cloned().collect();
                if error.is_none() && reply == ChatReply::default() {
                    return Err(DecodeError::Empty);
                }
                (Some(events), reply, error)
            }
        };
        let failed = error.map(|error| {
            let failure = failure(adapter, recording, &reply, error, status);
            let verdict = Policies::built_in().classify(&failure);
            (failure, verdict)
        });
        let clients = DIALECTS.iter().map(|dialect| {
            let error = failed.as_ref().map(|(failure, verdict)| told(failure, verdict));
            client(*dialect, events.as_deref(), &reply, error)
        });
        let frames = match recording {
            Recording::Whole(_) => None,
            Recording::Stream(frames) => Some(frames.len()),
        };
        let clients = clients.collect();
        Ok(Read { kind: adapter.kind(), frames, reply, failed, clients })
    }
}

fn events(adapter: &dyn Adapter, frames: &[SseFrame]) -> Result<Vec<ChatEvent>, DecodeError> {
    let (mut decoder, mut events) = (adapter.decoder(), Vec::new());
    for frame in frames {
        decoder.push(frame, &mut events)?;
    }
    Ok(events)
}

fn failure(
    adapter: &dyn Adapter,
    recording: &Recording,
    reply: &ChatReply,
    error: InBandError,
    status: Option<u16>,
) -> Failure {
    let (body, guessed) = match recording {
        Recording::Whole(body) => (&body[..], guess(body, &error)),
        Recording::Stream(_) => (&b""[..], None),
    };
    let status = status.or(guessed).unwrap_or(200);
    let phase = match (status, reply.output_bytes()) {
        (200, 0) => Phase::FirstContent,
        (200, _) => Phase::MidStream,
        _ => Phase::Status,
    };
    Failure {
        provider: adapter.kind().to_owned(),
        kind: adapter.kind(),
        model: reply.model.clone().unwrap_or_default(),
        phase,
        status: Some(status),
        code: error.code,
        error_type: error.error_type,
        param: error.param,
        message: error.message,
        retry_after: adapter.failure(status, &|_| None, body, SystemTime::now()).retry_after,
        timeout: false,
        empty: false,
    }
}

/// The HTTP status that an error body came with: its own number, or the one that its vendor documents for its type.
fn guess(body: &[u8], error: &InBandError) -> Option<u16> {
    const DOCUMENTED: &[(&str, u16)] = &[
        ("invalid_request_error", 400),
        ("authentication_error", 401),
        ("billing_error", 402),
        ("permission_error", 403),
        ("not_found_error", 404),
        ("request_too_large", 413),
        ("insufficient_quota", 429),
        ("rate_limit_error", 429),
        ("requests", 429),
        ("tokens", 429),
        ("api_error", 500),
        ("server_error", 500),
        ("service_unavailable_error", 503),
        ("timeout_error", 504),
        ("overloaded_error", 529),
    ];
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let value = value.get(0).unwrap_or(&value);
    let numbers = [&value["error"]["code"], &value["raw_status_code"], &value["code"], &value["status"]];
    let numbers = numbers.into_iter().filter_map(|number| u16::try_from(number.as_u64()?).ok());
    let word = error.error_type.as_deref();
    let documented = DOCUMENTED.iter().find(|(known, _)| Some(*known) == word).map(|(_, status)| *status);
    numbers.into_iter().find(|number| (400..600).contains(number)).or(documented)
}

/// What a caller reads when no other target is left. The built-in table leaves nothing open.
fn told(failure: &Failure, verdict: &ErrorVerdict) -> GatewayError {
    GatewayError::Upstream(Box::new(UpstreamError {
        status: verdict.status.unwrap_or(502),
        code: verdict.code.clone().unwrap_or_else(|| "upstream_failed".to_owned()),
        message: verdict.message.clone().unwrap_or_else(|| failure.message.clone()),
        param: failure.param.clone(),
        category: verdict.category,
        retry_after: verdict.after.filter(|after| *after <= Duration::from_secs(60)),
    }))
}

fn client(
    dialect: &dyn Dialect,
    events: Option<&[ChatEvent]>,
    reply: &ChatReply,
    error: Option<GatewayError>,
) -> Client {
    let about = About {
        id: reply.id.clone().unwrap_or_else(|| "recorded".into()),
        created_s: 0,
        model: reply.model.clone().unwrap_or_else(|| "recorded".into()),
        include_usage: true,
        request: Bytes::new(),
        now_s: || 0,
    };
    let whole = match &error {
        Some(error) => dialect.error(error, "recorded").body,
        None => dialect.encode(reply, &about),
    };
    let stream = events.map(|events| {
        let (mut encoder, mut out) = (dialect.encoder(&about), BytesMut::new());
        events.iter().for_each(|event| encoder.push(event, &mut out));
        match &error {
            Some(error) => out.extend_from_slice(&dialect.in_band_error(error, "recorded")),
            None if reply.finish.is_some() => encoder.finish(reply.usage.as_ref(), &mut out),
            // It broke off, and so does what clients get.
            None => {}
        }
        out.freeze()
    });
    Client { dialect: dialect.name(), whole, stream }
}
