//! Error objects of all the shapes seen in the field: nested, flat, a bare text, numeric codes, validation lists.

use serde_json::Value;

use super::{FailureParts, retry_after};
use crate::domain::chat::InBandError;

/// Bytes of a provider's text that are kept.
const MESSAGE_BYTES: usize = 2_048;

/// How keys of well-known vendors begin.
const KEY_PREFIXES: &[&str] = &["sk-", "sk_", "pk-", "rk-", "AIza", "xai-", "gsk_", "hf_", "key-", "nvapi-", "pplx-"];

/// Reads `value` as an error; none when it is not one.
pub(super) fn read(value: &Value) -> Option<InBandError> {
    // Gemini's compatible endpoint wraps its error into a list.
    let value = value.get(0).unwrap_or(value);
    let error = match value.get("error") {
        Some(Value::String(text)) => {
            let error_type = scalar(&value["error_type"]).or_else(|| scalar(&value["type"]));
            return Some(InBandError { message: spoken(text), code: scalar(&value["code"]), error_type, param: None });
        }
        Some(nested @ Value::Object(_)) => nested,
        _ if is_flat(value) => value,
        _ => return None,
    };
    let details = &error["details"];
    Some(InBandError {
        message: spoken(&message(error)),
        // Anthropic's details, and what Azure says inside where it says nothing outside.
        code: scalar(&error["code"])
            .or_else(|| scalar(&details["error_code"]))
            .or_else(|| scalar(&error["innererror"]["code"])),
        error_type: scalar(&error["type"]).or_else(|| scalar(&error["status"])),
        param: scalar(&error["param"]),
    })
}

/// The data of an event that is named an error, whatever it holds.
pub(super) fn named(data: &[u8]) -> InBandError {
    let error = serde_json::from_slice(data).ok().and_then(|value| read(&value));
    error.unwrap_or_else(|| InBandError { message: spoken(&String::from_utf8_lossy(data)), ..InBandError::default() })
}

/// The facts of an error answer, whatever its body.
pub(super) fn failure(status: u16, body: &[u8], wait: retry_after::Asked<'_>) -> FailureParts {
    let parsed: Option<Value> = serde_json::from_slice(body).ok();
    let error = parsed.as_ref().and_then(read).unwrap_or_default();
    let message = if error.message.is_empty() { unstructured(status, parsed.is_some(), body) } else { error.message };
    FailureParts {
        code: error.code,
        error_type: error.error_type,
        param: error.param,
        message,
        retry_after: retry_after::seconds(status, wait),
    }
}

fn is_flat(value: &Value) -> bool {
    value["object"] == "error"
        || value["message"].is_string()
        || matches!(value["detail"], Value::String(_) | Value::Array(_))
}

fn message(error: &Value) -> String {
    if let Some(text) = error["message"].as_str() {
        return text.to_owned();
    }
    match (&error["detail"], &error["message"]) {
        (Value::String(text), _) => text.clone(),
        (Value::Array(list), _) | (_, Value::Array(list)) => {
            let texts: Vec<&str> = list.iter().filter_map(|one| one["msg"].as_str()).collect();
            texts.join("; ")
        }
        (_, nested @ Value::Object(_)) => message(nested),
        _ => String::new(),
    }
}

fn spoken(text: &str) -> String {
    if text.trim().is_empty() { "the provider gave no message".into() } else { tidy(text) }
}

/// Text or number as text; codes come as either.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn unstructured(status: u16, is_json: bool, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() || is_json || text.starts_with('<') {
        // A proxy's HTML page or an unknown JSON shape tells a caller nothing.
        return format!("HTTP {status} without a readable message");
    }
    tidy(text)
}

/// The text without what looks like a key, cut at a character boundary.
pub(super) fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MESSAGE_BYTES));
    let mut bearer = false;
    for word in text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*'))) {
        let bare = word.trim_end_matches(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*')));
        let is_key = bare.len() >= 8 && (bearer || KEY_PREFIXES.iter().any(|prefix| bare.starts_with(prefix)));
        bearer = bare.eq_ignore_ascii_case("bearer");
        let shown = if is_key { "[key]" } else { bare };
        for piece in [shown, &word[bare.len()..]] {
            if out.len() + piece.len() > MESSAGE_BYTES {
                let room = MESSAGE_BYTES - out.len();
                out.push_str(&piece[..piece.floor_char_boundary(room)]);
                return out;
            }
            out.push_str(piece);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(value: Value) -> (String, Option<String>, Option<String>, Option<String>) {
        let error = read(&value).expect("an error");
        (error.message, error.code, error.error_type, error.param)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn errors_of_every_known_shape_are_read() {
        let nested = json!({"error": {"message": "m", "type": "t", "param": "p", "code": "c"}});
        assert_eq!(parts(nested), ("m".into(), some("c"), some("t"), some("p")));
        let numeric = json!({"error": {"message": "m", "type": "BadRequestError", "param": null, "code": 400}});
        assert_eq!(parts(numeric), ("m".into(), some("400"), some("BadRequestError"), None));
        let text = json!({"error": "model is overloaded", "error_type": "overloaded"});
        assert_eq!(parts(text), ("model is overloaded".into(), None, some("overloaded"), None));
        let flat = json!({"object": "error", "message": "m", "type": "t", "param": null, "code": 1500});
        assert_eq!(parts(flat), ("m".into(), some("1500"), some("t"), None));
        let validation = json!({"detail": [{"loc": ["body", "n"], "msg": "too large"}, {"msg": "and odd"}]});
        assert_eq!(parts(validation), ("too large; and odd".into(), None, None, None));
        let listed = json!([{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}]);
        assert_eq!(parts(listed), ("m".into(), some("429"), some("RESOURCE_EXHAUSTED"), None));
        let spend = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "m",
            "details": {"error_code": "enforced_spend_limit_reached"}}});
        assert_eq!(parts(spend), ("m".into(), some("enforced_spend_limit_reached"), some("rate_limit_error"), None));
        assert_eq!(read(&json!({"choices": []})), None);
    }

    #[test]
    fn keys_do_not_leave_and_long_texts_are_cut_at_a_character() {
        assert_eq!(tidy("Incorrect key: sk-proj-abc123DEF. See docs"), "Incorrect key: [key] See docs");
        assert_eq!(tidy("sent Bearer abcdefgh12345, no"), "sent Bearer [key], no");
        assert_eq!(tidy("try the task-list"), "try the task-list");
        let long = tidy(&"é ".repeat(3_000));
        assert!(long.len() <= MESSAGE_BYTES && long.len() > MESSAGE_BYTES - 4);
    }

    #[test]
    fn a_page_of_html_is_not_a_message() {
        assert_eq!(unstructured(502, false, b"<html><body>Bad gateway"), "HTTP 502 without a readable message");
        assert_eq!(unstructured(500, false, b" upstream connect error "), "upstream connect error");
    }
}
