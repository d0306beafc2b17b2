use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::{Counts, Fault, FixedUsage, Simulator, Step, UsageReport};
use super::client::{Api, Ending, call, chat, post, receive};
use super::{eventually, scripted, simulator};

/// Sends a call, waits for `bytes` of its answer, and leaves.
async fn call_and_leave(simulator: &Simulator, model: &str, stream: bool, bytes: usize) {
    let mut socket = TcpStream::connect(simulator.addr()).await.unwrap();
    socket.write_all(&post(Api::OpenAi.path(), &chat(model, stream))).await.unwrap();
    if bytes > 0 {
        socket.read_exact(&mut vec![0; bytes]).await.unwrap();
    }
    eventually(|| simulator.counts().open_calls == 1).await;
    assert_eq!(simulator.counts().open_calls, 1);
}

#[tokio::test]
async fn a_peer_that_leaves_is_noticed_at_once_wherever_the_call_waits() {
    let hour = 3_600_000;
    let cases = [
        ("latency", Step { latency_ms: hour, ..Step::default() }, 0, 0),
        ("hang", Step::fault(Fault::HangBeforeHead), 0, 0),
        ("gap", Step { gap_ms: hour, ..Step::default() }, 50, 0),
        ("stall", Step { fault: Some(Fault::Stall { after: 2 }), ..Step::text("one two three") }, 50, 2),
        ("endless", Step::fault(Fault::EndlessData), 5_000, 0),
    ];
    for (name, step, bytes, delivered) in cases {
        let simulator = scripted(name, step).await;
        call_and_leave(&simulator, name, true, bytes).await;
        eventually(|| simulator.counts().open_sockets == 0).await;
        let expected = Counts { calls: 1, aborted: 1, input_tokens: 2, output_tokens: delivered, ..Counts::default() };
        assert_eq!(simulator.counts(), expected, "{name}");
    }
}

#[tokio::test]
async fn a_slow_reader_that_leaves_is_noticed_while_a_write_waits_for_it() {
    let simulator = scripted("m", Step::fault(Fault::HugeLine { bytes: 1 << 30 })).await;
    call_and_leave(&simulator, "m", true, 10).await;
    eventually(|| simulator.counts().open_sockets == 0).await;
    assert_eq!((simulator.counts().aborted, simulator.counts().open_calls), (1, 0));
}

#[tokio::test]
async fn a_client_that_has_its_answer_finds_it_counted() {
    let simulator = scripted("m", Step::text("one two")).await;
    for number in 1..=50 {
        call(simulator.addr(), Api::OpenAi, &chat("m", number % 2 == 0)).await;
        let counts = simulator.model_counts("m");
        assert_eq!((counts.answered, counts.open_calls, counts.output_tokens), (number, 0, 2 * number));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact_under_concurrency_and_every_snapshot_adds_up() {
    let simulator = simulator().await;
    let steps = [Step::text("one two"), Step::status(503), Step::fault(Fault::CloseBeforeHead)];
    // Call n of a model uses step n: with 3 models and 99 calls each, 97 repeat the last step.
    for (name, step) in ["answers", "refuses", "breaks"].iter().zip(steps) {
        simulator.script(name, vec![step]);
    }
    let addr = simulator.addr();
    let calls: Vec<_> = (0..300)
        .map(|n| {
            tokio::spawn(async move {
                call(addr, Api::OpenAi, &chat(["answers", "refuses", "breaks"][n % 3], n % 2 == 0)).await
            })
        })
        .collect();
    let mut endings = 0;
    for call in calls {
        let counts = simulator.counts();
        assert_eq!(counts.calls, counts.answered + counts.aborted + counts.broken_off + counts.open_calls);
        endings += u64::from(call.await.unwrap().ending == Ending::Whole);
    }
    eventually(|| simulator.counts().open_sockets == 0).await;
    let expected = Counts {
        calls: 300,
        answered: 200,
        broken_off: 100,
        // The prompt of a call that was broken off is billed, that of a refused one is not.
        input_tokens: 400,
        output_tokens: 200,
        ..Counts::default()
    };
    assert_eq!((simulator.counts(), endings), (expected, 200));
}

#[tokio::test]
async fn a_believable_report_is_billed_and_a_lie_is_not() {
    let usage = |output| {
        UsageReport::Fixed(FixedUsage { input: Some(json!(1_000)), output: Some(output), ..FixedUsage::default() })
    };
    let simulator = simulator().await;
    for (output, billed) in [(json!(500), 500), (json!(0), 2), (json!(-1), 2), (json!(1e18), 2), (json!("many"), 2)] {
        simulator.reset();
        simulator.script("m", vec![Step { usage: usage(output.clone()), ..Step::text("one two") }]);
        for stream in [false, true] {
            call(simulator.addr(), Api::OpenAi, &chat("m", stream)).await;
        }
        let counts = simulator.counts();
        assert_eq!((counts.input_tokens, counts.output_tokens), (2_000, 2 * billed), "{output}");
    }
}

#[tokio::test]
async fn a_call_from_before_a_reset_is_not_counted_after_it() {
    let simulator = scripted("m", Step { latency_ms: 100, ..Step::default() }).await;
    let mut socket = TcpStream::connect(simulator.addr()).await.unwrap();
    socket.write_all(&post(Api::OpenAi.path(), &chat("m", false))).await.unwrap();
    eventually(|| simulator.counts().open_calls == 1).await;
    simulator.reset();
    assert_eq!(simulator.counts(), Counts { open_calls: 1, open_sockets: 1, ..Counts::default() });
    socket.read_u8().await.unwrap();
    assert_eq!(simulator.counts(), Counts { open_sockets: 1, ..Counts::default() });
}

#[tokio::test]
async fn one_connection_carries_many_calls_and_dropping_the_simulator_closes_it() {
    let simulator = scripted("hang", Step::fault(Fault::HangBeforeHead)).await;
    let addr = simulator.addr();
    let mut socket = TcpStream::connect(addr).await.unwrap();
    for stream in [true, false, true] {
        socket.write_all(&post(Api::Anthropic.path(), &chat("m", stream))).await.unwrap();
        assert_eq!(receive(&mut socket).await.ending, Ending::Whole);
    }
    socket.write_all(&post(Api::Anthropic.path(), &chat("hang", false))).await.unwrap();
    eventually(|| simulator.counts().open_calls == 1).await;
    assert_eq!(simulator.counts().open_sockets, 1);
    drop(simulator);
    let closed = tokio::time::timeout(Duration::from_secs(1), socket.read(&mut [0; 1])).await.expect("at once");
    assert!(matches!(closed, Ok(0) | Err(_)));
    assert!(TcpStream::connect(addr).await.is_err());
}
