//! Thought signatures: opaque texts on parts of an answer that have to come back on the same parts.
//!
//! The gateway keeps no state, so they travel through the client as signatures of reasoning, marked with the part they
//! belong to; clients may return reasoning, text and calls in another order.

use std::borrow::Cow;

use super::KIND;
use super::request::Piece;
use crate::domain::chat::Part;
use crate::domain::signatures::{mark, unmark};

/// What Google documents for calls whose signature is lost, or that another model made: Gemini 3 and later refuse
/// calls without one.
const LOST: &str = "skip_thought_signature_validator";

const TEXT: &str = "text";

pub(super) fn on_text(signature: &str) -> String {
    mark(KIND, TEXT, signature)
}

/// On the call of an answer with this number, counted from 0.
pub(super) fn on_call(number: usize, signature: &str) -> String {
    mark(KIND, &number.to_string(), signature)
}

/// Puts the signatures of an assistant's message back onto its pieces.
pub(super) fn restore<'a>(message: &'a [Part], pieces: &mut Vec<Piece<'a>>, model: &str) {
    for part in message {
        let Part::Reasoning { signature: Some(marked), .. } = part else { continue };
        let Some((place, signature)) = unmark(KIND, marked) else { continue };
        let piece = match place.parse::<usize>() {
            Ok(number) => pieces.iter_mut().filter(|piece| piece.function_call.is_some()).nth(number),
            Err(_) => pieces.iter_mut().rfind(|piece| piece.text.is_some()),
        };
        match piece {
            Some(piece) => piece.thought_signature = Some(Cow::Borrowed(signature)),
            // It came on an empty text, which clients don't keep.
            None if place == TEXT => {
                let thought_signature = Some(Cow::Borrowed(signature));
                pieces.push(Piece { text: Some(""), thought_signature, ..Piece::default() });
            }
            None => {}
        }
    }
    // Of calls side by side only the first is signed.
    let first = pieces.iter_mut().find(|piece| piece.function_call.is_some());
    if let Some(call) = first.filter(|call| call.thought_signature.is_none() && checks_signatures(model)) {
        call.thought_signature = Some(Cow::Borrowed(LOST));
    }
}

fn checks_signatures(model: &str) -> bool {
    let model = model.strip_prefix("models/").unwrap_or(model);
    !["gemini-1", "gemini-2"].iter().any(|old| model.starts_with(old))
}
