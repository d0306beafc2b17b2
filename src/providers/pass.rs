//! Edits of a body that is passed on in its own format.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

use super::Passed;
use crate::domain::json::{self, Edit};

/// Collects edits, none for what already says the right thing.
pub(super) struct Splice<'a> {
    body: &'a Bytes,
    edits: Vec<Edit<'a>>,
}

impl<'a> Splice<'a> {
    /// With the model and `stream` set, which every format names alike.
    pub(super) fn new(call: &Passed<'a>) -> Self {
        let mut splice = Splice { body: call.body, edits: Vec::with_capacity(4) };
        splice.set("model", &call.owned.model, Value::from(call.model).to_string().into());
        let streams = splice.value(&call.owned.stream) == Some(b"true");
        if streams != call.stream {
            splice.set("stream", &call.owned.stream, if call.stream { "true" } else { "false" }.into());
        }
        splice
    }

    /// The bytes of a field, none when it is absent or null.
    pub(super) fn value(&self, span: &Option<Range<usize>>) -> Option<&'a [u8]> {
        let body: &'a Bytes = self.body;
        body.get(span.clone()?).filter(|value| *value != b"null")
    }

    /// Gives the field this JSON value, in its place or as a new field.
    pub(super) fn set(&mut self, name: &'a str, span: &Option<Range<usize>>, value: Cow<'a, str>) {
        self.edits.push(match span {
            Some(span) => Edit::Replace { span: span.clone(), value },
            None => Edit::Insert { name, value },
        });
    }

    pub(super) fn finish(self) -> Bytes {
        json::splice(self.body, &self.edits)
    }
}
