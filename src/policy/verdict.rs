//! From the values a runner of `prelude.luau` returns to a verdict. Fields were checked there.

use std::time::Duration;

use mlua::LuaString;

use crate::domain::facts::Admission;
use crate::domain::failure::{Category, ErrorVerdict};

/// A longer wait is as good as this one, and durations stay far from overflow.
const MAX_SECONDS: f64 = 31.0 * 24.0 * 3600.0;
/// Bytes of a message that callers read.
const MAX_MESSAGE_BYTES: usize = 2048;

/// kind, tier or code, cap or status, message.
pub(super) type RawAdmission = (LuaString, Option<LuaString>, Option<f64>, Option<LuaString>);

pub(super) fn admission((kind, name, number, message): RawAdmission, max_tokens: u64) -> Option<Admission> {
    match &*kind.as_bytes() {
        b"allow" => Some(Admission::Allow {
            tier: name.as_ref().map(text),
            // A policy lowers the cap that is in force; asking for more changes nothing.
            max_tokens: number.map(|cap| (cap as u64).min(max_tokens)),
        }),
        b"deny" => Some(Admission::Deny { status: number? as u16, code: text(&name?), message: text(&message?) }),
        b"background" => Some(Admission::Background),
        _ => None,
    }
}

/// kind, after, next_target, cool_down, message, code, status.
pub(super) type RawErrors =
    (LuaString, Option<f64>, Option<bool>, Option<f64>, Option<LuaString>, Option<LuaString>, Option<f64>);

pub(super) fn errors((kind, after, next_target, cool_down, message, code, status): RawErrors) -> Option<ErrorVerdict> {
    let category = match &*kind.as_bytes() {
        b"retryable" => Category::Retryable,
        b"user_actionable" => Category::UserActionable,
        b"permanent" => Category::Permanent,
        _ => return None,
    };
    Some(ErrorVerdict {
        category,
        after: after.and_then(seconds),
        next_target: next_target.unwrap_or(category == Category::Retryable),
        cool_down: cool_down.and_then(seconds),
        message: message.as_ref().map(text),
        code: code.as_ref().map(text),
        status: status.map(|status| status as u16),
    })
}

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds.min(MAX_SECONDS)).ok()
}

/// A script may cut a provider's text in the middle of a character.
fn text(text: &LuaString) -> String {
    let mut text = text.to_string_lossy();
    if text.len() > MAX_MESSAGE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_MESSAGE_BYTES));
    }
    text
}
