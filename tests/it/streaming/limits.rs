//! What ends a stream early: a client that does not read, and a hold that is used up.

use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use headgate::simulator::Step;

use crate::support::rest::counted;
use crate::support::wire::{Wire, data, said};
use crate::support::{TestGateway, streamed, until};

/// More words than all buffers between provider and client can hold, 30 bytes each in frames of 3 kB.
const MANY_WORDS: u64 = 1_000_000;

/// A client whose kernel takes in next to nothing by itself, so that not reading is felt at once.
async fn narrow(gw: &TestGateway) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a buffer size");
    socket.connect(&gw.gateway.client.into()).expect("a listener");
    socket.set_nonblocking(true).expect("a socket");
    TcpStream::from_std(socket.into()).expect("a socket")
}

fn long_answer() -> Step {
    Step {
        words: Some(MANY_WORDS),
        words_per_frame: std::num::NonZeroUsize::new(100),
        ..Step::text("abcdefghijklmnopqrstuvwxyzabc")
    }
}

/// A gateway on which nobody runs out of tokens, whose provider has a long answer for everybody.
async fn gateway(write: &str) -> TestGateway {
    let gw = TestGateway::with(|config| {
        counted(config);
        config["timeouts"] = json!({ "write": write });
        config["tiers"]["single"]["max_tokens"] = json!(2 * MANY_WORDS);
    })
    .await;
    gw.mock.script("first", vec![long_answer()]);
    gw
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_provider() {
    let gw = gateway("1h").await;
    let mut idle = Wire::over(narrow(&gw).await);
    idle.ask("/v1/chat/completions", &streamed("single").to_string(), &[]).await;
    assert_eq!(idle.head().await.status, 200);
    // Another client has all of the same answer in the time in which this one reads nothing.
    let mut reads = Wire::chat(&gw, &streamed("single"), &[]).await;
    assert_eq!(reads.head().await.status, 200);
    assert!(reads.rest().await.whole);
    let counts = gw.mock.model_counts("first");
    assert_eq!((counts.answered, counts.open_calls), (1, 1), "the provider got rid of both answers");
    drop(idle);
    until("the provider has noticed", || gw.mock.model_counts("first").aborted == 1).await;
    let delivered = gw.mock.model_counts("first").output_tokens - MANY_WORDS;
    assert!(delivered < MANY_WORDS / 2, "the provider got rid of {delivered} words");
    gw.at_rest().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_in_time() {
    let gw = gateway("400ms").await;
    let mut wire = Wire::over(narrow(&gw).await);
    wire.ask("/v1/chat/completions", &streamed("single").to_string(), &[]).await;
    assert_eq!(wire.head().await.status, 200);
    // Nothing is read from here on.
    let line = gw.finished(1).await;
    assert_eq!((&line["outcome"], &line["status"]), (&json!("client_gone"), &json!(499)), "{line}");
    until("the provider has noticed", || gw.mock.model_counts("first").aborted == 1).await;
    let settled = gw.at_rest().await;
    assert_eq!(settled, line["cost_nano"].as_u64().unwrap());
    assert!(settled > 0);
    // The connection is given up too: it ends although nobody reads, and not as a whole answer would.
    until("the kernel holds no connection for it", || !is_established(gw.gateway.client.port(), &wire)).await;
    assert!(!wire.rest().await.whole);
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    let gw = TestGateway::with(|config| {
        config["timeouts"] = json!({ "write": "5s" });
        config["tiers"]["single"]["max_tokens"] = json!(MANY_WORDS);
    })
    .await;
    gw.mock.script("first", vec![Step { words: Some(20_000), ..long_answer() }]);
    let mut wire = Wire::over(narrow(&gw).await);
    wire.ask("/v1/chat/completions", &streamed("single").to_string(), &[]).await;
    wire.head().await;
    let body = wire.rest().await;
    assert!(body.whole);
    assert_eq!(said(&data(&body.frames())).split_whitespace().count(), 20_000);
    assert_eq!(gw.finished(1).await["outcome"], "ok");
}

#[tokio::test]
async fn a_provider_that_ignores_the_cap_is_cut_at_the_hold() {
    for model in ["openai/first", "anthropic/first"] {
        let gw = TestGateway::with(|config| {
            counted(config);
            config["tiers"]["small"] = json!({ "primary": model, "max_tokens": 20 });
        })
        .await;
        let hold = gw.hold_of(&streamed("small"), "first").await;
        let before = gw.at_rest().await;
        gw.mock.script(
            "first",
            vec![Step { ignore_max_tokens: true, gap_ms: 1, words: Some(100_000), ..Step::text("word") }],
        );
        let mut wire = Wire::chat(&gw, &streamed("small"), &[]).await;
        assert_eq!(wire.head().await.status, 200, "{model}");
        let body = wire.rest().await;
        assert!(body.whole, "{model}: the end that a reached cap has");
        let frames = body.frames();
        assert_eq!(frames.last().expect("frames"), "data: [DONE]");
        let chunks = data(&frames);
        let finishes: Vec<&Value> = chunks
            .iter()
            .map(|chunk| &chunk["choices"][0]["finish_reason"])
            .filter(|finish| !finish.is_null())
            .collect();
        assert_eq!(finishes, [&json!("length")], "{model}");
        assert!(said(&chunks).split_whitespace().count() >= 20, "{model}: not cut before the hold is used up");
        let line = gw.finished(2).await;
        assert_eq!((&line["outcome"], &line["status"]), (&json!("cut_at_hold"), &json!(200)), "{model}: {line}");
        assert_eq!(line["cost_nano"], hold, "{model}: the whole hold and no more");
        assert_eq!(gw.at_rest().await, before + hold, "{model}");
        until("the provider was hung up on", || gw.mock.model_counts("first").aborted == 2).await;
    }
}

/// Whether the kernel's table has a live connection of the gateway with this client.
fn is_established(gateway: u16, client: &Wire) -> bool {
    let peer = client.socket.local_addr().expect("an open socket").port();
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    table.lines().any(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let mut port = || columns.next().and_then(|address| u16::from_str_radix(address.split(':').nth(1)?, 16).ok());
        let (local, remote) = (port(), port());
        local == Some(gateway) && remote == Some(peer) && columns.next() == Some("01")
    })
}
