//! One attempt that answers as an event stream: watched, timed, committed at the first content.

use tokio::time::Instant;

use crate::domain::failure::Failure;

use super::client::{Client, Gone};
use super::exchange::{Attendance, Broken, Delivered, Exchange, drain, stream_head};
use super::failures;
use super::reading::Reading;
use super::run::Run;
use super::usage::Sighting;

impl Exchange<'_> {
    /// Calls the target and streams its answer. After the first content a failure is final.
    pub(super) async fn stream(
        &self,
        run: &mut Run,
        client: &mut Client,
        attendance: &mut Attendance,
    ) -> Result<(Delivered, Sighting), Broken> {
        let timeouts = run.now.config.timeouts;
        let head_by = self.deadline.min(Instant::now() + timeouts.headers);
        let mut answer = self.send(run, client, attendance, head_by).await?;
        if !answer.is_event_stream() {
            let failure = failures::not_a_stream(self.step);
            return Err(Broken::Failed { failure, sighting: Some(Sighting::default()) });
        }
        answer.drop_headers();
        let mut reading = Reading::new(self.step, run);
        let first_content_by = self.deadline.min(Instant::now() + timeouts.first_content);
        loop {
            let by = if reading.content { self.deadline.min(Instant::now() + timeouts.idle) } else { first_content_by };
            let read = match attendance.during(run, client, answer.chunk(by)).await {
                Err(Gone) => return Err(Broken::Gone(Some(reading.sighting))),
                Ok(Err(error)) => Err(failures::body(self.step, reading.phase(), &error).into()),
                Ok(Ok(None)) => reading.closed().map(|()| true),
                Ok(Ok(Some(bytes))) => reading.take(&bytes),
            };
            // What came before a failure in the same read is the client's.
            if reading.content && self.commit(run, client, attendance, &mut reading).await.is_err() {
                return Err(Broken::Gone(Some(reading.sighting)));
            }
            let whole = match read {
                Ok(whole) => whole,
                Err(failure) => {
                    let broken = reading.broken(*failure);
                    run.broken_off = reading.content.then(|| reading.into_encoder());
                    return Err(broken);
                }
            };
            if whole {
                tokio::spawn(drain(answer));
                return Ok((Delivered::Stream { tail: reading.tail(run) }, reading.sighting));
            }
            if !reading.finished && reading.sighting.exceeds(self.step, self.room_pico) {
                run.cut_at_hold = true;
                return Ok((Delivered::Stream { tail: reading.cut(run) }, reading.sighting));
            }
        }
    }

    /// Sends what is pending; the first time this also sends the head, and there is no way back to another target.
    async fn commit(
        &self,
        run: &mut Run,
        client: &mut Client,
        attendance: &mut Attendance,
        reading: &mut Reading<'_>,
    ) -> Result<(), Gone> {
        let Some(bytes) = reading.pending() else { return Ok(()) };
        if run.first_content.is_none() {
            run.first_content = Some(std::time::Instant::now());
            if !client.head_sent() {
                client.send_head(stream_head(run)).await?;
            }
        }
        client.send(bytes).await?;
        attendance.signed();
        Ok(())
    }
}

impl Reading<'_> {
    fn broken(&self, failure: Failure) -> Broken {
        // An error event in place of an answer is an HTTP error in another coat: not billed unless usage is told.
        let refused = self.refused && !self.content && self.sighting.reported.is_none();
        Broken::Failed { failure, sighting: (!refused).then_some(self.sighting) }
    }
}
