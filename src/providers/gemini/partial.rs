//! Arguments of a call that arrive as values for JSON paths (`$.filters[0].name`).
//!
//! By hand, because a crate for JSONPath answers queries; here a path is an address to write to.

use serde_json::{Map, Value};

use super::wire::PartialArgument;

/// Levels that real arguments never reach; a deeper path is a defect.
const DEEPEST: usize = 32;

enum Segment<'a> {
    Member(&'a str),
    Element(usize),
}

/// Writes `argument` into `arguments`. A path that can't be read, or that leads nowhere, writes nothing.
pub(super) fn write(arguments: &mut Map<String, Value>, argument: PartialArgument) {
    let Some(path) = path(&argument.json_path) else { return };
    let mut root = Value::Object(std::mem::take(arguments));
    if let Some(place) = place(&mut root, &path) {
        match (argument.string_value, place) {
            (Some(text), Value::String(before)) => before.push_str(&text),
            (Some(text), place) => *place = text.into(),
            (None, place) => {
                let number = argument.number_value.map(Value::Number);
                *place = number.or(argument.bool_value.map(Value::Bool)).unwrap_or_default();
            }
        }
    }
    if let Value::Object(written) = root {
        *arguments = written;
    }
}

fn place<'v>(root: &'v mut Value, path: &[Segment<'_>]) -> Option<&'v mut Value> {
    let mut place = root;
    for segment in path {
        place = match segment {
            Segment::Member(name) => {
                if place.is_null() {
                    *place = Value::Object(Map::new());
                }
                place.as_object_mut()?.entry(*name).or_insert(Value::Null)
            }
            Segment::Element(at) => {
                if place.is_null() {
                    *place = Value::Array(Vec::new());
                }
                let list = place.as_array_mut()?;
                // Elements come in order; a number out of nowhere must not make us allocate.
                if *at == list.len() {
                    list.push(Value::Null);
                }
                list.get_mut(*at)?
            }
        };
    }
    Some(place)
}

fn path(text: &str) -> Option<Vec<Segment<'_>>> {
    let mut rest = text.strip_prefix('$')?;
    let mut path = Vec::new();
    while !rest.is_empty() {
        if path.len() == DEEPEST {
            return None;
        }
        let segment;
        (segment, rest) = if let Some(named) = rest.strip_prefix('.') {
            let (name, rest) = named.split_at(named.find(['.', '[']).unwrap_or(named.len()));
            (Segment::Member(name), rest)
        } else {
            let inner = rest.strip_prefix('[')?;
            match inner.chars().next().filter(|quote| matches!(quote, '\'' | '"')) {
                Some(quote) => {
                    let (name, rest) = inner.get(1..)?.split_once(quote)?;
                    (Segment::Member(name), rest.strip_prefix(']')?)
                }
                None => {
                    let (number, rest) = inner.split_once(']')?;
                    (Segment::Element(number.parse().ok()?), rest)
                }
            }
        };
        path.push(segment);
    }
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(steps: &[(&str, Value)]) -> Value {
        let mut arguments = Map::new();
        for (path, value) in steps {
            let argument = PartialArgument {
                json_path: (*path).to_owned(),
                string_value: value.as_str().map(str::to_owned),
                number_value: value.as_number().cloned(),
                bool_value: value.as_bool(),
            };
            write(&mut arguments, argument);
        }
        arguments.into()
    }

    #[test]
    fn values_land_where_their_paths_say_and_texts_grow() {
        let steps = [
            ("$.city", json!("San ")),
            ("$.city", json!("Francisco")),
            ("$.days[0].at", json!(1)),
            ("$.days[1]['on time']", json!(true)),
            ("$.unit", json!(null)),
        ];
        let expected = json!({"city": "San Francisco", "days": [{"at": 1}, {"on time": true}], "unit": null});
        assert_eq!(written(&steps), expected);
    }

    #[test]
    fn a_path_that_leads_nowhere_writes_nothing() {
        let deep = format!("${}", ".a".repeat(1_000));
        for path in ["", "$", "city", "$.a[", "$.a['x", "$.a[-1]", "$.list[4000000000]", "$é", deep.as_str()] {
            let steps = [("$.list[0]", json!(1)), (path, json!(2))];
            assert_eq!(written(&steps)["list"], json!([1]), "{path}");
        }
    }
}
