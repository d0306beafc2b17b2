//! Top-level fields of a JSON object by their place in the original bytes, and splicing of new values into them.
//!
//! Passthrough must not re-encode a body (numbers keep their spelling, unknown fields survive, nothing is
//! re-ordered), so the gateway edits the few fields it owns in place.

mod halves;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

pub use halves::mended;

/// The deepest nesting a body may have.
pub const MAX_DEPTH: usize = 128;

/// Why a body is not a usable JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    NotJson { message: String, line: usize, column: usize },
    NotAnObject,
    TooDeep,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonError::NotJson { message, line, column } => {
                write!(f, "the body is not valid JSON: {message} at line {line}, column {column}")
            }
            JsonError::NotAnObject => f.write_str("the body must be a JSON object"),
            JsonError::TooDeep => write!(f, "the body is nested deeper than {MAX_DEPTH} levels"),
        }
    }
}

impl std::error::Error for JsonError {}

/// A top-level field: its name and where its value stands in the original bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: Cow<'a, str>,
    pub value: &'a str,
    pub span: Range<usize>,
}

/// Reads the top level of `body`; values stay raw. The order and any duplicates are kept.
pub fn fields(body: &[u8]) -> Result<Vec<Field<'_>>, JsonError> {
    let text = std::str::from_utf8(body).map_err(|e| {
        let before = &body[..e.valid_up_to()];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.len() - before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1) + 1;
        JsonError::NotJson { message: "invalid UTF-8".into(), line, column }
    })?;
    if depth_exceeds(body, MAX_DEPTH) {
        return Err(JsonError::TooDeep);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let pairs = reader.deserialize_any(Pairs).and_then(|pairs| reader.end().map(|()| pairs)).map_err(|e| {
        if e.is_data() {
            return JsonError::NotAnObject;
        }
        let (line, column) = (e.line(), e.column());
        let full = e.to_string();
        let message = full.split(" at line ").next().unwrap_or(&full).to_owned();
        JsonError::NotJson { message, line, column }
    })?;
    let base = text.as_ptr() as usize;
    Ok(pairs
        .into_iter()
        .map(|(name, raw)| {
            let value = raw.get();
            let start = value.as_ptr() as usize - base;
            Field { name, value, span: start..start + value.len() }
        })
        .collect())
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(16);
        while let Some(BorrowedName(name)) = map.next_key()? {
            pairs.push((name, map.next_value::<&RawValue>()?));
        }
        Ok(pairs)
    }
}

/// A key that borrows where the JSON has no escapes; `Cow`'s own implementation always copies.
#[derive(serde::Deserialize)]
struct BorrowedName<'a>(#[serde(borrow)] Cow<'a, str>);

/// One pass over the bytes: nesting of arrays and objects outside strings.
fn depth_exceeds(body: &[u8], max: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in body {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// An edit of a top-level field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Put `value` (JSON text) in place of the bytes at `span`.
    Replace { span: Range<usize>, value: Cow<'a, str> },
    /// Add a field that the object does not have.
    Insert { name: &'a str, value: Cow<'a, str> },
}

/// Applies `edits` to the bytes of a JSON object; everything else stays as it is, byte for byte. Spans must come
/// from [`fields`] of the same bytes.
pub fn splice(body: &Bytes, edits: &[Edit<'_>]) -> Bytes {
    if edits.is_empty() {
        return body.clone();
    }
    let mut replacements: Vec<(&Range<usize>, &str)> = edits
        .iter()
        .filter_map(|e| match e {
            Edit::Replace { span, value } => Some((span, value.as_ref())),
            Edit::Insert { .. } => None,
        })
        .collect();
    replacements.sort_by_key(|(span, _)| span.start);
    let mut out = BytesMut::with_capacity(body.len() + 64 * edits.len());
    let mut from = 0;
    // New fields go first: that place needs no knowledge of what the object ends with.
    if let Some(open) = body.iter().position(|b| *b == b'{') {
        let inserts: Vec<(&str, &str)> = edits
            .iter()
            .filter_map(|e| match e {
                Edit::Insert { name, value } => Some((*name, value.as_ref())),
                Edit::Replace { .. } => None,
            })
            .collect();
        out.extend_from_slice(&body[..=open]);
        from = open + 1;
        let empty = body[from..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'}');
        for (i, (name, value)) in inserts.iter().enumerate() {
            out.extend_from_slice(b"\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.as_bytes());
            if !(empty && i + 1 == inserts.len()) {
                out.extend_from_slice(b",");
            }
        }
    }
    for (span, value) in replacements {
        out.extend_from_slice(&body[from..span.start]);
        out.extend_from_slice(value.as_bytes());
        from = span.end;
    }
    out.extend_from_slice(&body[from..]);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_their_spans_and_duplicates() {
        let body = br#" {"model" : "a", "x":[1,{"y":2}], "model":1e5}"#;
        let found = fields(body).expect("valid");
        let names: Vec<&str> = found.iter().map(|f| f.name.as_ref()).collect();
        assert_eq!(names, ["model", "x", "model"]);
        assert_eq!(&body[found[2].span.clone()], b"1e5");
    }

    #[test]
    fn splicing_touches_nothing_else() {
        let body = Bytes::from_static(br#"{ "model" : "auto", "temperature":1.50, "u":"\u00e9" }"#);
        let model = fields(&body).expect("valid")[0].span.clone();
        let edits = [
            Edit::Replace { span: model, value: "\"gpt\"".into() },
            Edit::Insert { name: "max_tokens", value: "7".into() },
        ];
        assert_eq!(
            splice(&body, &edits),
            Bytes::from_static(br#"{"max_tokens":7, "model" : "gpt", "temperature":1.50, "u":"\u00e9" }"#)
        );
        let edits = [Edit::Insert { name: "a", value: "1".into() }, Edit::Insert { name: "b", value: "2".into() }];
        assert_eq!(splice(&Bytes::from_static(b"{ }"), &edits), Bytes::from_static(br#"{"a":1,"b":2 }"#));
    }

    #[test]
    fn what_is_not_a_json_object_says_so_with_its_place() {
        assert!(matches!(fields(b"{\"a\":\n nope}"), Err(JsonError::NotJson { line: 2, .. })));
        assert_eq!(fields(b"[1]"), Err(JsonError::NotAnObject));
        assert_eq!(fields(b"\"x\""), Err(JsonError::NotAnObject));
        assert!(matches!(fields(b"{\"a\":\"\xff\"}"), Err(JsonError::NotJson { .. })));
        assert!(matches!(fields(b"{} x"), Err(JsonError::NotJson { .. })));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(fields(deep.as_bytes()), Err(JsonError::TooDeep));
        let brackets_in_text = format!("{{\"a\":\"{}\"}}", "[".repeat(200));
        assert!(fields(brackets_in_text.as_bytes()).is_ok());
    }
}
