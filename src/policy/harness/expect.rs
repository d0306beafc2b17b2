//! What a case expects, against what the policy decided.

use std::fmt;

use mlua::Value;

use crate::domain::facts::Admission;
use crate::domain::failure::ErrorVerdict;
use crate::policy::facts::nearest;

/// The value of one field, as tests write it.
#[derive(Clone, Debug, PartialEq)]
enum Field {
    None,
    Flag(bool),
    Number(f64),
    Text(String),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::None => f.write_str("none"),
            Field::Flag(flag) => write!(f, "{flag}"),
            Field::Number(number) => write!(f, "{number}"),
            Field::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl<T: Into<Field>> From<Option<T>> for Field {
    fn from(value: Option<T>) -> Self {
        value.map_or(Field::None, Into::into)
    }
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        Field::Text(text)
    }
}

impl From<f64> for Field {
    fn from(number: f64) -> Self {
        Field::Number(number)
    }
}

/// A verdict with all fields of its kind.
pub(super) struct Actual {
    kind: String,
    fields: Vec<(&'static str, Field)>,
}

pub(super) fn tier(tier: String) -> Actual {
    Actual { kind: tier, fields: Vec::new() }
}

pub(super) fn admission(admission: Admission) -> Actual {
    let (kind, fields) = match admission {
        Admission::Allow { tier, max_tokens } => {
            ("allow", vec![("tier", tier.into()), ("max_tokens", max_tokens.map(|cap| cap as f64).into())])
        }
        Admission::Deny { status, code, message } => {
            ("deny", vec![("status", f64::from(status).into()), ("code", code.into()), ("message", message.into())])
        }
        Admission::Background => ("background", Vec::new()),
    };
    Actual { kind: kind.to_owned(), fields }
}

pub(super) fn errors(verdict: ErrorVerdict) -> Actual {
    let fields = vec![
        ("after", verdict.after.map(|wait| wait.as_secs_f64()).into()),
        ("next_target", Field::Flag(verdict.next_target)),
        ("cool_down", verdict.cool_down.map(|wait| wait.as_secs_f64()).into()),
        ("message", verdict.message.into()),
        ("code", verdict.code.into()),
        ("status", verdict.status.map(f64::from).into()),
    ];
    Actual { kind: verdict.category.as_str().to_owned(), fields }
}

impl fmt::Display for Actual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given: Vec<String> = self
            .fields
            .iter()
            .filter(|(_, field)| *field != Field::None)
            .map(|(name, field)| format!("{name} = {field}"))
            .collect();
        match given.is_empty() {
            true => f.write_str(&self.kind),
            false => write!(f, "{} {{ {} }}", self.kind, given.join(", ")),
        }
    }
}

/// A kind and the fields that matter to the case.
pub(super) struct Expected {
    kind: String,
    fields: Vec<(String, Field)>,
}

impl Expected {
    pub(super) fn read(expect: &Value) -> Result<Expected, String> {
        let table = match expect {
            Value::String(tier) => return Ok(Expected { kind: tier.to_string_lossy(), fields: Vec::new() }),
            Value::Table(table) => table,
            _ => return Err("expect: write a tier in quotes, or a verdict such as deny { status = 403 }".to_owned()),
        };
        let unreadable = |_| "expect: write a verdict such as deny { status = 403 }".to_owned();
        let kind = table.get("kind").map_err(unreadable)?;
        let named: mlua::Table = table.get("fields").map_err(unreadable)?;
        let mut fields = Vec::new();
        for pair in named.pairs::<String, Value>() {
            let (name, value) = pair.map_err(unreadable)?;
            let field = match value {
                Value::Boolean(flag) => Field::Flag(flag),
                Value::Integer(number) => Field::Number(number as f64),
                Value::Number(number) => Field::Number(number),
                Value::String(text) => Field::Text(text.to_string_lossy()),
                other => return Err(format!("expect: `{name}` can't be a {}", other.type_name())),
            };
            fields.push((name, field));
        }
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Expected { kind, fields })
    }

    pub(super) fn compare(&self, actual: &Actual) -> Result<(), String> {
        if self.kind != actual.kind {
            return Err(format!("expected {}, got {actual}", self.kind));
        }
        let mut differences = Vec::new();
        for (name, expected) in &self.fields {
            let Some((_, field)) = actual.fields.iter().find(|(known, _)| known == name) else {
                let hint = nearest(name, actual.fields.iter().map(|(known, _)| *known));
                return Err(format!("a {} verdict has no field `{name}`; {hint}", self.kind));
            };
            // `none` is `false` in a test file; only flags have a real one.
            let expected = match (expected, field) {
                (Field::Flag(false), Field::None | Field::Number(_) | Field::Text(_)) => &Field::None,
                _ => expected,
            };
            if field != expected {
                differences.push(format!("{name}: expected {expected}, got {field}"));
            }
        }
        match differences.is_empty() {
            true => Ok(()),
            false => Err(differences.join("\n")),
        }
    }
}
