//! Broken configs, as the operator meets them: everything that is wrong in one go, with file, line, column and key,
//! what to do. `check` says so with exit code 1, `serve` with exit code 2 and without having opened a store.

use std::path::Path;

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::process::{run, text};

/// A small config that is sound; each case breaks it in one way.
const SOUND: &str = "\
providers:
  main: { kind: openai, base_url: \"http://127.0.0.1:9/v1\" }
default_tier: simple
tiers:
  simple: { primary: main/small, max_tokens: 100 }
  hard: { primary: main/large, fallback: main/small }
prices:
  main/small: { input: 1, output: 10 }
  main/large: { input: 1, output: 10 }
";

/// What `check` and `serve` say about `config` in a folder with `files`; both must refuse it.
fn complaint(config: &str, files: &[(&str, &str)]) -> String {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, content) in files.iter().chain([&("config.yaml", config)]) {
        std::fs::write(folder.path().join(name), content).expect("a writable folder");
    }
    let checked = run(folder.path(), &["check", "--config", "config.yaml"]);
    assert_eq!((checked.status.code(), text(&checked.stdout).as_str()), (Some(1), ""), "{}", text(&checked.stderr));
    let served = run(folder.path(), &["serve", "--config", "config.yaml"]);
    let (said, told) = (text(&checked.stderr), text(&served.stderr));
    assert_eq!((served.status.code(), &told), (Some(2), &format!("headgate: {said}")));
    assert_eq!(text(&served.stdout), "");
    assert!(!folder.path().join("headgate.db").exists(), "a store was opened for a broken config");
    said
}

fn broken(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from));
    complaint(&SOUND.replacen(from, to, 1), &[])
}

fn added(lines: &str) -> String {
    complaint(&format!("{SOUND}{lines}"), &[])
}

#[test]
fn the_config_that_the_cases_break_is_sound() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("config.yaml"), SOUND).unwrap();
    let checked = run(folder.path(), &["check", "--config", "config.yaml"]);
    assert_eq!(checked.status.code(), Some(0));
    assert_snapshot!(text(&checked.stdout), @r#"
    config.yaml: good
      simple     main/small  (default)
      hard       main/large -> main/small
      0 limits, 0 keys, 0 aliases
    "#);
}

#[test]
fn broken_yaml() {
    assert_snapshot!(broken("fallback: main/small }", "fallback: main/small"), @r#"
    config.yaml:7:7: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'; check brackets, quotes and indentation here and on the line above
    1 problem in the config
    "#);
}

#[test]
fn an_unknown_key() {
    assert_snapshot!(broken("fallback", "fallbak"), @r#"
    config.yaml:6:32: tiers.hard.fallbak: unknown key; did you mean "fallback"?
    1 problem in the config
    "#);
}

#[test]
fn an_unknown_provider() {
    assert_snapshot!(broken("primary: main/small", "primary: mian/small"), @r#"
    config.yaml:5:22: tiers.simple.primary: no provider is named "mian"; did you mean "main"?
    1 problem in the config
    "#);
}

#[test]
fn durations_without_a_unit_or_with_an_unknown_one() {
    assert_snapshot!(added("timeouts: { connect: 3, total: 10 minutes }\n"), @r#"
    config.yaml:10:22: timeouts.connect: "3" has no unit; write it with one, such as 3s (units: ms, s, m, h, d)
    config.yaml:10:32: timeouts.total: "10 minutes" has an unknown unit; write a whole number and a unit, such as 3s (units: ms, s, m, h, d)
    2 problems in the config
    "#);
}

#[test]
fn limits_that_limit_nothing_sensible() {
    let limits = "limits:
  - { scope: user, usd: -5, per: day }
  - { scope: usr, requests: 10, per: 1m }
  - { scope: user, usd: 5, per: fortnight }
";
    assert_snapshot!(added(limits), @r#"
    config.yaml:11:25: limits[0].usd: "-5" can't be used: money can't be negative; write dollars such as 0.05
    config.yaml:12:14: limits[1].scope: "usr" is unknown here; write user, key, team, tier, model, provider, global, or metadata.NAME
    config.yaml:13:33: limits[2].per: "fortnight" is unknown here; write hour, day or month for the calendar's, or a length such as 1m for any stretch of it
    3 problems in the config
    "#);
}

#[test]
fn a_secret_in_the_file() {
    assert_snapshot!(broken("kind: openai,", "kind: openai, api_key: sk-live-secret-1234,"), @r#"
    config.yaml:2:34: providers.main.api_key: a secret must not be written into the file; put it into a variable and write "${NAME}", or file:PATH
    1 problem in the config
    "#);
}

#[test]
fn a_key_instead_of_its_hash() {
    assert_snapshot!(added("keys: [{ name: web, sha256: my-secret-key }]\n"), @r#"
    config.yaml:10:29: keys[0].sha256: must be the key's SHA-256 in 64 hex digits, never the key itself; printf %s "$KEY" | sha256sum prints it
    1 problem in the config
    "#);
}

#[test]
fn an_open_door_without_keys() {
    assert_snapshot!(added("server: { listen: 0.0.0.0:8080 }\n"), @r#"
    config.yaml:10:19: server.listen: without `keys:` anyone could spend your money; add keys, or listen on 127.0.0.1
    1 problem in the config
    "#);
}

#[test]
fn a_key_given_twice() {
    assert_snapshot!(added("default_tier: hard\n"), @r#"
    config.yaml:10:1: default_tier: this key is given twice; keep one of them
    1 problem in the config
    "#);
}

#[test]
fn a_policy_that_is_not_there() {
    assert_snapshot!(added("policies: { errors: nowhere.lua }\n"), @r#"
    config.yaml:10:21: policies.errors: there is no file nowhere.lua; create it or correct the path
    1 problem in the config
    "#);
}

#[test]
fn policies_that_do_not_compile() {
    let files = [
        ("admission.lua", "return function(request)\n  retrun allow {}\nend\n"),
        ("tiers.lua", "return function(request) return 'simple' end\n"),
        ("errors.lua", "return 5\n"),
    ];
    let config = format!("{SOUND}policies: {{ admission: admission.lua, tiers: tiers.lua, errors: errors.lua }}\n");
    assert_snapshot!(complaint(&config, &files), @r#"
    admission.lua:2: Incomplete statement: expected assignment or a function call
    errors.lua: the script returns 5; end it with `return function(…) … end`
    "#);
}

#[test]
fn an_empty_file() {
    assert_snapshot!(complaint("", &[]), @r#"
    config.yaml:1:1: the file is empty; start from the config.yaml that ships with headgate
    1 problem in the config
    "#);
}

#[test]
fn five_mistakes_at_once_are_told_at_once() {
    let config = "sever: {}
providers: { main: { kind: opnai } }
default_tier: simpel
tiers: { simple: { primary: main/x, max_tokens: 0 } }
retry: { attempts: 99 }
";
    assert_snapshot!(complaint(config, &[]), @r#"
    config.yaml:1:1: sever: unknown key; did you mean "server"?
    config.yaml:2:28: providers.main.kind: no provider kind is named "opnai"; did you mean "openai"?
    config.yaml:3:15: default_tier: no tier is named "simpel"; did you mean "simple"?
    config.yaml:4:49: tiers.simple.max_tokens: "0" is not a whole number from 1 to 10000000
    config.yaml:5:20: retry.attempts: "99" is not a whole number from 1 to 10
    5 problems in the config
    "#);
}

#[test]
fn a_file_that_is_not_there() {
    let folder = TempDir::new().unwrap();
    let checked = run(folder.path(), &["check", "--config", "config.yaml"]);
    assert_eq!(checked.status.code(), Some(1));
    assert_snapshot!(text(&checked.stderr), @r#"
    config.yaml: can't be read: No such file or directory (os error 2); create it, or name another one with --config FILE
    1 problem in the config
    "#);
}

#[test]
fn the_shipped_config_is_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checked = run(folder, &["check", "--config", "config.yaml"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).starts_with("config.yaml: good\n"), "{}", text(&checked.stdout));
    // It names variables that are not set here, and says so.
    assert!(text(&checked.stderr).contains("OPENAI_API_KEY"), "{}", text(&checked.stderr));
}
