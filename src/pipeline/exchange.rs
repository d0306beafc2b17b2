//! What plain and streamed attempts share: the request that goes out, and waiting while the client is watched.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use crate::config::ApiKey;
use crate::dialects::{Decoded, StreamHead};
use crate::domain::error::GatewayError;
use crate::domain::failure::Failure;
use crate::egress::{Answer, Outbound};
use crate::providers::{Ask, Passed};

use super::client::{Client, Gone, Head};
use super::headers;
use super::route::Step;
use super::run::Run;
use super::usage::Sighting;

/// A whole answer, up to the part that waits for the settlement.
pub(super) enum Delivered {
    /// Nothing was sent yet: head and body go out together.
    Plain { body: Bytes },
    /// Everything but the end was sent.
    Stream { tail: Bytes },
}

/// An attempt without an answer.
pub(super) enum Broken {
    /// The client left.
    Gone(Option<Sighting>),
    /// `sighting` is none where the provider can't have billed anything.
    Failed { failure: Failure, sighting: Option<Sighting> },
    /// Our own fault, or the request can't be translated for this target.
    Refused(GatewayError),
}

/// What one attempt needs besides the run.
pub(super) struct Exchange<'a> {
    pub step: &'a Step,
    /// None = sent without credentials.
    pub key: Option<&'a ApiKey>,
    pub deadline: Instant,
    /// Pico-dollars that this attempt may cost before its stream is cut.
    pub room_pico: u128,
}

/// The request for one target: spliced where client and provider speak the same format, translated where not.
pub(super) fn outbound(run: &mut Run, step: &Step, key: Option<&ApiKey>) -> Result<Outbound, GatewayError> {
    let call = &run.call;
    let (decoded, adapter) = (&*call.decoded, step.adapter);
    let mut headers = credentials(step, key);
    let (body, dropped) = if run.passes(adapter) {
        headers.extend(call.forwarded.iter().cloned());
        let cleaned = call.dialect.without_foreign(decoded);
        let passed = passed(step, cleaned.as_ref().unwrap_or(decoded));
        let mut dropped = adapter.unsaid(&passed);
        let body = adapter.pass(&passed)?;
        dropped.extend(cleaned.into_iter().flat_map(|call| call.dropped));
        (body, dropped)
    } else {
        let (model, cap_field) = (&*step.target.model, cap_field(step));
        let ask = Ask { model, stream: decoded.stream, max_tokens: step.max_tokens, cap_field };
        let encoded = adapter.encode(&call.dialect.chat(decoded)?, &ask)?;
        // What is switched on by a header can't be had from another format.
        let switches = call.forwarded.iter().map(|(name, _)| (*name).to_owned());
        (encoded.body, encoded.dropped.into_iter().chain(switches).collect())
    };
    let url = address(step, &step.adapter.path(&step.target.model, decoded.stream));
    let out = Outbound { url, headers, request_id: call.request_id.clone(), body, stream: decoded.stream };
    for name in dropped {
        if !run.dropped.contains(&name) {
            run.dropped.push(name);
        }
    }
    let lowered = step.clamped || decoded.max_tokens.is_some_and(|asked| asked > step.max_tokens);
    run.clamped_to = lowered.then_some(step.max_tokens);
    Ok(out)
}

/// The client's request, to be passed on to a target of its format.
pub(super) fn passed<'a>(step: &'a Step, decoded: &'a Decoded) -> Passed<'a> {
    let as_asked = decoded.max_tokens == Some(step.max_tokens);
    Passed {
        body: &decoded.body,
        owned: &decoded.owned,
        model: &step.target.model,
        stream: decoded.stream,
        max_tokens: (!as_asked).then_some(step.max_tokens),
        cap_field: cap_field(step),
    }
}

/// Name of the output cap. OpenAI's own newer models refuse the older name; most servers that copy its format know only
/// that one.
fn cap_field(step: &Step) -> &str {
    let provider = &step.target.provider;
    let usual = if provider.default_base_url { "max_completion_tokens" } else { "max_tokens" };
    provider.max_tokens_field.as_deref().unwrap_or(usual)
}

/// Where `path` of the step's account is.
pub(super) fn address(step: &Step, path: &str) -> String {
    let provider = &step.target.provider;
    let mut url = provider.base_url.clone();
    url.push_str(path);
    if let Some(version) = &provider.api_version {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str("api-version=");
        url.push_str(version);
    }
    url
}

/// The adapter's headers, the key where config wants it.
pub(super) fn credentials(step: &Step, key: Option<&ApiKey>) -> Vec<(&'static str, String)> {
    let key = key.map(|key| key.secret.expose());
    match (step.target.provider.key_header, key) {
        (Some(header), Some(key)) => step.adapter.headers(None).into_iter().chain([(header, key.to_owned())]).collect(),
        (_, key) => step.adapter.headers(key),
    }
}

/// Watches the client of a run while something else is awaited.
pub(super) struct Attendance {
    /// When the head has to go out, or the next keep-alive; none for plain replies.
    next_sign: Option<Instant>,
    keep_alive: Duration,
}

impl Attendance {
    pub(super) fn new(run: &Run) -> Self {
        let timeouts = &run.now.config.timeouts;
        let held_since = Instant::from_std(run.started);
        let next_sign = run.call.decoded.stream.then(|| held_since + timeouts.head_hold);
        Attendance { next_sign, keep_alive: timeouts.keep_alive }
    }

    /// Something was sent: the next keep-alive is a whole gap away.
    pub(super) fn signed(&mut self) {
        if self.next_sign.is_some() {
            self.next_sign = Some(Instant::now() + self.keep_alive);
        }
    }

    /// Awaits `work`. Ends early when the client leaves; meanwhile a waiting stream gets its head after
    /// `timeouts.head_hold` and a comment in every `timeouts.keep_alive`.
    pub(super) async fn during<T>(
        &mut self,
        run: &Run,
        client: &mut Client,
        work: impl Future<Output = T>,
    ) -> Result<T, Gone> {
        let token = client.gone();
        let gone = token.cancelled();
        tokio::pin!(work, gone);
        loop {
            let sign = self.next_sign;
            let silent = async {
                match sign {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // Work comes first: while it is ready, neither the timer nor the token is looked at.
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = &mut gone => return Err(Gone),
                () = silent => {
                    if !client.head_sent() {
                        client.send_head(stream_head(run)).await?;
                    }
                    client.keep_alive(run.call.dialect.keep_alive()).await?;
                    self.signed();
                }
            }
        }
    }
}

/// The head of a streamed reply.
pub(super) fn stream_head(run: &Run) -> Head {
    let StreamHead { content_type, headers: own } = run.call.dialect.stream_head();
    let mut headers = headers::of(run);
    headers.extend(own.iter().map(|(name, value)| (*name, (*value).to_owned())));
    // Proxies that collect small writes would undo streaming.
    headers.push(("x-accel-buffering", "no".to_owned()));
    Head { status: 200, content_type: content_type.into(), headers, replayed: Vec::new(), body: None }
}

/// Reads what little may follow a finished answer, so that its connection can serve the next call.
pub(super) async fn drain(mut answer: Answer) {
    let by = Instant::now() + Duration::from_secs(1);
    // Bounded: a provider that goes on sending loses the connection instead.
    for _ in 0..16 {
        match answer.chunk(by).await {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}
