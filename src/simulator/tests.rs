//! Through real TCP: what arrives on the wire, and what the counts say of it.

mod client;
mod control;
mod counting;
mod faults;
mod formats;
mod gemini;
mod script;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{Simulator, Step};

async fn simulator() -> Simulator {
    Simulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a free port")
}

async fn scripted(model: &str, step: Step) -> Simulator {
    let simulator = simulator().await;
    simulator.script(model, vec![step]);
    simulator
}

/// Polls until the condition holds; the caller's next assertion tells what is wrong if it never does.
async fn eventually(condition: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
