//! Answers to requests whose body was not read to its end.
//!
//! Left alone, actix goes on reading such a body: a chunked one without any limit, another for a second at full speed.
//! Closing at once is no better, because what the client still sends would meet a closed socket, and the reset that
//! follows can cost it the answer. So a little is read and dropped, and then the connection closes.

use std::fmt;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody, SizedStream};
use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::future::ready;
use futures_util::{StreamExt, stream};

/// The most that is read of an unwanted body. More than one read of the connection can hold, so that the answer has
/// left before the connection closes.
const MOST_BYTES: usize = 512 << 10;
const LONGEST: Duration = Duration::from_secs(1);

/// The client goes on sending what nobody wants.
#[derive(Debug)]
struct StillSending;

impl fmt::Display for StillSending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client went on sending a body that was refused")
    }
}

impl std::error::Error for StillSending {}

/// `response`, and behind it an end to `payload`: read to its end if that is near, cut off otherwise.
pub(super) fn drained(response: HttpResponse, payload: Payload) -> HttpResponse {
    response.map_body(|_, body| match (body.size(), body.try_into_bytes()) {
        (BodySize::Sized(size), Ok(text)) => {
            let answer = stream::once(ready(Ok::<Bytes, StillSending>(text)));
            let rest = stream::once(drain(payload)).filter_map(|drained| ready(drained.err().map(Err)));
            BoxBody::new(SizedStream::new(size, Box::pin(answer.chain(rest))))
        }
        (_, Ok(text)) => BoxBody::new(text),
        (_, Err(body)) => body,
    })
}

async fn drain(mut payload: Payload) -> Result<(), StillSending> {
    let to_its_end = async {
        let mut left = MOST_BYTES;
        while let Some(Ok(bytes)) = payload.next().await {
            left = left.checked_sub(bytes.len()).ok_or(StillSending)?;
        }
        Ok(())
    };
    tokio::time::timeout(LONGEST, to_its_end).await.unwrap_or(Err(StillSending))
}
