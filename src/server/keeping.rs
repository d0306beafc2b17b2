//! Which calls are journaled, and under which names their answers are found again.

use actix_web::HttpRequest;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::dialects::{Decoded, Dialect, Keeping, UI_MESSAGES};
use crate::domain::caller::Caller;
use crate::domain::error::GatewayError;
use crate::domain::kept::{Claim, KeptName, NameKind};
use crate::pipeline::Journaled;

/// Longest `Idempotency-Key`, in bytes.
const LONGEST_KEY: usize = 255;

/// How this call is kept; none = nothing of it is. A chat page may come for its answer again, and so may whoever sends an
/// `Idempotency-Key`: they get it even after they left. A stored response is kept as far as its client stayed.
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
    let stored = decoded.keeping.as_ref().is_some_and(|keeping| keeping.store);
    let outlives_connection = claim.is_some() || name.is_some();
    let how = || Journaled { request: body.clone(), claim, name, outlives_connection };
    Ok((outlives_connection || stored).then(how))
}

/// Whether the call is for the queue.
/// Errors: a response that is not kept and that nobody would wait for.
pub(super) fn in_background(keeping: Option<&Keeping>) -> Result<bool, GatewayError> {
    match keeping {
        Some(Keeping { background: true, store: false, .. }) => {
            let message = "`background` needs `store`: an answer that nobody waits for has to be kept.";
            Err(GatewayError::invalid(message, Some("background")))
        }
        Some(Keeping { background, .. }) => Ok(*background),
        None => Ok(false),
    }
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
    let name =
        KeptName::new(NameKind::Idempotency, &caller.key, &[caller.user.as_bytes(), request.path().as_bytes(), key]);
    Ok(Some(Claim { name, body: Sha256::digest(body).into() }))
}
