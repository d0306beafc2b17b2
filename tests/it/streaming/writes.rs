//! How frames leave: readers in the wild take each read for whole events.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use headgate::simulator::Step;

use crate::support::wire::Wire;
use crate::support::{TestGateway, streamed};

#[tokio::test]
async fn every_read_holds_whole_frames_however_the_provider_cut_them() {
    let gw = TestGateway::with(|config| {
        config["tiers"]["claude"] = json!({ "primary": "anthropic/second", "max_tokens": 1000 });
    })
    .await;
    for model in ["first", "second"] {
        let step =
            Step {
                bytes_per_write: NonZeroUsize::new(29), gap_ms: 10, ..Step::text("Grüße, 世界 😀 and more of it")
            };
        gw.mock.script(model, vec![step]);
    }
    for (path, tier) in [
        ("/v1/chat/completions", "single"),
        ("/v1/chat/completions", "claude"),
        ("/v1/messages", "single"),
        ("/v1/messages", "claude"),
    ] {
        let mut body = streamed(tier);
        body["max_tokens"] = json!(100);
        let mut wire = Wire::connect(gw.gateway.client).await;
        wire.ask(path, &body.to_string(), &[]).await;
        let mut reads = 0;
        loop {
            let mut read = Vec::with_capacity(64 << 10);
            let length = timeout(Duration::from_secs(20), wire.socket.read_buf(&mut read)).await.expect("it goes on");
            assert!(length.expect("an open connection") > 0, "{path} {tier}: cut");
            let text = String::from_utf8(read).expect("no character is cut");
            let body = if reads == 0 { text.split_once("\r\n\r\n").expect("a whole head").1 } else { &text };
            reads += 1;
            if !are_whole_chunks(body) {
                panic!("{path} {tier}, read {reads}: {text:?}");
            }
            if body.ends_with("0\r\n\r\n") {
                break;
            }
        }
        assert!(reads > 5, "{path} {tier}: {reads} reads show nothing");
    }
}

/// Whole chunks of a chunked body, each made of whole frames.
fn are_whole_chunks(mut body: &str) -> bool {
    while !body.is_empty() {
        let Some((size, rest)) = body.split_once("\r\n") else { return false };
        let size = usize::from_str_radix(size, 16).expect("a chunk size is hexadecimal");
        let Some((chunk, rest)) = rest.split_at_checked(size) else { return false };
        let Some(rest) = rest.strip_prefix("\r\n") else { return false };
        if size > 0 && !chunk.ends_with("\n\n") {
            return false;
        }
        body = rest;
    }
    true
}
