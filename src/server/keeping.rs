//! Which calls are journaled, and under which names their answers are found again.

use actix_web::HttpRequest;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::dialects::{Decoded, Dialect, UI_MESSAGES};
use crate::domain::caller::Caller;
use crate::domain::error::GatewayError;
use crate::domain::kept::{Claim, KeptName, NameKind};
use crate::pipeline::Journaled;

/// Longest `Idempotency-Key`, in bytes.
const LONGEST_KEY: usize = 255;

/// How this call is kept; none = nothing of it is. A chat page may come for its answer again, and so may whoever sends an
/// `Idempotency-Key`.
/// Errors: an `Idempotency-Key` that is empty, too long, given twice, or has other than visible ASCII characters.
pub(super) fn journaled(
    request: &HttpRequest,
    caller: &Caller,
    body: &Bytes,
    dialect: &dyn Dialect,
    decoded: &Decoded,
) -> Result<Option<Journaled>, GatewayError> {
    let claim = claim(request, caller, body)?;
    let chat = decoded.conversation.as_ref().and_then(|conversation| conversation.id.as_deref());
    let name = chat.filter(|_| dialect.name() == UI_MESSAGES.name()).map(|chat| chat_name(caller, chat));
    if claim.is_none() && name.is_none() {
        return Ok(None);
    }
    Ok(Some(Journaled { request: body.clone(), claim, name, outlives_connection: true }))
}

/// Leads to the newest answer in a chat of the caller's user.
pub(super) fn chat_name(caller: &Caller, chat: &str) -> KeptName {
    KeptName::new(NameKind::Chat, &caller.key, &[caller.user.as_bytes(), chat.as_bytes()])
}

fn claim(request: &HttpRequest, caller: &Caller, body: &Bytes) -> Result<Option<Claim>, GatewayError> {
    let mut given = request.headers().get_all("idempotency-key");
    let Some(key) = given.next() else { return Ok(None) };
    let key = key.as_bytes();
    let sound = (1..=LONGEST_KEY).contains(&key.len()) && key.iter().all(|byte| (b' '..=b'~').contains(byte));
    if !sound || given.next().is_some() {
        let message = format!("Send one Idempotency-Key of 1 to {LONGEST_KEY} visible ASCII characters.");
        return Err(GatewayError::invalid(message, None));
    }
    let name = KeptName::new(NameKind::Idempotency, &caller.key, &[request.path().as_bytes(), key]);
    Ok(Some(Claim { name, body: Sha256::digest(body).into() }))
}
