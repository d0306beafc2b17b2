//! Runs without a record: under way, or lost with their process.

use headgate::domain::limit::Scope;
use headgate::simulator::{Fault, Step};
use serde_json::json;

use super::{assert_tells, explained};
use crate::ledger::rig::{Rig, on_both_stores, usd_per_day};
use crate::process::{run, text};
use crate::support::wire::Wire;
use crate::support::{TestGateway, config, mock, question, until};

on_both_stores!(an_expired_run_is_told_as_lost_with_who_was_charged,);

async fn an_expired_run_is_told_as_lost_with_who_was_charged(rig: Rig) {
    let limits = [usd_per_day(Scope::User, 1_000_000_000), usd_per_day(Scope::Key, 1_000_000_000)];
    let run_id = rig.hold(250_000_000, &limits).await;
    let mut config = config(&*mock().await);
    config["store"] = match &rig.redis {
        Some(server) => json!(server.url()),
        None => json!("sqlite:headgate.db"),
    };
    std::fs::write(rig.dir.path().join("config.yaml"), config.to_string()).expect("a writable folder");
    let open = explained(rig.dir.path(), &run_id.to_string());
    assert_tells(&open, &["has not ended", "It has set $0.25 and 0 tokens aside", "key web: $0.25 per day"]);

    assert_eq!(rig.pass(70_000).await.len(), 1);
    assert_tells(
        &explained(rig.dir.path(), &run_id.to_string()),
        &[
            "was lost",
            "Its hold of $0.25 expired",
            "everybody: $0.25 per day",
            "user ann@example.org: $0 per day",
            "key web: $0 per day",
        ],
    );
    let shown = run(rig.dir.path(), &["explain", &run_id.to_string(), "--json"]);
    let told: serde_json::Value = serde_json::from_str(&text(&shown.stdout)).expect("JSON");
    assert_eq!((&told["state"], &told["hold_nano"]), (&json!("expired"), &json!(250_000_000)));
}

#[tokio::test]
async fn a_run_that_is_under_way_is_told_as_such() {
    let gw = TestGateway::start().await;
    gw.mock.script("first", vec![Step::fault(Fault::HangBeforeHead)]);
    let _wire = Wire::chat(&gw, &question("single"), &[]).await;
    until("the call is under way", || gw.mock.counts().open_calls == 1).await;
    let file = rusqlite::Connection::open(gw.folder.path().join("headgate.db")).expect("opens");
    let id: [u8; 16] = file.query_row("SELECT run FROM ledger_runs", [], |row| row.get(0)).expect("one open hold");
    let run_id = headgate::domain::ids::RunId::from_bytes(id).to_string();
    assert_tells(&explained(gw.folder.path(), &run_id), &["has not ended", "user web: $0.01"]);
}
