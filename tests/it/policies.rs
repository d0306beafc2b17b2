//! Policies at work: what scripts may decide, and that one that is wrong, slow or hostile hurts nobody else.

mod hostile;
mod verdicts;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{TestGateway, config, mock, question};

/// A gateway with this script for `hook`.
async fn with_script(hook: &str, script: &str) -> TestGateway {
    with_script_and(hook, script, |_| {}).await
}

async fn with_script_and(hook: &str, script: &str, edit: impl FnOnce(&mut Value)) -> TestGateway {
    let mock = mock().await;
    let mut config = config(&mock);
    config["policies"] = json!({ hook: "policy.lua" });
    config["limits"] = json!([{ "scope": "global", "usd": 5, "per": "day" }]);
    edit(&mut config);
    let folder = TempDir::new().expect("a temporary folder");
    TestGateway::start_in(mock, folder, &config, &[("policy.lua", script)]).await.expect("the gateway starts")
}

/// A short question that carries `value` for the script as `request.metadata.say`.
fn saying(model: &str, value: &str) -> Value {
    let mut body = question(model);
    body["metadata"] = json!({ "say": value });
    body
}
