//! Tests of policies: `<script>_test.lua` beside `<script>.lua` returns a list of cases, each a sentence, the facts that
//! differ from the defaults, and the verdict expected of them. Run by `headgate policy test`.

mod expect;
mod given;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mlua::{Lua, Table, Value};

use super::hook::Hook;
use super::room::{Room, problem};
use crate::luau::{CallFailed, HostClock, Limits, Script, Vm};
use expect::Expected;

/// Test files are the operator's own; they may take longer than a policy, but not for ever.
const LIMITS: Limits = Limits { memory_bytes: 64 * 1024 * 1024, time: Duration::from_secs(2) };

/// What happened, case by case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestReport {
    pub cases: Vec<CaseReport>,
    /// Scripts of the folder without a test file.
    pub untested: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseReport {
    /// The test file, as in `admission_test.lua`.
    pub file: String,
    pub name: String,
    /// None = passed; else what was expected and what came.
    pub failure: Option<String>,
}

impl TestReport {
    pub fn passed(&self) -> usize {
        self.cases.iter().filter(|case| case.failure.is_none()).count()
    }

    pub fn failed(&self) -> usize {
        self.cases.len() - self.passed()
    }
}

/// One line per case, `ok` or `FAIL` first, and a closing line with the counts.
impl fmt::Display for TestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            writeln!(f, "{case}")?;
        }
        for script in &self.untested {
            writeln!(f, "note {script} has no test file")?;
        }
        write!(f, "{} passed, {} failed", self.passed(), self.failed())
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            None => write!(f, "ok   {}: {}", self.file, self.name),
            Some(failure) => {
                write!(f, "FAIL {}: {}", self.file, self.name)?;
                failure.lines().try_for_each(|line| write!(f, "\n       {line}"))
            }
        }
    }
}

/// The tests could not be run at all.
#[derive(Debug)]
pub enum TestRunFailed {
    Unreadable { path: PathBuf, error: std::io::Error },
    NoTests { dir: PathBuf },
}

impl fmt::Display for TestRunFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TestRunFailed::Unreadable { path, error } => write!(f, "{} can't be read: {error}", path.display()),
            TestRunFailed::NoTests { dir } => {
                write!(f, "no *_test.lua in {}; put admission_test.lua beside admission.lua", dir.display())
            }
        }
    }
}

impl std::error::Error for TestRunFailed {}

/// Runs every `*_test.lua` of `dir` against the script beside it, in order of file name.
pub fn run_tests(dir: &Path) -> Result<TestReport, TestRunFailed> {
    let files = lua_files(dir)?;
    let mut report = TestReport::default();
    let mut found = false;
    for file in &files {
        match file.strip_suffix("_test.lua") {
            Some(stem) => {
                found = true;
                let results = match test_file(dir, file, stem)? {
                    Ok(results) => results,
                    Err(failure) => vec![("the test file runs".to_owned(), Some(failure))],
                };
                let cases = results.into_iter().map(|(name, failure)| CaseReport { file: file.clone(), name, failure });
                report.cases.extend(cases);
            }
            None => {
                let test = file.replace(".lua", "_test.lua");
                if !files.contains(&test) {
                    report.untested.push(file.clone());
                }
            }
        }
    }
    match found {
        true => Ok(report),
        false => Err(TestRunFailed::NoTests { dir: dir.to_owned() }),
    }
}

/// Name of a case and its failure.
type CaseResult = (String, Option<String>);

/// The outer error ends the run; the inner one is a file that has no cases to run.
fn test_file(dir: &Path, file: &str, stem: &str) -> Result<Result<Vec<CaseResult>, String>, TestRunFailed> {
    let Some(hook) = Hook::ALL.into_iter().find(|hook| stem.starts_with(hook.as_str())) else {
        let hooks = Hook::ALL.map(Hook::as_str).join(", ");
        return Ok(Err(format!("no hook starts like `{stem}`; name the script after one of: {hooks}")));
    };
    let script_file = format!("{stem}.lua");
    let script = read(&dir.join(&script_file))?;
    let test = read(&dir.join(file))?;
    Ok(Script::compile(&script_file, &script)
        .and_then(|script| Ok((script, Script::compile(file, &test)?)))
        .map_err(|error| error.to_string())
        .and_then(|(script, test)| run_file(hook, script, &test)))
}

fn run_file(hook: Hook, script: Script, test: &Script) -> Result<Vec<CaseResult>, String> {
    let failed = |failed: CallFailed| problem(test.file(), failed).to_string();
    let mut vm = Vm::new(LIMITS, words).map_err(failed)?;
    let chunk = vm.load(test).map_err(failed)?;
    let cases: Table = vm.call(test.file(), &chunk, ()).map_err(failed)?;
    let mut scripts = [const { None }; Hook::COUNT];
    scripts[hook.index()] = Some(script);
    let cases: Vec<Value> = cases.sequence_values().collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if cases.is_empty() {
        return Err(
            "the file returns no cases; end it with `return { { \"sentence\", given = …, expect = … } }`".to_owned()
        );
    }
    let mut results = Vec::with_capacity(cases.len());
    for (index, case) in cases.into_iter().enumerate() {
        let (name, outcome) = match Case::read(vm.lua(), case) {
            Ok(case) => {
                // A VM per case: one case that runs out of time must not change what the next one sees.
                let room = Room::build(&scripts).map_err(failed)?;
                (case.name.clone(), case.run(hook, room))
            }
            Err(problem) => (format!("case {}", index + 1), Err(problem)),
        };
        results.push((name, outcome.err()));
    }
    Ok(results)
}

struct Case<'lua> {
    lua: &'lua Lua,
    name: String,
    given: Value,
    expect: Value,
}

impl<'lua> Case<'lua> {
    fn read(lua: &'lua Lua, case: Value) -> Result<Case<'lua>, String> {
        const SHAPE: &str = "write a case as { \"sentence\", given = { … }, expect = … }";
        let Value::Table(table) = case else { return Err(SHAPE.to_owned()) };
        let mut read = Case { lua, name: String::new(), given: Value::Nil, expect: Value::Nil };
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair.map_err(|error| error.to_string())?;
            match (key.to_string().as_deref().unwrap_or_default(), value) {
                ("1", Value::String(name)) => read.name = name.to_string_lossy(),
                ("given", given) => read.given = given,
                ("expect", expect) => read.expect = expect,
                (other, _) => return Err(format!("`{other}` is no part of a case; {SHAPE}")),
            }
        }
        match read.name.is_empty() || read.expect.is_nil() {
            true => Err(SHAPE.to_owned()),
            false => Ok(read),
        }
    }

    fn run(self, hook: Hook, mut room: Room) -> Result<(), String> {
        let expected = Expected::read(&self.expect)?;
        let failed = |failed: CallFailed| format!("no verdict: {}", problem(hook.as_str(), failed));
        let actual = match hook {
            Hook::Tiers => {
                let facts = given::request(self.lua, self.given, "auto")?;
                expect::tier(room.tier(&facts).map_err(failed)?)
            }
            Hook::Admission => {
                let facts = given::request(self.lua, self.given, "standard")?;
                expect::admission(room.admission(&facts).map_err(failed)?)
            }
            Hook::Errors => {
                let failure = given::failure(self.lua, self.given)?;
                expect::errors(room.errors(&failure).map_err(failed)?)
            }
        };
        expected.compare(&actual)
    }
}

/// What test files may say.
fn words(lua: &Lua, _: HostClock) -> mlua::Result<()> {
    lua.load(include_str!("harness/words.luau")).set_name("=headgate").exec()
}

fn lua_files(dir: &Path) -> Result<Vec<String>, TestRunFailed> {
    let unreadable = |error| TestRunFailed::Unreadable { path: dir.to_owned(), error };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.ends_with(".lua")) {
            files.push(name.to_owned());
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn read(path: &Path) -> Result<String, TestRunFailed> {
    std::fs::read_to_string(path).map_err(|error| TestRunFailed::Unreadable { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        dir
    }

    fn report(script: (&str, &str), test: (&str, &str)) -> String {
        run_tests(folder(&[script, test]).path()).expect("runs").to_string()
    }

    #[test]
    fn cases_pass_when_the_fields_they_name_are_as_expected() {
        let script = "return function(request)
            if request.team == 'free' then return deny { status = 402, code = 'pay', message = 'Pay.' } end
            return allow { max_tokens = 10 }
        end";
        let test = "return {
            { 'free pays', given = { team = 'free' }, expect = deny { status = 402, code = 'pay' } },
            { 'others are capped', expect = allow { max_tokens = 10, tier = none } },
        }";
        let text = report(("admission.lua", script), ("admission_test.lua", test));
        assert_eq!(
            text,
            "ok   admission_test.lua: free pays\nok   admission_test.lua: others are capped\n2 passed, 0 failed"
        );
    }

    #[test]
    fn a_failing_case_shows_what_was_expected_and_what_came() {
        let script = "return function(failure) return retryable { after = 5, status = 503 } end";
        let test = "return {
            { 'wrong fields', given = { status = 500 }, expect = retryable { after = 7, code = 'x', status = 503 } },
            { 'wrong category', given = { status = 500 }, expect = permanent { } },
            { 'misspelt fact', given = { stats = 500 }, expect = permanent { } },
            { 'misspelt field', given = { }, expect = retryable { afer = 7 } },
            { 'misspelt key', given = { }, expects = retryable { } },
        }";
        let text = report(("errors.lua", script), ("errors_test.lua", test));
        let expected = "\
FAIL errors_test.lua: wrong fields
       after: expected 7, got 5
       code: expected \"x\", got none
FAIL errors_test.lua: wrong category
       expected permanent, got retryable { after = 5, next_target = true, status = 503 }
FAIL errors_test.lua: misspelt fact
       given: unknown field `stats`, expected one of";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("a retryable verdict has no field `afer`; did you mean `after`?"), "{text}");
        assert!(text.contains("`expects` is no part of a case"), "{text}");
        assert!(text.ends_with("0 passed, 5 failed"), "{text}");
    }

    #[test]
    fn a_script_that_fails_fails_its_case_with_the_reason() {
        let script =
            "return function(request)\n  if request.stream then while true do end end\n  return request.nope\nend";
        let test = "return { { 'slow', given = { stream = true }, expect = 'x' }, { 'typo', expect = 'x' } }";
        let text = report(("tiers.lua", script), ("tiers_test.lua", test));
        assert!(text.contains("no verdict: tiers: the script ran longer than 10 ms"), "{text}");
        assert!(text.contains("no verdict: tiers.lua:3: request has no fact `nope`"), "{text}");
    }

    #[test]
    fn files_that_can_not_be_tested_say_why() {
        let text = report(("tiers.lua", "return ("), ("tiers_test.lua", "return {}"));
        assert!(text.starts_with("FAIL tiers_test.lua: the test file runs\n       tiers.lua:1: "), "{text}");
        let text = report(("tiers.lua", "return function() end"), ("tiers_test.lua", "return {}"));
        assert!(text.contains("the file returns no cases"), "{text}");
        let text = report(("other.lua", ""), ("other_test.lua", ""));
        assert!(text.contains("name the script after one of: tiers, admission, errors"), "{text}");
        let dir = folder(&[("tiers.lua", "")]);
        let error = run_tests(dir.path()).expect_err("nothing to run");
        assert!(error.to_string().starts_with("no *_test.lua in "), "{error}");
    }

    #[test]
    fn the_shipped_policies_pass_their_tests() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let report = run_tests(&dir).expect("runs");
        assert_eq!(report.failed(), 0, "{report}");
        assert!(report.untested.is_empty(), "{report}");
        assert!(report.passed() >= 60, "{report}");
    }
}
