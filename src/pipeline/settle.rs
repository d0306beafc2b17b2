//! The run's last act on every path: money first, then the end of the answer, then the record.

use bytes::{Bytes, BytesMut};

use crate::domain::error::GatewayError;
use crate::domain::money::NanoUsd;
use crate::domain::record::{AttemptRecord, Clamp, Outcome, RECORD_VERSION, RunRecord};
use crate::domain::usage::Usage;
use crate::ledger::Settled;
use crate::telemetry;

use super::Hall;
use super::client::{Client, Gone, Head};
use super::exchange::{Delivered, stream_head};
use super::headers;
use super::plain::about;
use super::refusal;
use super::run::{End, Run, unix_ms};
use super::upkeep::Owed;

/// Status of a run whose client left first, in logs and receipts.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Characters of the asked model's name that a record keeps: it is a client's text.
const LONGEST_MODEL: usize = 120;

impl Hall {
    /// Settles or voids the hold, ends the reply, writes the record.
    pub(super) async fn settle(&self, mut run: Run, end: Result<Delivered, End>, mut client: Client) {
        let price = run.price_with(0);
        let unsent = !run.attempts.iter().any(AttemptRecord::was_sent);
        let free = unsent && !run.moderation.as_ref().is_some_and(|m| m.judgement.ended_the_run());
        let bill = (!free).then(|| run.bill());
        let pen = run.call.job.as_ref().map(|job| job.pen);
        match (pen, &bill) {
            // One write ends a job and notes what it owes; it pays when that is done, or somebody does it for it.
            (Some(pen), Some(bill)) if run.held => client.owe(&Owed { hold: pen.hold(), bill: bill.clone() }),
            (None, Some(bill)) if run.held => {
                let settled = self.money.settle(run.call.run, bill.clone()).await;
                run.hold_expired = settled == Some(Settled::Corrected);
            }
            (None, None) if run.held => self.money.void(run.call.run).await,
            _ => {}
        }
        if let Err(End::Failed(error)) = &end {
            run.refusal = refusal::of(error);
        }
        let (mut outcome, mut status, mut code) = match &end {
            Ok(_) if run.cut_at_hold => (Outcome::CutAtHold, 200, None),
            Ok(_) => (Outcome::Ok, 200, None),
            Err(End::Gone) => (Outcome::ClientGone, CLIENT_CLOSED_REQUEST, None),
            Err(End::Failed(error)) => {
                let refused = run.attempts.is_empty();
                let reply = run.call.dialect.error(error, &run.call.request_id);
                let outcome = if refused { Outcome::Refused } else { Outcome::Error };
                (outcome, reply.status, Some(reply.code))
            }
        };
        if answer(&mut run, end, &mut client, price).await.is_err() && outcome != Outcome::Error {
            (outcome, status, code) = (Outcome::ClientGone, CLIENT_CLOSED_REQUEST, None);
        }
        if client.journal_failed() {
            (outcome, status, code) = (Outcome::Error, 503, Some("store_unavailable".to_owned()));
        }
        client.close().await;
        if let Some(pen) = pen {
            let overtaken = client.is_overtaken();
            if run.held {
                run.hold_expired = self.pay_for_job(pen, overtaken, bill).await;
            }
            if overtaken && !client.gone().is_cancelled() {
                // The record is written by whoever works on it now.
                return;
            }
        }
        self.record(run, price, outcome, status, code);
    }

    fn record(&self, run: Run, price: NanoUsd, outcome: Outcome, status: u16, error_code: Option<String>) {
        let call = &run.call;
        let (asked, to) = (call.decoded.max_tokens, run.clamped_to);
        let record = RunRecord {
            version: RECORD_VERSION,
            id: call.run,
            request_id: call.request_id.clone(),
            key: call.caller.key.to_string(),
            team: call.caller.team.to_string(),
            user: call.caller.user.to_string(),
            dialect: call.dialect.name().to_owned(),
            stream: call.decoded.stream,
            generation: run.now.generation,
            asked: call.decoded.model.as_ref().map(|model| model.chars().take(LONGEST_MODEL).collect()),
            tier: run.tier,
            tier_cause: run.tier_cause.to_owned(),
            target: run.attempts.last().map(|a| a.target.clone()).unwrap_or_default(),
            status,
            outcome,
            error_code,
            told: run.refusal.told,
            refusal_cause: run.refusal.cause.map(str::to_owned),
            refused_by: run.refusal.by,
            clamped: asked.zip(to).map(|(asked, to)| Clamp { asked, to }),
            dropped: run.dropped,
            usage: run.attempts.iter().fold(Usage::default(), |sum, a| sum.plus(&a.usage)),
            counted: run.attempts.iter().any(|a| a.estimated),
            moderation: run.moderation,
            attempts: run.attempts,
            gave_up: run.gave_up.map(str::to_owned),
            limits: run.limits,
            store_away: run.store_away,
            estimate: run.estimate,
            hold: run.hold.usd,
            hold_expired: run.hold_expired,
            price,
            price_book: run.now.prices.version().to_owned(),
            started_ms: run.started_ms,
            total_ms: unix_ms().saturating_sub(run.started_ms),
            first_content_ms: run
                .first_content
                .map(|at| u64::try_from(at.duration_since(run.started).as_millis()).unwrap_or(u64::MAX)),
        };
        self.metrics.observe(&record);
        (self.log)(telemetry::log_line(&record));
        self.runs.finish(record);
    }
}

/// Sends what the client still has to get.
async fn answer(run: &mut Run, end: Result<Delivered, End>, client: &mut Client, price: NanoUsd) -> Result<(), Gone> {
    let cost = format!("headgate cost_usd={price}");
    match end {
        Ok(Delivered::Plain { body }) => {
            let mut headers = headers::of(run);
            headers.push(("x-headgate-cost-usd", price.to_string()));
            let content_type = "application/json".into();
            client.send_head(Head { status: 200, content_type, headers, replayed: Vec::new(), body: Some(body) }).await
        }
        Ok(Delivered::Stream { tail }) => {
            if !client.head_sent() {
                client.send_head(stream_head(run)).await?;
            }
            // The price comes before the frames that end the stream.
            client.finish(run.call.dialect.comment(&cost), tail).await
        }
        Err(End::Gone) => {
            if let Some(last_frames) = run.call.dialect.stopped().filter(|_| client.is_journal()) {
                client.send_head(stream_head(run)).await?;
                client.finish(run.call.dialect.comment(&cost), last_frames).await?;
            }
            Err(Gone)
        }
        Err(End::Failed(error)) if client.head_sent() => {
            // No end follows: the connection closes abnormally behind the error frame.
            let told = broken_off(run, &error);
            client.send(told).await
        }
        Err(End::Failed(error)) => client.send_head(refusal(run, &error)).await,
    }
}

/// The frames of a failure after the head.
fn broken_off(run: &mut Run, error: &GatewayError) -> Bytes {
    let dialect = run.call.dialect;
    let mut encoder = match run.broken_off.take() {
        Some(encoder) => encoder,
        // The head went out to keep the client waiting, and nothing behind it.
        None => run.encoder(&about(run, None, run.call.decoded.model.clone().unwrap_or_default())),
    };
    let mut out = BytesMut::new();
    let told = encoder.broken_off(error, &mut out);
    if told { out.freeze() } else { dialect.in_band_error(error, &run.call.request_id) }
}

fn refusal(run: &Run, error: &GatewayError) -> Head {
    let reply = run.call.dialect.error(error, &run.call.request_id);
    let mut headers = headers::of(run);
    if let GatewayError::BudgetExceeded { view, .. }
    | GatewayError::RateLimited { view, .. }
    | GatewayError::LoopDetected { view, .. } = error
    {
        headers::refused(view, unix_ms(), &mut headers);
    }
    headers.extend(reply.headers);
    Head {
        status: reply.status,
        content_type: reply.content_type.into(),
        headers,
        replayed: Vec::new(),
        body: Some(reply.body),
    }
}
