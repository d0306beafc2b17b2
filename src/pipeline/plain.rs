//! One attempt that answers in one body.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::dialects::About;
use crate::domain::failure::Phase;
use crate::domain::json;
use crate::domain::usage::Usage;
use crate::egress::{self, Answer, Clocks};

use super::client::Client;
use super::exchange::{Attendance, Broken, Delivered, Exchange, drain, outbound, passed};
use super::failures;
use super::run::{Run, unix_ms};
use super::usage::Sighting;

/// Largest answer of a provider that is taken in one piece, in bytes.
const LARGEST_ANSWER: usize = 64 << 20;

/// Largest error body that is read; the rest would not change the verdict.
const LARGEST_ERROR: usize = 64 << 10;

impl Exchange<'_> {
    /// Calls the target and takes its whole answer. `by` is this attempt's share of the run's time.
    pub(super) async fn plain(
        &self,
        run: &mut Run,
        client: &mut Client,
        attendance: &mut Attendance,
        by: Instant,
    ) -> Result<(Delivered, Sighting), Broken> {
        let mut answer = self.send(run, client, attendance, by).await?;
        let sent = Sighting::default();
        let failed = |failure, sighting| Broken::Failed { failure, sighting: Some(sighting) };
        let step = self.step;
        let body = match attendance.during(run, client, answer.whole(LARGEST_ANSWER, by)).await {
            Err(_) => return Err(Broken::Gone(Some(sent))),
            Ok(Err(error)) => return Err(failed(failures::body(step, Phase::FirstContent, &error), sent)),
            Ok(Ok(body)) => body,
        };
        drop(answer);
        let undecodable = |error| failed(failures::undecodable(step, Phase::FirstContent, error), sent);
        if run.passes(step.adapter) {
            let seen = step.adapter.inspect(&json::mended(&body)).map_err(undecodable)?;
            let sighting = Sighting { reported: seen.usage, output_bytes: seen.output_bytes, whole: true };
            if !seen.has_content && seen.finish.is_none() {
                return Err(failed(failures::empty(step, Phase::FirstContent), sighting));
            }
            let usage = || sighting.bill(run, step).usage;
            let body = step.adapter.answer(body, &passed(step, &run.call.decoded), &usage);
            let body =
                body.map_err(|error| failed(failures::undecodable(step, Phase::FirstContent, error), sighting))?;
            return Ok((Delivered::Plain { body }, sighting));
        }
        let mut reply = step.adapter.decode(&json::mended(&body)).map_err(undecodable)?;
        let sighting = Sighting { reported: reply.usage, output_bytes: reply.output_bytes(), whole: true };
        // The client's format needs numbers; where the provider sent none they are ours, as on the bill.
        let usage: Usage = sighting.bill(run, step).usage;
        reply.usage = Some(usage);
        let model = reply.model.clone().unwrap_or_else(|| step.target.model.to_string());
        let body = run.call.dialect.encode(&reply, &about(run, reply.id.clone(), model));
        Ok((Delivered::Plain { body }, sighting))
    }

    /// Sends the request and waits for a 200 head.
    pub(super) async fn send(
        &self,
        run: &mut Run,
        client: &mut Client,
        attendance: &mut Attendance,
        head_by: Instant,
    ) -> Result<Answer, Broken> {
        let step = self.step;
        let out = outbound(run, step, self.key).map_err(Broken::Refused)?;
        let clocks = Clocks { connect: run.now.config.timeouts.connect, head_by };
        let answer = match attendance.during(run, client, egress::send(out, clocks)).await {
            Err(_) => return Err(Broken::Gone(Some(Sighting::default()))),
            Ok(Err(error)) => {
                let failure = failures::unsent(step, &error);
                let sighting = (failure.phase != Phase::Connect).then(Sighting::default);
                return Err(Broken::Failed { failure, sighting });
            }
            Ok(Ok(answer)) => answer,
        };
        if answer.is_encoded() {
            let failure = failures::encoded(step, answer.status());
            return Err(Broken::Failed { failure, sighting: Some(Sighting::default()) });
        }
        if (200..300).contains(&answer.status()) {
            return Ok(answer);
        }
        Err(self.refused(run, client, attendance, answer, head_by).await)
    }

    /// An HTTP error: costs nothing unless it reports usage, which no known provider does.
    async fn refused(
        &self,
        run: &Run,
        client: &mut Client,
        attendance: &mut Attendance,
        mut answer: Answer,
        by: Instant,
    ) -> Broken {
        let body = match attendance.during(run, client, answer.whole(LARGEST_ERROR, by)).await {
            Err(_) => return Broken::Gone(None),
            // The status alone is enough to judge by.
            Ok(body) => body.unwrap_or_default(),
        };
        let status = answer.status();
        let parts = self.step.adapter.failure(status, &|name| answer.header(name), &body, SystemTime::now());
        tokio::spawn(drain(answer));
        Broken::Failed { failure: failures::status(self.step, status, parts), sighting: None }
    }
}

/// What a reply of ours says of itself.
pub(super) fn about(run: &Run, id: Option<String>, model: String) -> About {
    let continued = run.call.decoded.conversation.as_ref().and_then(|conversation| conversation.continues.clone());
    About {
        id: run.call.dialect.answer_id(&run.call.run, continued.or(id)),
        created_s: run.started_ms / 1_000,
        model,
        include_usage: run.call.decoded.include_usage,
        request: run.call.decoded.body.clone(),
        now_s: || unix_ms() / 1_000,
    }
}
