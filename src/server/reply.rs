//! From a run's head and frames to an HTTP response.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::Stream;
use uuid::Uuid;

use crate::dialects::Dialect;
use crate::domain::error::GatewayError;
use crate::pipeline::{Frame, Head, RunHandle};

/// Longest request id that is echoed, in bytes.
const LONGEST_REQUEST_ID: usize = 128;

/// The caller's own `x-request-id` where it is harmless, a new one otherwise.
pub(super) fn request_id(request: &HttpRequest) -> String {
    let given = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    match given {
        Some(id) if (1..=LONGEST_REQUEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) => {
            id.to_owned()
        }
        _ => format!("req_{}", Uuid::now_v7().simple()),
    }
}

/// Waits for the run's head.
pub(super) async fn from_run(dialect: &dyn Dialect, mut handle: RunHandle, request_id: &str) -> HttpResponse {
    match (&mut handle.head).await {
        Ok(mut head) => match head.body.take() {
            Some(body) => with_head(head).body(body),
            None => with_head(head).streaming(Frames { handle, broke_off: false }),
        },
        // The run ended without a head, which only a stopped runtime brings about.
        Err(_) => error(dialect, &GatewayError::Internal, request_id),
    }
}

/// An error reply of a request that never became a run.
pub(super) fn error(dialect: &dyn Dialect, error: &GatewayError, request_id: &str) -> HttpResponse {
    let reply = dialect.error(error, request_id);
    let mut headers = reply.headers;
    headers.push(("x-request-id", request_id.to_owned()));
    headers.extend(dialect.request_id_header().map(|name| (name, request_id.to_owned())));
    let head = Head {
        status: reply.status,
        content_type: reply.content_type.into(),
        headers,
        replayed: Vec::new(),
        body: None,
    };
    let mut builder = with_head(head);
    if matches!(error, GatewayError::BodyTooLarge { .. } | GatewayError::RequestTimeout | GatewayError::ShuttingDown) {
        // What is still to come of the request is not read.
        builder.force_close();
    }
    builder.body(reply.body)
}

fn with_head(head: Head) -> actix_web::HttpResponseBuilder {
    let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    builder.insert_header(("content-type", &*head.content_type)).insert_header(("cache-control", "no-store"));
    let fresh = head.headers.into_iter().map(|(name, value)| (HeaderName::from_static(name), value));
    let replayed =
        head.replayed.into_iter().filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, value)));
    for (name, value) in fresh.chain(replayed) {
        // Values may quote config or a provider; what no header may carry is left out instead of sent mangled.
        if let Ok(value) = HeaderValue::from_str(&value) {
            builder.insert_header((name, value));
        }
    }
    builder
}

/// The stream ended before its end: the connection has to end abnormally as well.
#[derive(Debug)]
struct Aborted;

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer broke off")
    }
}

impl std::error::Error for Aborted {}

/// A run's frames as a response body, one chunk per frame. Dropping it tells the run that the client is gone.
struct Frames {
    handle: RunHandle,
    broke_off: bool,
}

impl Stream for Frames {
    type Item = Result<Bytes, Aborted>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.handle.frames.poll_recv(context)) {
            Some(Frame::Bytes(bytes)) => Poll::Ready(Some(Ok(bytes))),
            Some(Frame::End) => Poll::Ready(None),
            None if self.broke_off => Poll::Ready(Some(Err(Aborted))),
            None => {
                // An error makes actix drop what it has not written yet, and that is the error frame or even the
                // head. It writes whenever a body has nothing to give, so the error comes a turn later.
                self.broke_off = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
