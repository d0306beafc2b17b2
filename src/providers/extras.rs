//! Fields of a request that the internal language has no word for.

use serde_json::{Map, Value};

use crate::domain::error::GatewayError;

/// Sorts them into what `take` understands (it says so), what says nothing, and what is left out and reported.
///
/// Errors: more than one answer is asked for. A caller that gets one would not notice.
pub(super) fn sort(
    extra: &Map<String, Value>,
    dropped: &mut Vec<String>,
    mut take: impl FnMut(&str, &Value) -> bool,
) -> Result<(), GatewayError> {
    for (name, value) in extra {
        match name.as_str() {
            "n" | "best_of" if *value != 1 => {
                let message = format!("`{name}` must be 1 for the model in use, which gives one answer per call.");
                return Err(GatewayError::invalid(message, Some(name)));
            }
            // Metadata is for this gateway's policies.
            "n" | "best_of" | "metadata" => {}
            name if take(name, value) => {}
            _ if says_nothing(value) => {}
            name => dropped.push(name.to_owned()),
        }
    }
    Ok(())
}

/// `logprobs: false` and `presence_penalty: 0` ask for what happens anyway, so leaving them out is no loss.
pub(super) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Object(fields) => fields.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty() || text == "auto",
        Value::Bool(true) => false,
    }
}
