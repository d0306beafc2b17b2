//! Which calls are journaled, and under which names their answers are found again.

use actix_web::HttpRequest;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::domain::caller::Caller;
use crate::domain::error::GatewayError;
use crate::domain::kept::{Claim, KeptName, NameKind};
use crate::pipeline::Journaled;

/// Longest `Idempotency-Key`, in bytes.
const LONGEST_KEY: usize = 255;

/// How this call is kept; none = nothing of it is.
/// Errors: an `Idempotency-Key` that is empty, too long, given twice, or has other than visible ASCII characters.
pub(super) fn journaled(
    request: &HttpRequest,
    caller: &Caller,
    body: &Bytes,
) -> Result<Option<Journaled>, GatewayError> {
    let Some(claim) = claim(request, caller, body)? else { return Ok(None) };
    Ok(Some(Journaled { request: body.clone(), claim: Some(claim), name: None, outlives_connection: true }))
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
