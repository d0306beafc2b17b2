//! YAML text to plain values, with the place of every key.
//!
//! Scalars stay text: what a value must look like depends on its key, and money must not pass through a float.

use std::fmt;

use figment::value::{Dict, Empty, Tag, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location, Spanned};

use super::report::{Place, Report};

/// Alias expansions that a config may need; a bomb needs far more.
const MAX_ALIAS_EVENTS: usize = 10_000;

/// Reads one document. None = it could not be read, and the report says why.
pub(super) fn read(text: &str, report: &Report) -> Option<Value> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // Passed through, so that every duplicate is reported and not only the first.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIAS_EVENTS },
    };
    match serde_saphyr::from_str_with_options::<Spanned<Kind>>(text, options) {
        Ok(tree) => Some(plain(tree, None, String::new(), &Reading { text, report })),
        Err(error) => {
            report.problem_at(error.location().map(|at| position(&at)), "", advice(&error));
            None
        }
    }
}

fn advice(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => advice(error),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "the document grows too large once its aliases (`*name`) are expanded; write the values out".to_owned()
        }
        Error::MultipleDocuments { .. } => {
            "a config is one YAML document; remove this `---` and what follows".to_owned()
        }
        Error::UnknownAnchor { .. } => {
            "this alias (`*name`) has no anchor (`&name`); define it above, or put quotes around the text".to_owned()
        }
        other => {
            let full = other.to_string();
            let what = full.split(" at line ").next().unwrap_or(&full);
            format!("not valid YAML: {what}; check brackets, quotes and indentation here and on the line above")
        }
    }
}

fn position(at: &Location) -> (u32, u32) {
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    (narrow(at.line()), narrow(at.column()))
}

struct Reading<'a> {
    text: &'a str,
    report: &'a Report,
}

fn plain(node: Spanned<Kind>, key: Option<(u32, u32)>, path: String, reading: &Reading<'_>) -> Value {
    let value_at = position(&node.referenced);
    reading.report.put(&path, Place::File { key: key.unwrap_or(value_at), value: value_at });
    match node.value {
        Kind::Null => Value::Empty(Tag::Default, Empty::None),
        Kind::Text(text) => Value::String(Tag::Default, text),
        Kind::Untyped(fallback) => {
            let span = node.defined.span();
            let written = span.byte_offset().zip(span.byte_len()).and_then(|(from, len)| {
                let from = usize::try_from(from).ok()?;
                reading.text.get(from..from.checked_add(usize::try_from(len).ok()?)?)
            });
            Value::String(Tag::Default, written.map_or(fallback, str::to_owned))
        }
        Kind::List(items) => {
            let numbered = items.into_iter().enumerate();
            let items = numbered.map(|(i, item)| plain(item, None, format!("{path}[{i}]"), reading)).collect();
            Value::Array(Tag::Default, items)
        }
        Kind::Map(entries) => {
            let mut dict = Dict::new();
            for (name, item) in entries {
                let at = position(&name.referenced);
                let path = join(&path, &name.value);
                if dict.contains_key(&name.value) {
                    let message = "this key is given twice; keep one of them";
                    reading.report.problem_at(Some(at), &path, message);
                    continue;
                }
                dict.insert(name.value, plain(item, Some(at), path, reading));
            }
            Value::Dict(Tag::Default, dict)
        }
    }
}

/// `path.key`, or the key alone at the top.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

enum Kind {
    Null,
    Text(String),
    /// A number or a boolean, as the parser prints it; the text in the file is preferred.
    Untyped(String),
    List(Vec<Spanned<Kind>>),
    Map(Vec<(Spanned<String>, Spanned<Kind>)>),
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Untyped(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Untyped(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Untyped(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Kind, E> {
        Ok(Kind::Untyped(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Kind, E> {
        Ok(Kind::Untyped(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Untyped(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Kind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Kind, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Kind::Map(map))
    }
}
