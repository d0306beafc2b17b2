//! How much later the first content of a stream reaches a client than it left the provider.
//!
//!     first_byte LISTEN NAME=ADDRESS…     for instance: first_byte 127.0.0.1:4020 nginx=127.0.0.1:4021
//!
//! Provider (LISTEN) and client are both here, so that one clock times both ends: the first content of every stream is the
//! time at which it was written. Each round asks every NAME, one stream at a time and then 50 at once; every stream has its
//! connection open already, and its content comes some milliseconds after its head. Prints a line per NAME and load:
//! name, streams at once, streams in all, then median, 99th percentile and maximum in microseconds.

use std::error::Error;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ROUNDS: usize = 5;

/// Streams at once, and streams of each connection in a round.
const LOADS: &[(usize, usize)] = &[(1, 60), (50, 20)];

const BODY: &str =
    r#"{"model":"first","stream":true,"max_tokens":100,"messages":[{"role":"user","content":"Say one word."}]}"#;

/// What stands before the time, and after it.
const STAMP: (&str, &str) = (r#""content":"t"#, r#"u""#);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().ok_or("where should the provider listen?")?;
    let subjects: Vec<(String, String)> = arguments
        .map(|subject| subject.split_once('=').map(|(name, to)| (name.to_owned(), to.to_owned())))
        .collect::<Option<_>>()
        .ok_or("subjects are written NAME=ADDRESS")?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&listen, &subjects))
}

#[allow(clippy::print_stdout, reason = "its output is what it is for")]
async fn measure(listen: &str, subjects: &[(String, String)]) -> Outcome<()> {
    let clock = Instant::now();
    let listener = TcpListener::bind(listen).await?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // A client that leaves ends its connection; what was measured by then counts.
            tokio::spawn(async move { drop(provide(socket, clock).await) });
        }
    });
    for (at_once, streams) in LOADS {
        let mut late = vec![Vec::new(); subjects.len()];
        for _ in 0..ROUNDS {
            for ((_, to), late) in subjects.iter().zip(&mut late) {
                let clients: Vec<_> = (0..*at_once).map(|_| tokio::spawn(ask(to.clone(), *streams, clock))).collect();
                for client in clients {
                    late.extend(client.await??);
                }
            }
        }
        for ((name, _), mut late) in subjects.iter().zip(late) {
            late.sort_unstable();
            let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize].as_micros();
            println!("{name} {at_once} {} {} {} {}", late.len(), at(0.5), at(0.99), at(1.0));
        }
    }
    Ok(())
}

/// Asks for one stream after the other, and returns how late the first content of each was.
async fn ask(to: String, streams: usize, clock: Instant) -> Outcome<Vec<Duration>> {
    let mut socket = TcpStream::connect(to).await?;
    socket.set_nodelay(true)?;
    let call = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer bench-key\r\nx-user-id: user-1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut late = Vec::with_capacity(streams);
    let mut answer = Vec::with_capacity(16 << 10);
    for at in 0..=streams {
        answer.clear();
        socket.write_all(call.as_bytes()).await?;
        let mut first = None;
        while !answer.ends_with(b"0\r\n\r\n") {
            if socket.read_buf(&mut answer).await? == 0 {
                return Err(format!("cut off: {}", String::from_utf8_lossy(&answer)).into());
            }
            first = first.or_else(|| stamp(&answer).map(|sent| clock.elapsed().saturating_sub(sent)));
        }
        // The first opens the connections behind the one we see.
        if at > 0 {
            late.push(first.ok_or_else(|| format!("no content: {}", String::from_utf8_lossy(&answer)))?);
        }
    }
    Ok(late)
}

/// When the content was written, once it is here as a whole.
fn stamp(answer: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(answer).ok()?;
    let (number, _) = text.split_once(STAMP.0)?.1.split_once(STAMP.1)?;
    number.parse().ok().map(Duration::from_nanos)
}

/// Answers every call on a connection with a stream whose only content is the time.
async fn provide(mut socket: TcpStream, clock: Instant) -> Outcome<()> {
    socket.set_nodelay(true)?;
    let mut inbox = Vec::with_capacity(4 << 10);
    for call in 0u64.. {
        // Calls are objects without spaces around them, and shorter than a read.
        while !inbox.ends_with(b"}") {
            if socket.read_buf(&mut inbox).await? == 0 {
                return Ok(());
            }
        }
        inbox.clear();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let role = chunk(r#"{"role":"assistant","content":""}"#, "null");
        socket.write_all(format!("{head}{role}").as_bytes()).await?;
        // Spread, so that streams which began together don't go on together; long enough for calls not to be the load.
        tokio::time::sleep(Duration::from_millis(20 + (call * 37 + u64::from(socket.peer_addr()?.port())) % 81)).await;
        let (before, after) = STAMP;
        let content = |nanos: u128| chunk(&format!("{{{before}{nanos}{after}}}"), "null");
        socket.write_all(content(clock.elapsed().as_nanos()).as_bytes()).await?;
        tokio::time::sleep(Duration::from_millis(2)).await;
        let usage = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"first","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}"#;
        let end = format!("{}{}{}0\r\n\r\n", chunk("{}", r#""stop""#), framed(usage), framed("data: [DONE]"));
        socket.write_all(end.as_bytes()).await?;
    }
    Ok(())
}

fn chunk(delta: &str, finish: &str) -> String {
    framed(&format!(
        r#"data: {{"id":"c","object":"chat.completion.chunk","created":1,"model":"first","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
    ))
}

/// An event as one chunk of a chunked body.
fn framed(event: &str) -> String {
    format!("{:x}\r\n{event}\n\n\r\n", event.len() + 2)
}
