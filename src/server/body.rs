//! Reading a request body within its caps.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use crate::domain::error::GatewayError;

/// Bodies up to this many bytes are copied: a slice would keep the connection's whole read buffer (8 KiB) for as long
/// as the run lives, and make the connection take another.
const SMALL: usize = 4 << 10;

/// The whole body, at most `cap` bytes, within `time`.
/// Errors: `BodyTooLarge` before a byte too many is kept, `UnsupportedMediaType` for compressed bodies (a small one may
/// unpack to gigabytes), `RequestTimeout`.
pub(super) async fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    cap: usize,
    time: Duration,
) -> Result<Bytes, GatewayError> {
    let too_large = || GatewayError::BodyTooLarge { limit_bytes: u64::try_from(cap).unwrap_or(u64::MAX) };
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(coding) = header(CONTENT_ENCODING)
        && !coding.eq_ignore_ascii_case("identity")
    {
        let message = "Send the body without Content-Encoding; compressed requests are not accepted.".to_owned();
        return Err(GatewayError::UnsupportedMediaType { message });
    }
    let announced = header(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > cap) {
        return Err(too_large());
    }
    let by = Instant::now() + time;
    let mut body = BytesMut::new();
    loop {
        let chunk = timeout_at(by, payload.next()).await.map_err(|_| GatewayError::RequestTimeout)?;
        match chunk {
            None => return Ok(body.freeze()),
            Some(Ok(bytes)) => {
                if body.len() + bytes.len() > cap {
                    return Err(too_large());
                }
                if body.is_empty() && announced == Some(bytes.len()) && bytes.len() > SMALL {
                    // One read holds it all.
                    return Ok(bytes);
                }
                body.extend_from_slice(&bytes);
            }
            Some(Err(error)) => {
                return Err(GatewayError::invalid(format!("the request body broke off: {error}"), None));
            }
        }
    }
}
