//! File < `HEADGATE_…` environment. Command-line flags arrive as entries of the same map.

use std::collections::BTreeMap;

use figment::Figment;
use figment::providers::Serialized;
use figment::value::{Tag, Value};

use super::read::nearest;
use super::report::{Place, Report};
use super::yaml;

const PREFIX: &str = "HEADGATE_";

/// The merged document. None = it could not be read at all, and the report says why.
///
/// `HEADGATE_SERVER__LISTEN` sets `server.listen`: `__` goes one level down, case doesn't matter. A value that starts
/// with `[` or `{` is read as YAML; an empty one counts as unset. A variable without `__` is an override only if it
/// names a key of the top level: others (`HEADGATE_ADMIN_TOKEN` in the shipped file) belong to the operator.
pub(super) fn merge(text: &str, env: &BTreeMap<String, String>, top_level: &[&str], report: &Report) -> Option<Value> {
    let file = yaml::read(text, report)?;
    let Value::Dict(_, dict) = file else {
        report.problem_at(
            Some((1, 1)),
            "",
            match file {
                Value::Empty(..) => "the file is empty; start from the config.yaml that ships with headgate",
                _ => "a config is a map of keys such as `tiers:`; start from the config.yaml that ships with headgate",
            },
        );
        return None;
    };
    let mut layers = Figment::from(Serialized::defaults(dict));
    for (name, text) in env {
        let Some(key) = name.strip_prefix(PREFIX).map(str::to_lowercase) else { continue };
        if text.is_empty() || key.is_empty() {
            continue;
        }
        let path = key.replace("__", ".");
        if path.split('.').any(str::is_empty) {
            report.put(&path, Place::Env(name.clone()));
            report.problem(&path, "an empty part in the name; write HEADGATE_SECTION__KEY");
            continue;
        }
        if path == key && !top_level.contains(&path.as_str()) {
            if let Some(meant) = nearest(&path, top_level.iter().copied()) {
                let meant = meant.to_uppercase();
                report.put(&path, Place::Env(name.clone()));
                report.warning(&path, format!("not a setting, so it changes nothing; did you mean {PREFIX}{meant}?"));
            }
            continue;
        }
        let value = if text.starts_with(['[', '{']) {
            let Some(value) = in_variable(name, text, &path, report) else { continue };
            value
        } else {
            Value::String(Tag::Default, text.clone())
        };
        place_all(name, &path, &value, report);
        layers = layers.merge(Serialized::default(&path, value));
    }
    match layers.find_value("") {
        Ok(merged) => Some(merged),
        Err(error) => {
            report.problem_at(None, "", format!("file and environment don't fit together: {error}"));
            None
        }
    }
}

/// Everything that the variable sets stands in the variable. A map is merged key by key; anything else replaces what
/// the file has there.
fn place_all(name: &str, path: &str, value: &Value, report: &Report) {
    match value {
        Value::Dict(_, dict) => {
            for (key, value) in dict {
                place_all(name, &yaml::join(path, key), value, report);
            }
        }
        _ => report.replace(path, Place::Env(name.to_owned())),
    }
}

/// A YAML value inside a variable. Its keys have no line of their own: the variable is the place.
fn in_variable(name: &str, text: &str, path: &str, report: &Report) -> Option<Value> {
    let inner = Report::new(name.to_owned());
    let value = yaml::read(text, &inner);
    if inner.finish().is_ok() {
        return value;
    }
    report.put(path, Place::Env(name.to_owned()));
    report.problem(path, "not valid YAML; check brackets and quotes, or write it without [ ] and { }");
    None
}
