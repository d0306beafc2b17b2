//! Streams that overrun what was set aside end at the hold, whatever formats meet and whichever band the context is in.

use headgate::simulator::{FixedUsage, Step, UsageReport};
use serde_json::json;

use super::{PAIRS, ask, gateway, priced, receipt, with_listed_models};
use crate::support::cases::each;

#[tokio::test]
async fn a_stream_that_overruns_its_cap_is_cut_at_the_hold_in_every_format() {
    let models: Vec<_> = PAIRS.iter().map(|pair| format!("overrun-{}", pair.name())).collect();
    let gw = gateway(|config| {
        for (pair, model) in PAIRS.iter().zip(&models) {
            priced(config, pair.kind, model);
        }
    })
    .await;
    // 500 tokens were asked for, and no token has more than 32 bytes: at most 16,000 bytes fit the cap.
    let endless = Step { words: Some(100_000), ignore_max_tokens: true, ..Step::text("overrunning") };
    each(PAIRS.iter().zip(&models), |(pair, model)| {
        gw.mock.script(model, vec![endless.clone()]);
        let gw = &gw;
        async move {
            let reply = ask(gw, pair.path, &pair.question(model, true)).await;
            let (receipt, name) = (receipt(gw, &reply).await, format!("{} over {}", pair.path, pair.kind));
            assert_eq!((reply.status, &receipt["outcome"]), (200, &json!("cut_at_hold")), "{name}: {receipt}");
            assert_eq!(receipt["price_nano"], receipt["hold_nano"], "{name}");
            assert!(reply.body.len() < 4_000_000, "{name}: {} bytes came all the same", reply.body.len());
            crate::support::until("the provider is hung up on", || gw.mock.model_counts(model).open_calls == 0).await;
            assert_eq!(gw.mock.model_counts(model).aborted, 1, "{name}");
        }
    })
    .await;
    gw.at_rest().await;
}

#[tokio::test]
async fn a_long_context_is_held_and_priced_by_its_own_band_with_its_cached_part() {
    // Listed: from 100,000 tokens of context on, everything costs five times as much.
    let gw = gateway(with_listed_models).await;
    let usage = |input: u64, cache_read: u64, cache_write: u64| {
        let usage = FixedUsage {
            input: Some(json!(input)),
            cache_read: Some(json!(cache_read)),
            cache_write: Some(json!(cache_write)),
            output: Some(json!(10)),
            ..FixedUsage::default()
        };
        Step { usage: UsageReport::Fixed(usage), ..Step::text("hello") }
    };
    for stream in [false, true] {
        for (step, price_pico) in [
            (usage(60_000, 30_000, 10_000), 60_000 * 100_000 + 30_000 * 10_000 + 10_000 * 125_000 + 10 * 500_000),
            (usage(60_000, 30_000, 10_001), 60_000 * 500_000 + 30_000 * 50_000 + 10_001 * 625_000 + 10 * 2_500_000u64),
        ] {
            gw.mock.script("claude-haiku-5-5", vec![step]);
            let text = "x".repeat(150_000);
            let body = json!({
                "model": "vendor/claude-haiku-5-5", "max_tokens": 500, "stream": stream,
                "messages": [{ "role": "user", "content": text }],
            });
            let reply = ask(&gw, "/v1/messages", &body).await;
            let receipt = receipt(&gw, &reply).await;
            assert_eq!(
                (&receipt["price_nano"], &receipt["counted"]),
                (&json!(price_pico / 1_000), &json!(false)),
                "{receipt}"
            );
            let hold = receipt["hold_nano"].as_u64().unwrap();
            assert!(hold > 150_000 * 625 + 500 * 2_500, "the dear band, as the bound of the context is above its step");
        }
    }
}
