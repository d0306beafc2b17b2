//! Bodies that are too large, packed, or slow: measured on the wire, with a client that reads every byte itself.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{assert_refusal, assert_untouched, metered, post};
use crate::support::{KEY, Reply, TestGateway};

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

async fn capped(cap: &str) -> TestGateway {
    TestGateway::with(|config| {
        config["server"]["max_body"] = json!(cap);
        config["timeouts"] = json!({ "client_body": "400ms" });
    })
    .await
}

async fn connect(gw: &TestGateway, framing: &str) -> TcpStream {
    let mut socket = TcpStream::connect(gw.gateway.client).await.expect("it listens");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\n{framing}\r\n\r\n",
        gw.gateway.client
    );
    socket.write_all(head.as_bytes()).await.expect("a listening server");
    socket
}

/// Reads until the server closes; fails when it answers and then keeps the connection.
async fn answer_and_close(socket: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    timeout(Duration::from_secs(20), socket.read_to_end(&mut bytes))
        .await
        .expect("the connection is closed")
        .expect("bytes");
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    Reply { status: status.expect("a status line"), headers: headers.collect(), body: body.as_bytes().to_vec() }
}

fn chunk(bytes: usize) -> Vec<u8> {
    let mut chunk = format!("{bytes:x}\r\n").into_bytes();
    chunk.resize(chunk.len() + bytes, b' ');
    chunk.extend_from_slice(b"\r\n");
    chunk
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_before_a_byte_of_it_is_read() {
    let gw = metered().await;
    for announced in [32 * MIB + 1, GIB] {
        let mut socket = connect(&gw, &format!("content-length: {announced}")).await;
        let reply = answer_and_close(&mut socket).await;
        assert_refusal(&reply, 413, "request_too_large", &format!("{announced} announced"));
        assert!(reply.message().contains("33554432"), "{}", reply.message());
    }
    assert_untouched(&gw).await;
}

#[tokio::test]
async fn a_body_of_unknown_length_is_refused_with_the_byte_that_passes_the_cap() {
    let gw = capped("64KiB").await;
    let mut socket = connect(&gw, "transfer-encoding: chunked").await;
    // Not a byte more than this is ever sent: the answer can't be waiting for one.
    socket.write_all(&chunk(64 * 1024)).await.unwrap();
    socket.write_all(&chunk(1)).await.unwrap();
    let reply = answer_and_close(&mut socket).await;
    assert_refusal(&reply, 413, "request_too_large", "chunked");
    assert_untouched(&gw).await;
}

#[tokio::test]
async fn a_client_that_sends_a_gibibyte_without_asking_is_cut_off_near_the_cap() {
    let gw = capped("1MiB").await;
    for framing in ["transfer-encoding: chunked".to_owned(), format!("content-length: {GIB}")] {
        let mut socket = connect(&gw, &framing).await;
        let piece = if framing.starts_with("transfer") { chunk(64 * 1024) } else { vec![b' '; 64 * 1024] };
        let mut sent = 0;
        while sent < GIB {
            match timeout(Duration::from_secs(20), socket.write(&piece)).await.expect("a closed or a taking peer") {
                Ok(bytes) => sent += bytes,
                Err(_) => break,
            }
        }
        // What the gateway read can't be seen from here; what left us is at most that and what both kernels hold.
        let kernels = kernel_buffer("tcp_wmem") + kernel_buffer("tcp_rmem");
        assert!(sent <= 2 * MIB + kernels, "{framing}: {sent} bytes left, {kernels} may be in buffers");
    }
    assert_untouched(&gw).await;
}

/// The most bytes the system keeps for one socket.
fn kernel_buffer(name: &str) -> usize {
    let sizes = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).expect("Linux");
    sizes.split_whitespace().last().and_then(|max| max.parse().ok()).expect("three sizes")
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_read() {
    let gw = capped("4KiB").await;
    let text = |bytes: usize| {
        let empty = r#"{"model":"standard","messages":[{"role":"user","content":""}]}"#;
        empty.replace("\"content\":\"", &format!("\"content\":\"{}", "a".repeat(bytes - empty.len())))
    };
    assert_eq!(post(&gw, text(4096), &[]).await.status, 200);
    assert_refusal(&post(&gw, text(4097), &[]).await, 413, "request_too_large", "one byte more");
}

#[tokio::test]
async fn a_packed_body_is_a_415_and_identity_is_none() {
    let gw = metered().await;
    let body = crate::support::question("standard").to_string();
    for coding in ["gzip", "br", "deflate", "zstd", "GZIP", "identity, gzip", "made-up"] {
        let reply = post(&gw, body.clone(), &[("content-encoding", coding)]).await;
        assert_refusal(&reply, 415, "unsupported_media_type", coding);
    }
    assert_untouched(&gw).await;
    assert_eq!(post(&gw, body, &[("content-encoding", "identity")]).await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_a_408_however_it_trickles() {
    let gw = capped("1MiB").await;
    // Stops in the middle.
    let mut socket = connect(&gw, "content-length: 500").await;
    socket.write_all(br#"{"model":"standard","#).await.unwrap();
    let reply = answer_and_close(&mut socket).await;
    assert_refusal(&reply, 408, "request_timeout", "stalled");
    // Sends a byte now and then: the time is for the whole body, not for the next byte.
    let (mut reader, mut writer) = connect(&gw, "content-length: 500").await.into_split();
    let trickle = tokio::spawn(async move {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut head = [0; 12];
    timeout(Duration::from_secs(20), reader.read_exact(&mut head)).await.expect("an answer").expect("bytes");
    assert_eq!(&head, b"HTTP/1.1 408");
    // Its connection is closed, so that writing fails sooner or later.
    timeout(Duration::from_secs(20), trickle).await.expect("the connection is closed").expect("no panic");
    assert_untouched(&gw).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing_behind() {
    let gw = metered().await;
    let mut socket = connect(&gw, "content-length: 500").await;
    socket.write_all(br#"{"model":"standard","#).await.unwrap();
    drop(socket);
    assert_untouched(&gw).await;
}
