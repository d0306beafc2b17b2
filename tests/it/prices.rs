//! `headgate prices`: the book as it is in force.

use std::path::Path;

use headgate::pricing::Listing;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{run, text};

fn config() -> Value {
    json!({
        "store": "sqlite:headgate.db",
        "providers": {
            "openai": { "kind": "openai", "api_key": "${NO_SUCH_KEY}" },
            "groq": { "kind": "openai", "base_url": "https://api.groq.com/openai/v1" },
            "local": { "kind": "openai", "base_url": "http://127.0.0.1:11434/v1" },
        },
        "default_tier": "simple",
        "tiers": { "simple": { "primary": "openai/gpt-4o-mini", "fallback": "local/llama3", "max_tokens": 1_000 } },
        "prices": { "local/llama3": { "input": 0.2, "output": 0.4 } },
    })
}

/// A folder with this config under `name`.
fn folder(files: &[(&str, &Value)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, config) in files {
        std::fs::write(folder.path().join(name), config.to_string()).expect("a writable folder");
    }
    folder
}

/// What the command prints.
fn prices(folder: &Path, arguments: &[&str]) -> String {
    let shown = run(folder, &[&["prices", "--config", "config.yaml"], arguments].concat());
    assert_eq!((shown.status.code(), text(&shown.stderr).as_str()), (Some(0), ""));
    text(&shown.stdout)
}

fn listing(folder: &Path, model: &str) -> Listing {
    serde_json::from_str(&prices(folder, &["--json", "--model", model])).expect("a listing and nothing else")
}

#[test]
fn each_price_has_its_source_and_its_date_and_the_configs_own_come_first() {
    let folder = folder(&[("config.yaml", &config())]);
    let json: Value = serde_json::from_str(&prices(folder.path(), &["--json", "--model", "*/gpt-4o-mini"])).unwrap();
    let list = "https://developers.openai.com/api/docs/pricing via genai-prices 0.2.1";
    let expected = json!({
        "target": "openai/gpt-4o-mini", "above_tokens": 0, "usd_per_search": "0.01", "max_output_tokens": 16_384, "source": list, "date": "2026-10-30",
        "usd_per_million": {
            "input": "0.15", "cache_read": "0.075", "cache_write": "0.15", "cache_write_1h": "0.15", "output": "0.6",
        },
    });
    // A server of one's own has the vendor's prices as long as the config does not say otherwise.
    assert_eq!(json["prices"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["prices"][1], expected);
    let own = listing(folder.path(), "llama3").prices;
    assert_eq!((own.len(), own[0].source.as_str(), own[0].date.as_deref()), (1, "config", None));
    assert_eq!((own[0].usd_per_million.input.as_str(), own[0].usd_per_million.output.as_str()), ("0.2", "0.4"));
    let newer = listing(folder.path(), "openai/gpt-6.2-sol").prices;
    let bands: Vec<_> = newer.iter().map(|row| (row.above_tokens, row.usd_per_million.input.as_str())).collect();
    assert_eq!(bands, [(0, "2"), (272_000, "4")]);
    assert!(newer[0].source.ends_with("/models/gpt-6.2-sol") && newer[0].date.is_some());
}

#[test]
fn a_vendor_behind_anothers_format_has_its_own_prices() {
    let folder = folder(&[("config.yaml", &config())]);
    let groq = listing(folder.path(), "groq/*").prices;
    let model = groq.iter().find(|row| row.target == "groq/openai/gpt-oss-120b").expect("listed");
    assert_eq!(model.usd_per_million.output, "0.6");
    assert!(!groq.iter().any(|row| row.target == "groq/gpt-4o"));
}

#[test]
fn people_read_a_table() {
    let folder = folder(&[("config.yaml", &config())]);
    let table = prices(folder.path(), &["--model", "local/llama*"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("US dollars per million tokens, 2026-"), "{table}");
    assert!(lines[1].starts_with("TARGET") && lines[1].ends_with("SOURCE"), "{table}");
    let words: Vec<_> = lines[2].split_whitespace().collect();
    assert_eq!(words, ["local/llama3", "0", "0.2", "0.2", "0.2", "0.2", "0.4", "-", "config"]);
}

#[test]
fn an_edit_shows_what_it_changes_against_the_old_config_and_against_what_was_saved() {
    let mut new = config();
    new["prices"]["local/llama3"]["output"] = json!(0.8);
    new["prices"]["groq/qwen/qwen3-32b"] = json!({ "input": 0.29, "output": 0.59 });
    new["prices"]["local/llama4"] = json!({ "input": 1, "output": 2 });
    let folder = folder(&[("old.yaml", &config()), ("config.yaml", &new)]);
    let saved = run(folder.path(), &["prices", "--config", "old.yaml", "--json"]);
    std::fs::write(folder.path().join("old.json"), &saved.stdout).expect("a writable folder");
    for old in ["old.yaml", "old.json"] {
        let diff = prices(folder.path(), &["--diff", old]);
        let lines: Vec<_> = diff.lines().collect();
        let row = |target, output| {
            format!("{target}: input 0.2, cache_read 0.2, cache_write 0.2, cache_write_1h 0.2, output {output}")
        };
        assert!(lines[0].starts_with("- 2026-") && lines[1].starts_with("+ 2026-"), "{diff}");
        assert_ne!(lines[0].get(2..), lines[1].get(2..));
        let changed =
            [format!("- {}", row("local/llama3 above 0", "0.4")), format!("+ {}", row("local/llama3 above 0", "0.8"))];
        assert_eq!(lines[2..4], changed, "{diff}");
        let added = "+ local/llama4 above 0: input 1, cache_read 1, cache_write 1, cache_write_1h 1, output 2";
        assert_eq!(lines[4..], [added], "the list's own price, written down, is no change: {diff}");
    }
    assert!(prices(folder.path(), &["--diff", "config.yaml"]).ends_with("the prices are the same\n"));
}

#[test]
fn a_cap_that_a_model_can_not_reach_is_a_warning() {
    let mut config = config();
    config["tiers"]["simple"]["max_tokens"] = json!(20_000);
    let folder = folder(&[("config.yaml", &config)]);
    let checked = run(folder.path(), &["check", "--config", "config.yaml"]);
    let told = "tiers.simple.max_tokens: 20000 is more than openai/gpt-4o-mini can write, which is 16384";
    assert!(text(&checked.stderr).contains(told), "{}", text(&checked.stderr));
    assert_eq!(checked.status.code(), Some(0));
}
