//! What the ledger asks of Redis, as the server itself tells.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use headgate::domain::ids::RunId;
use headgate::domain::limit::{Limit, Scope, Unit};
use headgate::domain::money::NanoUsd;
use headgate::ledger::{Amount, Bill, Reserved, Subjects};

use super::rig::{RedisServer, Rig, ann, limit};

/// The commands of clients, in order; those that scripts call are left out.
struct Monitor(mpsc::Receiver<String>);

impl Monitor {
    fn of(server: &RedisServer) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port)).expect("the server listens");
        socket.write_all(b"MONITOR\r\n").expect("asks");
        let (tell, told) = mpsc::channel();
        let mut lines = BufReader::new(socket).lines().map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("+OK"));
        std::thread::spawn(move || {
            for line in lines.filter(|line| !line.contains("lua]")) {
                let command = line.split('"').nth(1).unwrap_or_default().to_uppercase();
                if tell.send(command).is_err() {
                    return;
                }
            }
        });
        Monitor(told)
    }

    /// Everything up to a mark that is set now.
    fn so_far(&self, server: &RedisServer) -> Vec<String> {
        server.command(&["ECHO", "mark"]);
        let mut seen = Vec::new();
        loop {
            let command = self.0.recv_timeout(Duration::from_secs(10)).expect("the mark arrives");
            if command == "ECHO" {
                return seen.into_iter().filter(|name: &String| !is_greeting(name)).collect();
            }
            seen.push(command);
        }
    }
}

/// What a new connection says first.
fn is_greeting(command: &str) -> bool {
    matches!(command, "CLIENT" | "HELLO" | "PING" | "SELECT")
}

/// Eight limits of eight scopes over every kind of window.
fn eight() -> [Limit; 8] {
    let feature = Scope::Metadata("feature".into());
    [
        limit(Scope::User, Unit::Usd, 1_000_000, "day"),
        limit(Scope::Key, Unit::Requests, 1_000, "1m"),
        limit(Scope::Team, Unit::Tokens, 1_000_000, "1m"),
        limit(Scope::Tier, Unit::Usd, 1_000_000, "month@Europe/Berlin"),
        limit(Scope::Model, Unit::Tokens, 1_000_000, "hour"),
        limit(Scope::Provider, Unit::Usd, 1_000_000, "24h"),
        limit(Scope::Global, Unit::Concurrent, 1_000, "open"),
        limit(feature, Unit::Identical, 1_000, "1m"),
    ]
}

fn subjects() -> Subjects {
    Subjects {
        tier: "standard".into(),
        targets: vec!["one/large".into(), "two/small".into()],
        metadata: [("feature".to_owned(), "search".to_owned())].into(),
        fingerprint: Some("0f".to_owned()),
        ..Subjects::of(ann())
    }
}

#[tokio::test]
async fn a_run_under_eight_limits_costs_one_round_trip_to_admit_and_one_to_settle() {
    let rig = Rig::redis();
    let server = rig.redis.as_ref().expect("a Redis rig");
    let amount = Amount { usd: NanoUsd::new(10), tokens: 10 };
    let bill = || Bill { total: amount, targets: vec![("one/large".to_owned(), amount)] };
    // The first of each verb also brings the script's text.
    let run = rig.hold_for(subjects(), amount, &eight()).await;
    rig.ledger.settle(run, bill()).await.expect("settles");

    let monitor = Monitor::of(server);
    let run = RunId::mint();
    let answer = rig.ask(run, subjects(), amount, &eight()).await.expect("answers");
    // Models and providers bind both targets.
    assert!(matches!(&answer, Reserved::Held { limits } if limits.len() == 10), "{answer:?}");
    assert_eq!(monitor.so_far(server), ["EVALSHA"], "to admit");
    rig.ledger.settle(run, bill()).await.expect("settles");
    assert_eq!(monitor.so_far(server), ["EVALSHA"], "to settle");
}

#[tokio::test]
async fn all_open_holds_of_a_process_are_renewed_in_one_round_trip() {
    let rig = Rig::redis();
    let server = rig.redis.as_ref().expect("a Redis rig");
    let mut runs = Vec::new();
    for _ in 0..100 {
        runs.push(rig.hold(1, &[]).await);
    }
    rig.ledger.renew(&runs[..1]).await.expect("renews");
    let monitor = Monitor::of(server);
    rig.ledger.renew(&runs).await.expect("renews");
    assert_eq!(monitor.so_far(server), ["EVALSHA"]);
}
