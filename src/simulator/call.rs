//! The life of one call: counted, delayed, failed before the head, or answered plain or as a stream.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use super::answer::{Answer, Usage, believable};
use super::ask::Ask;
use super::book::Book;
use super::counts::End;
use super::format::{Call, Format};
use super::log::Line;
use super::meter::Meter;
use super::peer::{Gone, Peer};
use super::reply::Reply;
use super::request::{self, Request};
use super::script::{ErrorWords, Fault, RetryAfter, StatusFault, Step};
use super::seen::Seen;
use super::{plain, stream};

/// What is left of the connection when the answer is out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Usable,
    /// To be closed at once, because the script says so.
    Broken,
}

/// A call being answered.
pub(super) struct Exchange<'a> {
    pub(super) peer: &'a mut Peer,
    pub(super) meter: Meter,
    pub(super) format: &'static dyn Format,
    pub(super) step: &'a Step,
    pub(super) request_id: String,
    /// For the log.
    status: u16,
    usage: Option<Usage>,
}

/// Errors: the peer left, which is in the counts already.
pub(super) async fn serve(
    peer: &mut Peer,
    book: &Book,
    format: &'static dyn Format,
    request: &Request,
) -> Result<Connection, Gone> {
    let asked = format.ask(request).and_then(|ask| match ask.max_tokens() {
        None if format.requires_max_tokens() => Err("max_tokens: Field required".to_owned()),
        _ => Ok(ask),
    });
    let number = book.next_number();
    let (open, step) = book.begin(asked.as_ref().map_or("", |ask| &ask.model), Seen::new(request));
    peer.bytes_per_write = step.bytes_per_write;
    let request_id = format!("req_mock_{number}");
    let (meter, step) = (Meter::new(open), &*step);
    let mut exchange = Exchange { peer, meter, format, step, request_id, status: 200, usage: None };
    let ended = match &asked {
        Ok(ask) => exchange.answer(number, ask, &request.body).await,
        Err(message) => exchange.refuse(message.clone()).await,
    };
    match ended {
        Ok(Connection::Usable) => {}
        Ok(Connection::Broken) => exchange.meter.broken_off(),
        Err(Gone) => exchange.meter.aborted(),
    }
    exchange.peer.bytes_per_write = None;
    book.log(|| {
        let end = match ended {
            Ok(Connection::Usable) => End::Answered,
            Ok(Connection::Broken) => End::BrokenOff,
            Err(Gone) => End::Aborted,
        };
        let asker = request::headers(&request.head.raw).into_iter().find(|(name, _)| name == "x-request-id");
        Line {
            call: number,
            request_id: asker.map(|(_, id)| id),
            format: format.name(),
            model: asked.as_ref().map_or("", |ask| &ask.model),
            status: exchange.status,
            end,
            usage: exchange.usage.as_ref(),
        }
    });
    ended
}

impl Exchange<'_> {
    async fn answer(&mut self, number: u64, ask: &Ask<'_>, body: &[u8]) -> Result<Connection, Gone> {
        match &self.step.fault {
            Some(Fault::Status(fault)) => {
                self.pause(self.step.latency_ms).await?;
                return self.status(fault).await;
            }
            Some(Fault::Redirect { location }) => {
                self.pause(self.step.latency_ms).await?;
                self.status = 302;
                let reply = self.reply(302, "text/plain").header("location", location.as_str());
                return self.finish_with(&reply.with(b""), 0).await;
            }
            _ => {}
        }
        let call = self.accept(number, ask, body);
        self.pause(self.step.latency_ms).await?;
        match &self.step.fault {
            Some(Fault::HangBeforeHead) => Err(self.peer.gone().await),
            Some(Fault::CloseBeforeHead) => Ok(Connection::Broken),
            Some(Fault::ResetBeforeHead) => {
                self.peer.reset_on_close();
                Ok(Connection::Broken)
            }
            Some(fault) if fault.is_of_plain_answers() => plain::answer(self, &call).await,
            _ if ask.stream.unwrap_or(false) => stream::answer(self, &call).await,
            _ => plain::answer(self, &call).await,
        }
    }

    /// The model takes the call: it decides what to say, and the prompt is billed.
    fn accept<'c>(&mut self, number: u64, ask: &'c Ask<'_>, body: &[u8]) -> Call<'c>
    where
        Self: 'c,
    {
        let answer = Answer::of(self.step, ask, body);
        let input_tokens = ask.input_tokens();
        let usage = Usage::of(&self.step.usage, body, input_tokens, answer.tokens * ask.choices());
        self.usage = usage.clone();
        let billed_input = usage.as_ref().and_then(|usage| self.format.billed_input(usage));
        let billed_output = usage.as_ref().and_then(|usage| believable(&usage.output));
        self.meter.accept(billed_input.unwrap_or(input_tokens), billed_output);
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Call {
            number,
            created: since_epoch.as_secs(),
            model: &ask.model,
            choices: ask.choices(),
            include_usage: ask.include_usage(),
            framing: self.step.framing.clone(),
            answer,
            task: &ask.task,
            usage,
            events: AtomicU64::new(0),
        }
    }

    async fn refuse(&mut self, message: String) -> Result<Connection, Gone> {
        let error = ErrorWords { message: Some(message), ..ErrorWords::default() };
        self.status(&StatusFault { status: 400, error, ..StatusFault::default() }).await
    }

    async fn status(&mut self, fault: &StatusFault) -> Result<Connection, Gone> {
        self.status = fault.status;
        let mut told = false;
        let (content_type, body) = match &fault.body {
            Some(raw) if raw.starts_with('{') => ("application/json", raw.clone()),
            Some(raw) if raw.starts_with('<') => ("text/html", raw.clone()),
            Some(raw) => ("text/plain", raw.clone()),
            None => {
                let mut body = self.format.error(fault.status, &fault.error, &self.request_id);
                told = fault.retry_after.as_ref().is_some_and(|wait| self.format.tells_wait(&mut body, wait));
                ("application/json", body.to_string())
            }
        };
        let mut reply = self.reply(fault.status, content_type);
        reply = match fault.retry_after.as_ref().filter(|_| !told) {
            None => reply,
            Some(RetryAfter::Seconds(seconds)) => reply.header("retry-after", seconds.to_string()),
            Some(RetryAfter::Ms(ms)) => reply.header("retry-after-ms", ms.to_string()),
            Some(RetryAfter::Raw(raw)) => reply.header("retry-after", raw.as_str()),
            Some(RetryAfter::HttpDate(seconds)) => {
                // httpdate ends at the year 9999; a wait of a century says as much.
                let ahead = Duration::from_secs((*seconds).min(100 * 365 * 86_400));
                reply.header("retry-after", httpdate::fmt_http_date(SystemTime::now() + ahead))
            }
        };
        self.finish_with(&reply.with(body.as_bytes()), 0).await
    }

    pub(super) fn reply(&self, status: u16, content_type: &str) -> Reply<'_> {
        let reply = Reply::new(status, content_type);
        reply.header(self.format.request_id_header(), self.request_id.as_str()).scripted(&self.step.headers)
    }

    /// Sends the last bytes of an answer, which carry `tokens`.
    pub(super) async fn finish_with(&mut self, bytes: &[u8], tokens: u64) -> Result<Connection, Gone> {
        self.meter.answered(tokens);
        self.peer.write(bytes).await?;
        Ok(Connection::Usable)
    }

    pub(super) async fn pause(&mut self, ms: u64) -> Result<(), Gone> {
        self.peer.pause(Duration::from_millis(ms)).await
    }
}
