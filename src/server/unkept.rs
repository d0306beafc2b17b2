//! What a client wants to be kept of its call.

use crate::dialects::Keeping;
use crate::domain::error::GatewayError;

/// Refuses what would need an answer of before, or one that nobody waits for: no answer is kept here.
pub(super) fn refuse(keeping: Option<&Keeping>) -> Result<(), GatewayError> {
    let Some(keeping) = keeping else { return Ok(()) };
    if let Some(id) = &keeping.previous_response_id {
        let id: String = id.chars().take(64).collect();
        let message = format!("No stored response has the id `{id}`; send the whole dialogue in `input`.");
        return Err(GatewayError::invalid(message, Some("previous_response_id")));
    }
    match (keeping.background, keeping.store) {
        (true, false) => {
            let message = "`background` needs `store`: an answer that nobody waits for has to be kept.";
            Err(GatewayError::invalid(message, Some("background")))
        }
        (true, true) => {
            let message = "This gateway answers while the client waits; leave `background` out.";
            Err(GatewayError::invalid(message, Some("background")))
        }
        (false, _) => Ok(()),
    }
}
