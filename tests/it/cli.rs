//! The commands, as the built binary runs them.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Serving, headgate, run, text};
use crate::support::{KEY, Reply, config, mock, question, until};

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder with a config that has limits of each kind, in front of `mock`.
fn house(mock: &headgate::simulator::Simulator) -> TempDir {
    let mut config = config(mock);
    config["limits"] = json!([
        { "scope": "user", "usd": 5, "per": "day" },
        { "scope": "global", "usd": "0.5", "per": "day" },
        { "scope": "user", "requests": 10, "per": "1m" },
    ]);
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("config.yaml"), config.to_string()).expect("a writable folder");
    folder
}

async fn ask(serving: &Serving) -> Reply {
    let request = reqwest::Client::new().post(format!("http://{}/v1/chat/completions", serving.client));
    Reply::of(request.bearer_auth(KEY).body(question("standard").to_string()).send().await.expect("an answer")).await
}

fn usage(folder: &Path) -> Value {
    let shown = run(folder, &["usage", "--json", "--config", "config.yaml"]);
    assert_eq!((shown.status.code(), text(&shown.stderr).as_str()), (Some(0), ""), "{}", text(&shown.stdout));
    serde_json::from_str(&text(&shown.stdout)).expect("JSON and nothing else")
}

/// When a window that slides lets go is told by each reader's own clock, to a millisecond.
fn without_resets(mut usage: Value) -> Value {
    for limit in usage["limits"].as_array_mut().expect("a list") {
        limit["resets_at"].take();
    }
    usage
}

#[tokio::test]
async fn usage_reads_the_ledger_beside_a_running_gateway_and_after_it() {
    let mock = mock().await;
    let folder = house(&mock);
    let serving = Serving::start(folder.path(), &[]).await;
    assert_eq!(ask(&serving).await.status, 200);
    until("the run is in the log", || serving.stdout().lines().count() == 1).await;
    let line: Value = serde_json::from_str(serving.stdout().trim_end()).expect("a JSON line");
    let cost = line["cost_nano"].as_u64().expect("a price");
    assert!(cost > 0);

    let beside = usage(folder.path());
    crate::admin::assert_usage(&beside, cost);
    // The same body as the admin listener's: the second reading sees the same counters.
    assert_eq!(without_resets(usage(folder.path())), without_resets(beside));
    assert_eq!(ask(&serving).await.status, 200);

    let (stdout, _, code) = serving.stop();
    assert_eq!((stdout.lines().count(), code), (2, Some(0)));
    let after = usage(folder.path());
    let settled = |usage: &Value| {
        usage["limits"].as_array().unwrap().iter().map(|r| r["settled_nano"].as_u64().unwrap_or(0)).max()
    };
    assert_eq!(settled(&after), Some(2 * cost));
    // And for people.
    let table = run(folder.path(), &["usage", "--config", "config.yaml"]);
    assert!(text(&table.stdout).starts_with("SCOPE"), "{}", text(&table.stdout));
}

#[tokio::test]
async fn the_log_is_one_line_of_json_per_run_with_the_names_that_scripts_rely_on() {
    let mock = mock().await;
    let folder = house(&mock);
    let serving = Serving::start(folder.path(), &[]).await;
    assert_eq!(ask(&serving).await.status, 200);
    until("the run is in the log", || serving.stdout().ends_with("}\n")).await;
    let line: Value = serde_json::from_str(&serving.stdout()).expect("a JSON line");
    for name in [
        "run",
        "request_id",
        "key",
        "team",
        "tier",
        "target",
        "status",
        "outcome",
        "attempts",
        "input_tokens",
        "output_tokens",
        "cost_nano",
        "ms",
        "first_content_ms",
    ] {
        assert!(!line[name].is_null() || name == "first_content_ms", "{name} is not in {line}");
    }
    assert_eq!(line["attempts"][0]["target"], "openai/first");
    assert_eq!(serving.stop().2, Some(0));
}

#[tokio::test]
async fn an_environment_variable_and_a_flag_override_the_file() {
    let mock = mock().await;
    let folder = house(&mock);
    let env = [
        ("HEADGATE_TIERS__STANDARD__PRIMARY", "openai/second"),
        ("HEADGATE_SERVER__ADMIN_TOKEN", "${MINE}"),
        ("MINE", "token"),
    ];
    let serving = Serving::start(folder.path(), &env).await;
    assert_eq!(ask(&serving).await.header("x-headgate-model"), "openai/second");
    let url = format!("http://{}/metrics", serving.admin);
    assert_eq!(reqwest::Client::new().get(url).bearer_auth("token").send().await.unwrap().status(), 200);
    let taken = serving.client.to_string();
    let second = headgate(folder.path(), &["serve", "--listen", &taken], &[]).output().expect("the binary runs");
    assert_eq!(second.status.code(), Some(2));
    let said = text(&second.stderr);
    assert!(said.contains("server.listen") && said.contains(&taken), "{said}");
}

#[test]
fn every_command_has_a_help_that_teaches() {
    for (command, taught) in [
        (&[][..], &["demo", "serve", "mock", "check", "policy", "usage", "config.yaml"][..]),
        (&["serve"], &["--config", "--listen", "SIGTERM", "SIGHUP", "/readyz"]),
        (&["demo"], &["--once"]),
        (&["mock"], &["--listen"]),
        (&["check"], &["--config", "--effective", "Exit code"]),
        (&["policy"], &["test"]),
        (&["policy", "test"], &["_test.lua", "[DIR]", "Exit code"]),
        (&["usage"], &["--json", "--config"]),
        (&["explain"], &["--json", "--config", "x-headgate-run", "Exit code"]),
    ] {
        let args: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let shown = run(manifest(), &args);
        let help = text(&shown.stdout);
        assert_eq!((shown.status.code(), text(&shown.stderr).as_str()), (Some(0), ""), "{args:?}");
        assert!(help.contains("Usage: headgate"), "{args:?}: {help}");
        assert!(help.lines().count() > 5, "{args:?}: {help}");
        for word in taught {
            assert!(help.contains(word), "{args:?}: `{word}` is not in: {help}");
        }
    }
}

#[test]
fn a_command_that_does_not_exist_is_told_from_one_that_failed() {
    for args in [&["serv"][..], &["check", "--confg", "x"], &["policy", "tset"]] {
        let shown = run(manifest(), args);
        assert_eq!(shown.status.code(), Some(2), "{args:?}");
        assert!(
            text(&shown.stderr).contains("Usage: headgate") || text(&shown.stderr).contains("similar"),
            "{}",
            text(&shown.stderr)
        );
        assert_eq!(text(&shown.stdout), "");
    }
    assert_eq!(run(manifest(), &[]).status.code(), Some(2), "no command at all");
}

#[test]
fn the_shipped_policies_pass_their_tests() {
    let shown = run(manifest(), &["policy", "test", "policies"]);
    let report = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(0), "{report}");
    for file in ["admission", "errors", "tiers"] {
        assert!(report.contains(file), "{report}");
    }
}

#[test]
fn a_policy_test_that_does_not_hold_is_named_and_exits_with_1() {
    let folder = TempDir::new().unwrap();
    let script = "return function(request) return allow { max_tokens = 5 } end\n";
    let cases = "return {\n  { \"short answers\", expect = allow { max_tokens = 5 } },\n  { \"no answers\", expect = deny {} },\n}\n";
    std::fs::write(folder.path().join("admission.lua"), script).unwrap();
    std::fs::write(folder.path().join("admission_test.lua"), cases).unwrap();
    let shown = run(folder.path(), &["policy", "test", "."]);
    let report = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(1), "{report}{}", text(&shown.stderr));
    assert!(report.contains("no answers"), "{report}");
}

#[test]
fn the_effective_config_is_sound_itself_and_has_no_secret() {
    let folder = TempDir::new().unwrap();
    let config = "\
providers:
  main: { kind: openai, base_url: \"http://127.0.0.1:9/v1\", api_key: \"${SECRET}\" }
default_tier: simple
tiers: { simple: { primary: main/small, max_tokens: 100 } }
prices: { main/small: { input: 1, output: 10 } }
";
    std::fs::write(folder.path().join("config.yaml"), config).unwrap();
    let env = [("SECRET", "canary-secret")];
    let shown = headgate(folder.path(), &["check", "--effective"], &env).output().unwrap();
    let yaml = text(&shown.stdout);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    assert!(!yaml.contains("canary") && yaml.contains("***"), "{yaml}");
    let again = yaml.replace("'***'", "\"${SECRET}\"").replace("\"***\"", "\"${SECRET}\"");
    std::fs::write(folder.path().join("again.yaml"), again).unwrap();
    let second = headgate(folder.path(), &["check", "--effective", "--config", "again.yaml"], &env).output().unwrap();
    assert_eq!(text(&second.stdout), yaml, "{}", text(&second.stderr));
}
