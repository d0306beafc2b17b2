//! Answers in one body, and what can be wrong with them.

use super::answer::BAD_BYTE;
use super::call::{Connection, Exchange};
use super::flood::{self, Flood};
use super::format::Call;
use super::peer::Gone;
use super::script::{ErrorWords, Fault};

const JSON: &str = "application/json";
const PAGE: &[u8] = b"<!DOCTYPE html><html><body><h1>Welcome to the proxy</h1></body></html>";

pub(super) async fn answer(exchange: &mut Exchange<'_>, call: &Call<'_>) -> Result<Connection, Gone> {
    let mut body = exchange.format.plain(call);
    let tokens = call.answer.tokens * call.choices;
    let step = exchange.step;
    match &step.fault {
        Some(Fault::Html) => {
            let page = exchange.reply(200, "text/html").with(PAGE);
            exchange.finish_with(&page, 0).await
        }
        Some(Fault::EmptyBody | Fault::EmptyStream | Fault::OnlyDone) => {
            let nothing = exchange.reply(200, JSON).with(b"");
            exchange.finish_with(&nothing, 0).await
        }
        Some(Fault::ErrorObject) => error_object(exchange, &ErrorWords::default()).await,
        Some(Fault::InBandError(error)) => error_object(exchange, &error.error).await,
        Some(Fault::TruncatedJson | Fault::MalformedFrame { .. }) => {
            let body = body.to_string().into_bytes();
            let reply = exchange.reply(200, JSON).with(half(&body));
            exchange.finish_with(&reply, tokens).await
        }
        Some(Fault::ShortBody | Fault::Cut { .. } | Fault::Reset { .. } | Fault::Stall { .. }) => {
            break_off(exchange, &body.to_string().into_bytes()).await
        }
        Some(Fault::CleanEnd { .. } | Fault::DoneWithoutFinish { .. }) => {
            for pointer in ["/choices/0/finish_reason", "/stop_reason", "/candidates/0/finishReason", "/status"] {
                if let Some(finish) = body.pointer_mut(pointer) {
                    finish.take();
                }
            }
            let reply = exchange.reply(200, JSON).with(body.to_string().as_bytes());
            exchange.finish_with(&reply, tokens).await
        }
        Some(Fault::HugeLine { bytes }) => flood(exchange, Flood { unit: b"x", units: *bytes }).await,
        Some(Fault::EmptyDataLines { lines }) => flood(exchange, Flood { unit: b"\n", units: *lines }).await,
        Some(Fault::EndlessData) => {
            let head = exchange.reply(200, JSON).chunked();
            exchange.peer.write(&head).await?;
            Err(flood::endless(exchange.peer, b"x").await)
        }
        Some(Fault::GzipHeader) => {
            let reply = exchange.reply(200, JSON).header("content-encoding", "gzip").with(body.to_string().as_bytes());
            exchange.finish_with(&reply, tokens).await
        }
        Some(Fault::BadUtf8) => {
            let reply = exchange.reply(200, JSON).with(&spoil(body.to_string().into_bytes()));
            exchange.finish_with(&reply, tokens).await
        }
        // The other faults come before the head, or are of streams only.
        _ => {
            let reply = exchange.reply(200, JSON).with(body.to_string().as_bytes());
            exchange.finish_with(&reply, tokens).await
        }
    }
}

async fn error_object(exchange: &mut Exchange<'_>, words: &ErrorWords) -> Result<Connection, Gone> {
    let body = exchange.format.error(500, words, &exchange.request_id).to_string();
    let reply = exchange.reply(200, JSON).with(body.as_bytes());
    exchange.finish_with(&reply, 0).await
}

/// Half of the body, and then not the rest.
async fn break_off(exchange: &mut Exchange<'_>, body: &[u8]) -> Result<Connection, Gone> {
    let part = exchange.reply(200, JSON).announcing(body.len() as u64, half(body));
    exchange.peer.write(&part).await?;
    match &exchange.step.fault {
        Some(Fault::Stall { .. }) => return Err(exchange.peer.gone().await),
        Some(Fault::Reset { .. }) => exchange.peer.reset_on_close(),
        _ => {}
    }
    Ok(Connection::Broken)
}

async fn flood(exchange: &mut Exchange<'_>, flood: Flood) -> Result<Connection, Gone> {
    let head = exchange.reply(200, JSON).announcing(flood.bytes(), b"");
    exchange.peer.write(&head).await?;
    flood.pour(exchange.peer).await?;
    exchange.finish_with(b"", 0).await
}

fn half(body: &[u8]) -> &[u8] {
    body.get(..body.len() / 2).unwrap_or_default()
}

/// Puts a byte that no UTF-8 has where the text asks for it.
pub(super) fn spoil(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut buffer = [0; 4];
    let marker = BAD_BYTE.encode_utf8(&mut buffer).as_bytes();
    if let Some(start) = bytes.windows(marker.len()).position(|window| window == marker) {
        bytes.splice(start..start + marker.len(), [0xFF]);
    }
    bytes
}
