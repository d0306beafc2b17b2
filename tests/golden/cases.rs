//! Finds the cases of a directory and compares or writes their results.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A result that has no file: the case checked itself.
pub const UNCHECKED: &str = "\u{0}";

/// Runs `translate(kind, case)` for every `<room>/<kind>/<case>.in.json`; the results are `<case>.<out>.json`.
pub fn each_json(room: &str, out: &str, translate: impl Fn(&str, &Value) -> Value) {
    each(room, out, "json", |kind, text| {
        let case: Value = serde_json::from_str(text).expect("the case is JSON");
        let result = translate(kind, &case);
        serde_json::to_string_pretty(&result).expect("JSON") + "\n"
    });
}

/// Runs `translate(kind, bytes)` for every `<room>/<kind>/<case>.in.sse`; the results are `<case>.<out>.sse`.
pub fn each_stream(room: &str, out: &str, translate: impl Fn(&str, &[u8]) -> String) {
    each(room, out, "sse", |kind, text| translate(kind, text.as_bytes()));
}

/// Runs `check(kind, case)` for every `<room>/<kind>/<case>.in.json`.
pub fn every_json(room: &str, check: impl Fn(&str, &Value)) {
    each(room, "unchecked", "json", |kind, text| {
        check(kind, &serde_json::from_str(text).expect("the case is JSON"));
        UNCHECKED.to_owned()
    });
}

fn each(room: &str, out: &str, extension: &str, translate: impl Fn(&str, &str) -> String) {
    let root = root().join(room);
    let suffix = format!(".in.{extension}");
    let (mut seen, mut wrong) = (0, Vec::new());
    for kind in entries(&root) {
        for input in entries(&kind) {
            let name = file_name(&input);
            let Some(case) = name.strip_suffix(&suffix) else { continue };
            let text = fs::read_to_string(&input).expect("the case can be read");
            let result = translate(&file_name(&kind), &text);
            let expected = kind.join(format!("{case}.{out}.{extension}"));
            if result != UNCHECKED && !holds(&expected, &result) {
                wrong.push(format!("{}\n{result}", expected.display()));
            }
            seen += 1;
        }
    }
    assert!(seen > 0, "no case in {}", root.display());
    assert!(wrong.is_empty(), "{} of {seen} differ; now they are:\n\n{}", wrong.len(), wrong.join("\n"));
}

/// Compares one result that has no case file with `<name>`.
pub fn one(name: &str, result: &str) {
    let expected = root().join(name);
    assert!(holds(&expected, result), "{} differs; now it is:\n\n{result}", expected.display());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn holds(expected: &Path, result: &str) -> bool {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(expected, result).expect("the result can be written");
    }
    fs::read_to_string(expected).is_ok_and(|text| text == result)
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(directory).expect("the directory can be read");
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}
