//! Typed reading of the merged document. Every reader reports what is wrong and lets the caller go on, so that one
//! pass finds all problems.

use std::str::FromStr;
use std::time::Duration;

use figment::value::{Dict, Value};

use super::report::Report;
use super::units;
use super::yaml::join;
use crate::domain::money::{NanoUsd, PicoUsdPerToken};

/// The known name that `wrong` most likely stands for.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    known
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `; did you mean "alpha"?`, or the list of what exists.
pub(super) fn hint<'a>(wrong: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(wrong, known.clone()) {
        Some(name) => format!("; did you mean \"{name}\"?"),
        None => match known.collect::<Vec<_>>() {
            none if none.is_empty() => String::new(),
            names => format!("; known: {}", names.join(", ")),
        },
    }
}

/// A value with its path.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub(super) path: String,
    value: &'a Value,
    report: &'a Report,
}

impl<'a> Field<'a> {
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.report.problem(&self.path, message);
    }

    pub(super) fn key_problem(&self, message: impl Into<String>) {
        self.report.key_problem(&self.path, message);
    }

    pub(super) fn warning(&self, message: impl Into<String>) {
        self.report.warning(&self.path, message);
    }

    pub(super) fn set_by_env(&self) -> bool {
        self.report.set_by_env(&self.path)
    }

    /// Any scalar as it is written, without the spaces around it. Never empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        match self.value {
            Value::String(_, text) if !text.trim().is_empty() => Some(text.trim()),
            Value::String(..) => self.fail("is empty; give it a value or remove the key"),
            Value::Dict(..) => self.fail("must be a single value, not a map"),
            Value::Array(..) => self.fail("must be a single value, not a list"),
            _ => self.fail("has no value; give it one or remove the key"),
        }
    }

    pub(super) fn integer(&self, min: u64, max: u64) -> Option<u64> {
        let text = self.text()?;
        match text.parse::<u64>() {
            Ok(n) if (min..=max).contains(&n) => Some(n),
            _ => self.fail(format!("\"{}\" is not a whole number from {min} to {max}", short(text))),
        }
    }

    pub(super) fn small(&self, min: u32, max: u32) -> Option<u32> {
        self.integer(min.into(), max.into()).and_then(|n| u32::try_from(n).ok())
    }

    /// A duration above zero and at most `max`.
    pub(super) fn duration(&self, max: Duration) -> Option<Duration> {
        let text = self.text()?;
        match units::duration(text) {
            Ok(value) if value.is_zero() => self.fail("must be longer than 0"),
            Ok(value) if value > max => self.fail(format!("must be {} at most", units::print_duration(max))),
            Ok(value) => Some(value),
            Err(why) => self.fail(format!("\"{}\" {why}", short(text))),
        }
    }

    pub(super) fn size_bytes(&self, max: u64) -> Option<usize> {
        let text = self.text()?;
        match units::size_bytes(text) {
            Ok(0) => self.fail("must be larger than 0"),
            Ok(bytes) if bytes > max => self.fail(format!("must be {max} bytes at most")),
            Ok(bytes) => usize::try_from(bytes).ok(),
            Err(why) => self.fail(format!("\"{}\" {why}", short(text))),
        }
    }

    /// An amount of dollars above zero.
    pub(super) fn usd(&self) -> Option<NanoUsd> {
        let text = self.text()?;
        match NanoUsd::from_str(text) {
            Ok(NanoUsd::ZERO) => self.fail("must be more than 0; remove the key for no limit"),
            Ok(amount) => Some(amount),
            Err(why) => self.fail(format!("\"{}\" can't be used: {why}; write dollars such as 0.05", short(text))),
        }
    }

    /// Dollars per million tokens; 0 is a price.
    pub(super) fn price(&self) -> Option<PicoUsdPerToken> {
        let text = self.text()?;
        match PicoUsdPerToken::from_usd_per_million(text) {
            Ok(price) => Some(price),
            Err(why) => {
                let advice = "write dollars per million tokens such as 2.50";
                self.fail(format!("\"{}\" can't be used: {why}; {advice}", short(text)))
            }
        }
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        self.fail(format!("\"{}\" is unknown here; write {known}", short(text)))
    }

    pub(super) fn parsed<T: FromStr>(&self, expected: &str) -> Option<T> {
        let text = self.text()?;
        text.parse().map_or_else(|_| self.fail(format!("\"{}\" is not {expected}", short(text))), Some)
    }

    pub(super) fn list(&self) -> Vec<Field<'a>> {
        match self.value {
            Value::Array(_, items) => {
                let numbered = items.iter().enumerate();
                let field = |(i, value)| Field { path: format!("{}[{i}]", self.path), value, report: self.report };
                numbered.map(field).collect()
            }
            _ => {
                self.problem("must be a list: [a, b], or lines that start with `- `");
                Vec::new()
            }
        }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.value, Value::Dict(..))
    }

    pub(super) fn is_empty_list(&self) -> bool {
        matches!(self.value, Value::Array(_, items) if items.is_empty())
    }

    /// A list, or one value that stands for a list of one.
    pub(super) fn one_or_list(&self) -> Vec<Field<'a>> {
        match self.value {
            Value::Array(..) => self.list(),
            _ => vec![self.clone()],
        }
    }

    /// A map whose keys are names that the operator chose, in the order of the file.
    pub(super) fn named(&self) -> Vec<(&'a str, Field<'a>)> {
        let Some(dict) = self.dict() else { return Vec::new() };
        let field = |(name, value): (&'a String, _)| {
            (name.as_str(), Field { path: join(&self.path, name), value, report: self.report })
        };
        let mut fields: Vec<_> = dict.iter().map(field).collect();
        fields.sort_by_cached_key(|(_, field)| self.report.order(&field.path));
        fields
    }

    /// A map with fixed keys. Any other key is a problem.
    pub(super) fn section(&self, known: &'static [&'static str]) -> Section<'a> {
        let dict = self.dict();
        let section = Section { path: self.path.clone(), known, dict, report: self.report };
        for key in dict.into_iter().flat_map(|dict| dict.keys()) {
            if !known.contains(&key.as_str()) {
                let path = join(&section.path, key);
                self.report.key_problem(&path, format!("unknown key{}", hint(key, known.iter().copied())));
            }
        }
        section
    }

    fn dict(&self) -> Option<&'a Dict> {
        match self.value {
            Value::Dict(_, dict) => Some(dict),
            _ => self.fail("must be a map of keys: { key: value }, or indented lines `key: value`"),
        }
    }

    fn fail<T>(&self, message: impl Into<String>) -> Option<T> {
        self.problem(message);
        None
    }
}

/// The map at `path`, whose keys are fixed. A key without a value counts as absent.
pub(super) struct Section<'a> {
    pub(super) path: String,
    known: &'static [&'static str],
    dict: Option<&'a Dict>,
    report: &'a Report,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub(super) fn root(value: &'a Value, known: &'static [&'static str], report: &'a Report) -> Self {
        Field { path: String::new(), value, report }.section(known)
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Field<'a>> {
        debug_assert!(self.known.contains(&key), "`{key}` is read but not listed as known in `{}`", self.path);
        let value = self.dict?.get(key).filter(|value| !matches!(value, Value::Empty(..)))?;
        Some(Field { path: join(&self.path, key), value, report: self.report })
    }

    /// A key that must be there; `advice` completes "is missing; ".
    pub(super) fn require(&self, key: &'static str, advice: &str) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() && self.dict.is_some() {
            self.report.problem(&join(&self.path, key), format!("is missing; {advice}"));
        }
        field
    }

    /// A section inside this one; when absent, one without keys.
    pub(super) fn section(&self, key: &'static str, known: &'static [&'static str]) -> Section<'a> {
        let absent = || Section { path: join(&self.path, key), known, dict: None, report: self.report };
        self.get(key).map_or_else(absent, |field| field.section(known))
    }

    pub(super) fn duration_or(&self, key: &'static str, max: Duration, default: Duration) -> Duration {
        self.get(key).and_then(|field| field.duration(max)).unwrap_or(default)
    }

    /// A problem with the section as a whole, or with `key` in it.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) {
        let path = if key.is_empty() { self.path.clone() } else { join(&self.path, key) };
        self.report.problem(&path, message);
    }
}

/// The start of a text for a message: a whole pasted document helps nobody.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}
