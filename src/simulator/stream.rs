//! Answers as server-sent events, and what can be wrong with them.

use super::call::{Connection, Exchange};
use super::flood::{self, Flood};
use super::format::{Call, Event, frames};
use super::peer::Gone;
use super::plain::spoil;
use super::reply::{LAST_CHUNK, chunk};
use super::script::{Fault, InBandError};

pub(super) async fn answer(exchange: &mut Exchange<'_>, call: &Call<'_>) -> Result<Connection, Gone> {
    let step = exchange.step;
    let mut head = exchange.reply(200, "text/event-stream; charset=utf-8").header("cache-control", "no-cache");
    if step.fault == Some(Fault::GzipHeader) {
        head = head.header("content-encoding", "gzip");
    }
    let head = head.chunked();
    exchange.peer.write(&head).await?;
    keep_alive(exchange).await?;
    match &step.fault {
        Some(Fault::EmptyStream) => return exchange.finish_with(LAST_CHUNK, 0).await,
        Some(Fault::OnlyDone) => return end(exchange, exchange.format.done().as_slice()).await,
        Some(Fault::EndlessData) => return Err(flood::endless(exchange.peer, b"data: x\n").await),
        Some(Fault::HugeLine { bytes }) => one_chunk(exchange, b"data: ", Flood { unit: b"x", units: *bytes }).await?,
        Some(Fault::EmptyDataLines { lines }) => {
            one_chunk(exchange, b"", Flood { unit: b"data:\n", units: *lines }).await?;
        }
        _ => {}
    }
    let first_is_error = matches!(&step.fault, Some(Fault::InBandError(InBandError { after: 0, .. })));
    if !step.framing.no_opening && !first_is_error {
        send(exchange, &exchange.format.opening(call)).await?;
    }
    content(exchange, call).await
}

async fn content(exchange: &mut Exchange<'_>, call: &Call<'_>) -> Result<Connection, Gone> {
    let step = exchange.step;
    let frames = call.answer.frames(step.words_per_frame.map_or(1, usize::from));
    let fault_at = step.fault.as_ref().and_then(Fault::after).map(|after| after.min(frames.len() as u64));
    for (sent, frame) in (0..).zip(&frames) {
        if fault_at == Some(sent)
            && let Some(connection) = strike(exchange, call).await?
        {
            return Ok(connection);
        }
        exchange.pause(step.gap_ms).await?;
        send(exchange, &exchange.format.content(call, &frame.piece)).await?;
        exchange.meter.deliver(frame.tokens * call.choices);
    }
    if fault_at == Some(frames.len() as u64)
        && let Some(connection) = strike(exchange, call).await?
    {
        return Ok(connection);
    }
    send(exchange, &exchange.format.finish(call)).await?;
    match &step.fault {
        Some(Fault::FinishWithoutDone) => exchange.finish_with(LAST_CHUNK, 0).await,
        _ => end(exchange, exchange.format.done().as_slice()).await,
    }
}

/// What happens in the middle of the stream; none: it goes on.
async fn strike(exchange: &mut Exchange<'_>, call: &Call<'_>) -> Result<Option<Connection>, Gone> {
    let connection = match &exchange.step.fault {
        Some(Fault::Stall { .. }) => return Err(exchange.peer.gone().await),
        Some(Fault::Reset { .. }) => {
            exchange.peer.reset_on_close();
            Connection::Broken
        }
        Some(Fault::Cut { .. }) => {
            // Half of what the chunk size promises.
            exchange.peer.write(b"40\r\ndata: {\"id\":\"mock\",\"choices\":[").await?;
            Connection::Broken
        }
        Some(Fault::CleanEnd { .. }) => end(exchange, &[]).await?,
        Some(Fault::DoneWithoutFinish { .. }) => end(exchange, exchange.format.done().as_slice()).await?,
        Some(Fault::InBandError(error)) => {
            end(exchange, &[exchange.format.in_band_error(call, error, &exchange.request_id)]).await?
        }
        Some(Fault::MalformedFrame { .. }) => {
            send(exchange, &[exchange.format.malformed()]).await?;
            return Ok(None);
        }
        _ => return Ok(None),
    };
    Ok(Some(connection))
}

async fn keep_alive(exchange: &mut Exchange<'_>) -> Result<(), Gone> {
    let Some(keep_alive) = exchange.step.keep_alive else { return Ok(()) };
    let sign = chunk(exchange.format.keep_alive().as_bytes());
    let mut left = keep_alive.count.unwrap_or(u64::MAX);
    while left > 0 {
        exchange.pause(keep_alive.every_ms).await?;
        exchange.peer.write(&sign).await?;
        left -= 1;
    }
    Ok(())
}

/// Each event in a chunk of its own, all in one write: some clients keep their state per chunk.
fn chunks(exchange: &Exchange<'_>, events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        let frame = frames(std::slice::from_ref(event), &exchange.step.framing);
        bytes.extend(chunk(&if exchange.step.fault == Some(Fault::BadUtf8) { spoil(frame) } else { frame }));
    }
    bytes
}

async fn send(exchange: &mut Exchange<'_>, events: &[Event]) -> Result<(), Gone> {
    let bytes = chunks(exchange, events);
    exchange.peer.write(&bytes).await
}

/// The last events with the end of the body, in one write: a client that saw the end marker finds its call counted.
async fn end(exchange: &mut Exchange<'_>, events: &[Event]) -> Result<Connection, Gone> {
    let mut bytes = chunks(exchange, events);
    bytes.extend_from_slice(LAST_CHUNK);
    exchange.finish_with(&bytes, 0).await
}

/// An event too large to build, as one chunk.
async fn one_chunk(exchange: &mut Exchange<'_>, start: &[u8], flood: Flood) -> Result<(), Gone> {
    let end = b"\n\n";
    let size = (start.len() + end.len()) as u64 + flood.bytes();
    exchange.peer.write(format!("{size:x}\r\n").as_bytes()).await?;
    exchange.peer.write(start).await?;
    flood.pour(exchange.peer).await?;
    exchange.peer.write(end).await?;
    exchange.peer.write(b"\r\n").await
}
