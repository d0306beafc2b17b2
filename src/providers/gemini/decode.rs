//! Whole answers: a stream of one frame.

use super::stream::Decoder;
use crate::domain::chat::{ChatReply, Gathered};
use crate::providers::DecodeError;

pub(super) fn reply(body: &[u8]) -> Result<ChatReply, DecodeError> {
    let mut events = Vec::new();
    Decoder::default().answer(body, &mut events)?;
    let Gathered { reply, error, .. } = events.into_iter().collect();
    match error {
        Some(error) => Err(DecodeError::InBand(error)),
        None if reply.finish.is_none() && reply.output_bytes() == 0 => Err(DecodeError::Empty),
        None => Ok(reply),
    }
}
