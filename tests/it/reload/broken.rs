//! Bad edits: they change nothing, and say where they are wrong.

use std::fs;
use std::path::Path;

use super::{POLICY, editable, in_force, pretty, put, ready_when, reloads, under_load, write};

/// Makes one mistake in a folder whose `config.yaml` has this text; returns what the error must name.
type Mistake = fn(folder: &Path, text: &str) -> Vec<String>;

/// Replaces the first `from`; the error must name the line it stands in, and `key`.
fn swap(folder: &Path, text: &str, from: &str, to: &str, key: &str) -> Vec<String> {
    let at = text.find(from).unwrap_or_else(|| panic!("no {from} in {text}"));
    let line = text[..at].matches('\n').count() + 1;
    put(folder, "config.yaml", &text.replacen(from, to, 1));
    vec![format!("config.yaml:{line}:"), key.to_owned()]
}

fn policy(folder: &Path, text: &str, named: &[&str]) -> Vec<String> {
    put(folder, "admission.lua", text);
    named.iter().map(|part| (*part).to_owned()).collect()
}

const MISTAKES: &[(&str, Mistake)] = &[
    ("YAML that is none", |folder, text| {
        put(folder, "config.yaml", &text.replacen("\"tiers\": {", "\"tiers\": {{", 1));
        vec!["config.yaml:".to_owned(), "YAML".to_owned()]
    }),
    ("half a file", |folder, text| {
        put(folder, "config.yaml", &text[..text.len() / 2]);
        vec!["config.yaml:".to_owned(), "YAML".to_owned()]
    }),
    ("an empty file", |folder, _| {
        put(folder, "config.yaml", "");
        vec!["config.yaml:1:".to_owned(), "empty".to_owned()]
    }),
    ("an unknown key", |folder, text| swap(folder, text, "\"fallback\"", "\"fallbak\"", "tiers.standard.fallbak")),
    ("an unknown provider", |folder, text| {
        swap(folder, text, "\"openai/first\"", "\"opnai/first\"", "tiers.standard.primary")
    }),
    ("a unit too few", |folder, text| swap(folder, text, "\"2s\"", "\"2\"", "server.drain")),
    ("a negative budget", |folder, text| swap(folder, text, "\"usd\": 50", "\"usd\": -50", "limits[0].usd")),
    ("a script that does not parse", |folder, _| {
        policy(folder, "return function(request)\n  if request then\nend\n", &["admission.lua:"])
    }),
    ("a script that fails at its top", |folder, _| policy(folder, "\nerror('no')\n", &["admission.lua:2"])),
    ("a script that never ends at its top", |folder, _| policy(folder, "while true do end", &["admission.lua"])),
    ("a script that returns no function", |folder, _| policy(folder, "return 5", &["admission.lua", "function"])),
    ("a script that is gone", |folder, _| {
        fs::remove_file(folder.join("admission.lua")).expect("it is there");
        vec!["policies.admission".to_owned(), "admission.lua".to_owned()]
    }),
    ("another address", |folder, text| {
        swap(folder, text, "\"listen\": \"127.0.0.1:0\"", "\"listen\": \"127.0.0.1:9\"", "server.listen").split_off(1)
    }),
    ("another store", |folder, text| {
        swap(folder, text, "sqlite:db/headgate.db", "sqlite:db/other.db", "store").split_off(1)
    }),
    ("no file at all", |folder, _| {
        fs::remove_file(folder.join("config.yaml")).expect("it is there");
        vec!["config.yaml".to_owned()]
    }),
];

#[tokio::test]
async fn a_bad_edit_changes_nothing_is_named_with_line_and_key_and_counted_and_no_call_fails() {
    let (gw, config) = editable().await;
    let text = pretty(&config);
    under_load(&gw, async {
        for (nth, (about, mistake)) in MISTAKES.iter().enumerate() {
            let named = mistake(gw.folder.path(), &text);
            let ready = ready_when(&gw, about, |ready| ready["config_error"].is_string()).await;
            let error = ready["config_error"].as_str().unwrap_or_default();
            for part in &named {
                assert!(error.contains(part.as_str()), "{about}: `{part}` is not named in: {error}");
            }
            assert_eq!((&ready["ready"], &ready["generation"]), (&true.into(), &1.into()), "{about}");
            assert_eq!(gw.ask("standard").await.header("x-headgate-model"), "openai/first", "{about}");
            assert_eq!(reloads(&gw, "refused").await, nth as u64 + 1, "{about}");
            // Taken back, it is forgotten, and there is nothing to put in force.
            write(&gw, "config.yaml", &text);
            write(&gw, "admission.lua", POLICY);
            ready_when(&gw, "the error is gone", |ready| ready["config_error"].is_null()).await;
        }
    })
    .await;
    assert_eq!(reloads(&gw, "ok").await, 0);
    gw.at_rest().await;
}

#[tokio::test]
async fn a_script_named_by_a_refused_edit_is_watched_so_that_mending_it_is_enough() {
    let (gw, mut config) = editable().await;
    fs::create_dir(gw.folder.path().join("new")).unwrap();
    write(&gw, "new/admission.lua", "return function(request) retrun allow {} end");
    config["policies"]["admission"] = "new/admission.lua".into();
    write(&gw, "config.yaml", &pretty(&config));
    ready_when(&gw, "the mistake is named", |ready| {
        ready["config_error"].as_str().is_some_and(|error| error.contains("new/admission.lua:1"))
    })
    .await;
    write(&gw, "new/admission.lua", "return function(request) return allow {} end");
    in_force(&gw, 2).await;
}

#[tokio::test]
async fn a_gateway_that_lost_its_config_serves_on_and_takes_the_next_one() {
    let (gw, mut config) = editable().await;
    fs::remove_file(gw.config_path()).unwrap();
    ready_when(&gw, "the loss is told", |ready| ready["config_error"].is_string()).await;
    assert_eq!(gw.ask("standard").await.status, 200);
    config["tiers"]["standard"]["primary"] = "openai/second".into();
    write(&gw, "config.yaml", &pretty(&config));
    in_force(&gw, 2).await;
    assert_eq!(gw.ask("standard").await.header("x-headgate-model"), "openai/second");
}
