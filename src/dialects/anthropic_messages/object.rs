//! An object of the client's, field by field: values keep their spelling, and what nobody asked for is left over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

pub(super) struct Object<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

/// A value of another type than it should have. The reader's own text would repeat the prompt.
pub(super) struct WrongType;

impl<'a> Object<'a> {
    pub(super) fn read(raw: &'a str) -> Result<Self, WrongType> {
        serde_json::from_str(raw).map(Object).map_err(|_| WrongType)
    }

    /// Takes a field out; null is absent.
    pub(super) fn take<T: Deserialize<'a>>(&mut self, name: &str) -> Result<Option<T>, WrongType> {
        let Some(raw) = self.0.remove(name).filter(|raw| raw.get() != "null") else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| WrongType)
    }

    /// A text, empty when absent.
    pub(super) fn text(&mut self, name: &str) -> Result<String, WrongType> {
        Ok(self.take(name)?.unwrap_or_default())
    }

    /// Reports what is left: `place.name` for each field.
    pub(super) fn left_over(self, place: &str, extra: &mut Map<String, Value>) {
        for (name, raw) in self.0 {
            if let Ok(value) = serde_json::from_str::<Value>(raw.get())
                && !value.is_null()
            {
                extra.insert(format!("{place}.{name}"), value);
            }
        }
    }
}
