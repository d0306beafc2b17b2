//! JSON Schema as function declarations take it: a subset of OpenAPI's, without references, with one type per schema.
//! A word that is not in it is a 400 for the whole call.

use serde_json::{Map, Value};

/// Words that mean the same in both.
const KEPT: &[&str] = &[
    "type",
    "title",
    "description",
    "nullable",
    "required",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "propertyOrdering",
];

/// Words whose loss changes nothing for a model: annotations, and the ban of members that nobody named.
const SAYS_LITTLE: &[&str] = &[
    "$schema",
    "$id",
    "$defs",
    "$comment",
    "$anchor",
    "definitions",
    "additionalProperties",
    "default",
    "example",
    "examples",
    "format",
    "deprecated",
    "readOnly",
    "writeOnly",
    "strict",
];

/// Formats that are taken; any other is refused.
const FORMATS: &[&str] = &["float", "double", "int32", "int64", "enum", "date-time"];

pub(super) struct Reduced {
    pub(super) schema: Value,
    /// No constraint was lost.
    pub(super) is_whole: bool,
}

pub(super) fn reduce(schema: &Value) -> Reduced {
    let mut reducer = Reducer { root: schema, open: Vec::new(), left: MOST_SCHEMAS, is_whole: true };
    let schema = reducer.schema(schema);
    Reduced { schema: schema.into(), is_whole: reducer.is_whole }
}

struct Reducer<'a> {
    root: &'a Value,
    /// References being followed: a schema that holds itself ends there.
    open: Vec<&'a str>,
    /// Schemas that may still be written.
    left: usize,
    is_whole: bool,
}

/// References within references, and schemas in all, that real tools never reach. References can double with every
/// level, and they come from callers.
const DEEPEST: usize = 16;
const MOST_SCHEMAS: usize = 10_000;

impl<'a> Reducer<'a> {
    fn schema(&mut self, schema: &'a Value) -> Map<String, Value> {
        let mut out = Map::new();
        let Value::Object(words) = schema else {
            // `true` allows anything, and so does an empty schema.
            self.is_whole &= *schema == Value::Bool(true);
            return out;
        };
        let Some(left) = self.left.checked_sub(1) else {
            self.is_whole = false;
            return out;
        };
        self.left = left;
        for (word, value) in words {
            match word.as_str() {
                "$ref" => self.reference(value, &mut out),
                "allOf" => self.all_of(value, &mut out),
                "anyOf" | "oneOf" => self.any_of(value, &mut out),
                "type" if value.is_array() => types(value, &mut out),
                "enum" => one_of(value.as_array().map_or(&[], Vec::as_slice), &mut out),
                "const" => one_of(std::slice::from_ref(value), &mut out),
                "properties" => self.properties(value, &mut out),
                "items" if value.is_object() => _ = out.insert(word.clone(), self.schema(value).into()),
                "format" if value.as_str().is_some_and(|format| FORMATS.contains(&format)) => {
                    out.insert(word.clone(), value.clone());
                }
                // Written by us where `enum` or `type` need more words than one.
                "description" if out.contains_key("description") => {
                    describe(&mut out, value.as_str().unwrap_or_default())
                }
                word if KEPT.contains(&word) => _ = out.insert(word.to_owned(), value.clone()),
                word => self.is_whole &= SAYS_LITTLE.contains(&word),
            }
        }
        out
    }

    fn reference(&mut self, path: &'a Value, out: &mut Map<String, Value>) {
        let path = path.as_str().unwrap_or_default();
        let target = path.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        match target {
            Some(target) if !self.open.contains(&path) && self.open.len() < DEEPEST => {
                self.open.push(path);
                let target = self.schema(target);
                self.open.pop();
                merge(target, out);
            }
            _ => self.is_whole = false,
        }
    }

    fn all_of(&mut self, list: &'a Value, out: &mut Map<String, Value>) {
        for schema in list.as_array().into_iter().flatten() {
            let schema = self.schema(schema);
            merge(schema, out);
        }
    }

    fn any_of(&mut self, list: &'a Value, out: &mut Map<String, Value>) {
        let list = list.as_array().map_or(&[][..], Vec::as_slice);
        let is_null = |schema: &&Value| schema["type"] == "null";
        if list.iter().any(|schema| is_null(&schema)) {
            out.insert("nullable".into(), true.into());
        }
        let mut choices: Vec<Map<String, Value>> =
            list.iter().filter(|schema| !is_null(schema)).map(|schema| self.schema(schema)).collect();
        if choices.len() > 1 {
            out.insert("anyOf".into(), choices.into());
        } else if let Some(only) = choices.pop() {
            merge(only, out);
        }
    }

    fn properties(&mut self, properties: &'a Value, out: &mut Map<String, Value>) {
        let reduced = properties.as_object().into_iter().flatten().map(|(name, schema)| {
            let schema = self.schema(schema);
            (name.clone(), schema.into())
        });
        let reduced: Map<String, Value> = reduced.collect();
        // An object without members is refused; one that names none may have any.
        if !reduced.is_empty() {
            out.insert("properties".into(), reduced.into());
        }
    }
}

/// `["string", "null"]` is a text that may be null; two real types are two schemas.
fn types(list: &Value, out: &mut Map<String, Value>) {
    let names: Vec<&Value> = list.as_array().into_iter().flatten().filter(|name| *name != "null").collect();
    if list.as_array().is_some_and(|all| all.len() > names.len()) {
        out.insert("nullable".into(), true.into());
    }
    match names.as_slice() {
        [] => {}
        [one] => _ = out.insert("type".into(), (*one).clone()),
        several => {
            let choices = several.iter().map(|name| serde_json::json!({ "type": name }));
            out.insert("anyOf".into(), choices.collect());
        }
    }
}

/// Only texts can be listed; other values are put into words.
fn one_of(values: &[Value], out: &mut Map<String, Value>) {
    let (nulls, rest): (Vec<&Value>, Vec<&Value>) = values.iter().partition(|value| value.is_null());
    if !nulls.is_empty() {
        out.insert("nullable".into(), true.into());
    }
    if rest.iter().all(|value| value.is_string()) {
        out.entry("type").or_insert_with(|| "string".into());
        out.insert("enum".into(), rest.into_iter().cloned().collect());
    } else {
        let words: Vec<String> = rest.iter().map(ToString::to_string).collect();
        describe(out, &format!("One of: {}.", words.join(", ")));
    }
}

fn describe(out: &mut Map<String, Value>, more: &str) {
    let before = out.get("description").and_then(Value::as_str).unwrap_or_default();
    let text = if before.is_empty() { more.to_owned() } else { format!("{before} {more}") };
    out.insert("description".into(), text.into());
}

/// What both say holds; where they differ the outer schema, which is the nearer one, keeps its word.
fn merge(inner: Map<String, Value>, out: &mut Map<String, Value>) {
    for (word, value) in inner {
        match (out.get_mut(&word), value) {
            (Some(Value::Object(ours)), Value::Object(theirs)) if word == "properties" => {
                for (name, schema) in theirs {
                    ours.entry(name).or_insert(schema);
                }
            }
            (Some(Value::Array(ours)), Value::Array(theirs)) if word == "required" => {
                let new: Vec<Value> = theirs.into_iter().filter(|name| !ours.contains(name)).collect();
                ours.extend(new);
            }
            (Some(_), _) => {}
            (None, value) => _ = out.insert(word, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reduced(schema: Value) -> (Value, bool) {
        let reduced = reduce(&schema);
        (reduced.schema, reduced.is_whole)
    }

    #[test]
    fn references_are_written_out_and_annotations_left_out() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": { "day": { "type": "string", "description": "a day", "format": "date" } },
            "type": "object", "additionalProperties": false, "required": ["from"],
            "properties": {
                "from": { "$ref": "#/$defs/day" },
                "to": { "description": "the last one", "$ref": "#/$defs/day" },
                "at": { "type": "string", "format": "date-time" },
            },
        });
        let expected = json!({
            "type": "object", "required": ["from"],
            "properties": {
                "from": { "type": "string", "description": "a day" },
                "to": { "description": "the last one", "type": "string" },
                "at": { "type": "string", "format": "date-time" },
            },
        });
        assert_eq!(reduced(schema), (expected, true));
    }

    #[test]
    fn a_schema_that_holds_itself_ends_and_says_so() {
        let schema = json!({
            "$defs": { "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" }, "v": { "type": "integer" } } } },
            "$ref": "#/$defs/node",
        });
        let expected = json!({ "type": "object", "properties": { "next": {}, "v": { "type": "integer" } } });
        assert_eq!(reduced(schema), (expected, false));
    }

    #[test]
    fn null_becomes_nullable_and_several_types_become_choices() {
        assert_eq!(reduced(json!({"type": ["string", "null"]})).0, json!({"nullable": true, "type": "string"}));
        assert_eq!(
            reduced(json!({"type": ["string", "integer"]})).0,
            json!({"anyOf": [{"type": "string"}, {"type": "integer"}]})
        );
        assert_eq!(
            reduced(json!({"anyOf": [{"type": "number", "minimum": 1}, {"type": "null"}]})).0,
            json!({"nullable": true, "type": "number", "minimum": 1})
        );
        assert_eq!(
            reduced(json!({"oneOf": [{"type": "string"}, {"type": "boolean"}]})).0,
            json!({"anyOf": [{"type": "string"}, {"type": "boolean"}]})
        );
    }

    #[test]
    fn values_that_can_not_be_listed_are_put_into_words() {
        assert_eq!(reduced(json!({"const": "a"})).0, json!({"type": "string", "enum": ["a"]}));
        assert_eq!(reduced(json!({"enum": ["a", null]})).0, json!({"nullable": true, "type": "string", "enum": ["a"]}));
        assert_eq!(
            reduced(json!({"type": "integer", "enum": [1, 2], "description": "How many"})).0,
            json!({"type": "integer", "description": "One of: 1, 2. How many"})
        );
    }

    #[test]
    fn all_of_is_one_schema() {
        let schema = json!({ "allOf": [
            { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
            { "properties": { "b": { "type": "string" } }, "required": ["b", "a"] },
        ] });
        let expected = json!({
            "type": "object", "required": ["a", "b"],
            "properties": { "a": { "type": "string" }, "b": { "type": "string" } },
        });
        assert_eq!(reduced(schema), (expected, true));
    }

    #[test]
    fn a_lost_constraint_is_told() {
        for lost in [
            json!({"type": "number", "exclusiveMinimum": 0}),
            json!({"type": "object", "patternProperties": {"^x": {}}}),
            json!({"$ref": "https://elsewhere.example/schema"}),
        ] {
            assert!(!reduced(lost.clone()).1, "{lost}");
        }
    }

    #[test]
    fn references_that_multiply_or_go_deep_stay_small() {
        for width in [1, 4] {
            let mut defs = Map::new();
            for level in 0..64 {
                let next = json!({ "$ref": format!("#/$defs/l{}", level + 1) });
                let members: Map<String, Value> = (0..width).map(|at| (at.to_string(), next.clone())).collect();
                defs.insert(format!("l{level}"), json!({ "type": "object", "properties": members }));
            }
            let (out, is_whole) = reduced(json!({ "$defs": defs, "$ref": "#/$defs/l0" }));
            assert!(!is_whole && out.to_string().len() < 1 << 20, "{width}");
        }
    }
}
