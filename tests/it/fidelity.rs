//! Same format on both sides: whatever JSON the client writes reaches the provider, and whatever JSON the provider
//! answers reaches the client, byte for byte but for the fields that the gateway owns.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{KEY, TestGateway};

const CASES: usize = 48;

/// A provider of no format: keeps the last body it got and answers with the bytes it was given.
#[derive(Clone, Default)]
struct Upstream {
    got: Arc<Mutex<String>>,
    answer: Arc<Mutex<(&'static str, String)>>,
}

impl Upstream {
    /// Base URL of a new one.
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let upstream = Upstream::default();
        let serving = upstream.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(socket));
            }
        });
        (upstream, url)
    }

    async fn serve(self, socket: TcpStream) {
        let mut socket = BufReader::new(socket);
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().expect("a length");
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            socket.read_exact(&mut body).await.expect("the whole body");
            *self.got.lock().unwrap() = String::from_utf8(body).expect("UTF-8");
            let (content_type, answer) = self.answer.lock().unwrap().clone();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{answer}",
                answer.len()
            );
            if socket.write_all(head.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// JSON text in spellings that a reader and a writer of JSON would change.
fn json_text() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        prop::sample::select(vec![
            "1e400",
            "-1E-400",
            "1.0",
            "-0",
            "0.10",
            "1E+2",
            "12345678901234567890123",
            "true",
            "null",
            "\"\"",
        ])
        .prop_map(str::to_owned),
        prop::collection::vec(
            prop::sample::select(vec![
                "a",
                "\\u00e9",
                "é",
                "\\/",
                "\\\"",
                "\\ud83d\\ude00",
                "😀",
                "}",
                "]",
                "\\n",
                "\u{7f}"
            ]),
            0..5
        )
        .prop_map(|pieces| format!("\"{}\"", pieces.concat())),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        let gap = prop::sample::select(vec!["", " ", "\n\t"]);
        let list = (prop::collection::vec(inner.clone(), 0..4), gap.clone())
            .prop_map(|(items, gap)| format!("[{gap}{}{gap}]", items.join(&format!("{gap},"))));
        // Few names, so that some stand twice.
        let name = prop::sample::select(vec!["a", "b", "\\u0061", "é", ""]);
        let object = (prop::collection::vec((name, inner), 0..4), gap).prop_map(|(members, gap)| {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\"{gap}:{value}")).collect();
            format!("{{{gap}{}}}", members.join(&format!(",{gap}")))
        });
        prop_oneof![list, object]
    })
}

/// Members of names that nobody knows; some stand twice.
fn unknown() -> impl Strategy<Value = Vec<String>> {
    let name = prop::sample::select(vec!["x_one", "x_two", "\\u0078_three", "Content"]);
    prop::collection::vec((name, json_text()).prop_map(|(name, value)| format!("\"{name}\" :{value}")), 0..4)
}

/// An object of these members and some unknown ones, in any order.
fn object(known: Vec<String>) -> impl Strategy<Value = String> {
    unknown()
        .prop_flat_map(move |more| Just([known.clone(), more].concat()).prop_shuffle())
        .prop_map(|members| format!("{{ {} }}", members.join(", ")))
}

/// What differs between the two formats.
struct Format {
    kind: &'static str,
    path: &'static str,
    known: &'static [&'static str],
    /// A whole answer around an odd value.
    answer: fn(odd: &str, usage: &str) -> Vec<String>,
    /// Frames of a stream around an odd value, without the end marker.
    frames: fn(odd: &str, usage: &str) -> String,
    end: &'static str,
    usage: &'static [&'static str],
}

const FORMATS: &[Format] = &[
    Format {
        kind: "openai",
        path: "/v1/chat/completions",
        known: &[r#""max_completion_tokens":7"#, r#""stream_options":{"include_usage":true}"#],
        answer: |odd, usage| {
            vec![
                r#""id":"c""#.into(),
                format!(
                    r#""choices":[{{"index":0,"message":{{"role":"assistant","content":"hi","x":{odd}}},"logprobs":{odd},"finish_reason":"stop","y":{odd}}}]"#
                ),
                format!(r#""usage":{usage}"#),
            ]
        },
        frames: |odd, usage| {
            format!(
                "data:{{\"id\":\"c\",\"x\":{odd},\"choices\":[{{\"delta\":{{\"content\":\"hi\",\"x\":{odd}}}}}]}}\r\n\r\n: note\n\ndata: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: {{\"choices\":[],\"usage\":{usage}}}\n\n"
            )
        },
        end: "data: [DONE]\n\n",
        usage: &[r#""prompt_tokens":9"#, r#""completion_tokens":2"#],
    },
    Format {
        kind: "anthropic",
        path: "/v1/messages",
        known: &[r#""max_tokens" : 7"#, r#""system":"s""#],
        answer: |odd, usage| {
            vec![
                r#""id":"m","type":"message","role":"assistant""#.into(),
                format!(
                    r#""content":[{{"type":"text","text":"hi","citations":[{odd}],"x":{odd}}},{{"type":"later","y":{odd}}}]"#
                ),
                format!(r#""stop_reason":"end_turn","stop_details":{odd}"#),
                format!(r#""usage":{usage}"#),
            ]
        },
        frames: |odd, usage| {
            format!(
                "event: message_start\ndata:{{\"type\":\"message_start\",\"x\":{odd},\"message\":{{\"id\":\"m\",\"usage\":{usage},\"x\":{odd}}}}}\r\n\r\nevent: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\",\"x\":{odd}}}}}\n\nevent: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"hi\",\"x\":{odd}}}}}\n\nevent: later\ndata: {{\"type\":\"later\",\"y\":{odd}}}\n\nevent: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\",\"stop_details\":{odd}}},\"usage\":{usage}}}\n\n"
            )
        },
        end: "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        usage: &[r#""input_tokens":9"#, r#""output_tokens":2"#],
    },
];

/// A call and an answer, drawn by chance.
struct Case {
    /// With the tier in its place, and with the target's model.
    asked: String,
    expected: String,
    answer: String,
}

fn draw(format: &Format, stream: bool, runner: &mut TestRunner) -> Case {
    let mut any = |strategy: BoxedStrategy<String>| strategy.new_tree(runner).expect("a case").current();
    let odd = any(json_text().boxed());
    let messages = format!(r#""messages":[{{"role":"user","content":"\u00e9 \"}} 😀","x":{odd}}}]"#);
    let known = format.known.iter().filter(|known| stream || !known.contains("stream_options"));
    let known: Vec<String> = known.map(|known| (*known).to_owned()).collect();
    let own = [r#""model" :"MODEL""#.to_owned(), format!(r#""stream": {stream}"#), messages];
    let body = any(object([&own[..], &known].concat()).boxed());
    let usage = any(object(format.usage.iter().map(|part| (*part).to_owned()).collect()).boxed());
    let odd = any(json_text().boxed());
    let answer = match stream {
        // A line of an event ends at a line feed.
        true => (format.frames)(&odd.replace('\n', " "), &usage.replace('\n', " ")) + format.end,
        false => any(object((format.answer)(&odd, &usage)).boxed()),
    };
    Case { asked: body.replace("MODEL", "odd"), expected: body.replace("MODEL", "first"), answer }
}

#[tokio::test]
async fn every_spelling_of_json_passes_in_both_directions() {
    for format in FORMATS {
        let (upstream, url) = Upstream::start().await;
        let gw = TestGateway::with(|config| {
            config["providers"]["raw"] = json!({ "kind": format.kind, "base_url": url });
            config["tiers"]["odd"] = json!({ "primary": "raw/first", "max_tokens": 1000 });
            config["prices"]["raw/first"] = json!({ "input": 1, "output": 10 });
        })
        .await;
        let mut runner = TestRunner::deterministic();
        for stream in [false, true] {
            for _ in 0..CASES {
                let case = draw(format, stream, &mut runner);
                let kind = if stream { "text/event-stream" } else { "application/json" };
                *upstream.answer.lock().unwrap() = (kind, case.answer.clone());
                let request = gw.client.post(gw.url(format.path)).header("content-type", "application/json");
                let reply = request.bearer_auth(KEY).body(case.asked.clone()).send().await.unwrap();
                let status = reply.status();
                let body = reply
                    .text()
                    .await
                    .unwrap_or_else(|e| panic!("{e}\nasked {}\nanswered {}", case.asked, case.answer));

                assert_eq!(status, 200, "{body}\nasked {}\nanswered {}", case.asked, case.answer);
                assert_eq!(*upstream.got.lock().unwrap(), case.expected);
                assert_eq!(without_price(&body), case.answer.replace(": note\n\n", ""), "asked {}", case.asked);
            }
        }
    }
}

/// The one frame of ours: a comment with the price, before the end marker.
fn without_price(body: &str) -> String {
    match body.split_once(": headgate cost_usd") {
        Some((before, after)) => format!("{before}{}", after.split_once("\n\n").map_or("", |(_, rest)| rest)),
        None => body.to_owned(),
    }
}
