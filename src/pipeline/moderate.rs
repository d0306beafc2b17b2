//! What the caller said is judged before a model hears it, where the tier wants that. The hold is taken by then, so that
//! limits bind the judge's work too; a flagged call is settled at nothing and keeps its place in the request limits.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::config::{Moderation, OnError};
use crate::domain::chat::{Part, Role};
use crate::domain::error::GatewayError;
use crate::domain::failure::{Failure, Phase};
use crate::domain::record::{Judgement, ModerationRecord};
use crate::egress::{self, Clocks, Outbound};
use crate::providers::{self, Moderator, Said};
use crate::telemetry::ModerationLabels;

use super::Hall;
use super::client::{Client, Gone};
use super::exchange::{Attendance, address, credentials};
use super::failures;
use super::judge::{Judged, Standing};
use super::route::{Plan, Step};
use super::run::{End, Run};

/// Largest judgement that is read, in bytes.
const LARGEST_JUDGEMENT: usize = 1 << 20;

/// What one run asks its judge with.
struct Hearing<'a> {
    run: &'a Run,
    step: Step,
    moderator: &'static dyn Moderator,
    /// The judge's own time, inside the run's.
    by: Instant,
}

impl Hall {
    /// Errors: `Flagged`; `ModerationUnavailable` where there is no judgement and the tier denies without.
    pub(super) async fn moderate(&self, run: &mut Run, plan: &Plan, client: &mut Client) -> Result<(), End> {
        let now = run.now.clone();
        let tier = now.config.tier_named(&run.tier);
        let Some(moderation) = tier.and_then(|tier| tier.moderation.as_ref()) else { return Ok(()) };
        let began = Instant::now();
        let mut attendance = Attendance::new(run);
        let judged = match hearing(run, moderation, plan.deadline.min(began + moderation.timeout)) {
            None => Ok(Err("the provider has no moderation".to_owned())),
            Some(hearing) => attendance.during(run, client, self.hear(&hearing)).await,
        };
        let (judgement, categories, error) = match &judged {
            Err(Gone) => (Judgement::ClientGone, Vec::new(), None),
            Ok(Err(why)) => (Judgement::Failed, Vec::new(), Some(why.clone())),
            Ok(Ok(found)) if found.is_empty() => (Judgement::Passed, Vec::new(), None),
            Ok(Ok(found)) => (Judgement::Flagged, found.clone(), None),
        };
        let target = moderation.target.name.to_string();
        let labels = ModerationLabels { target: target.clone(), judgement: judgement.as_str() };
        self.metrics.moderations.get_or_create(&labels).inc();
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        run.moderation = Some(ModerationRecord { target, judgement, categories, error, ms });
        match judged? {
            Ok(found) if found.is_empty() => Ok(()),
            Ok(categories) => Err(GatewayError::Flagged { categories }.into()),
            Err(_) if moderation.on_error == OnError::Allow => Ok(()),
            Err(_) => Err(GatewayError::ModerationUnavailable.into()),
        }
    }

    /// The flagged categories, or why nobody judged. The first call that finds something ends it.
    async fn hear(&self, hearing: &Hearing<'_>) -> Result<Vec<String>, String> {
        for body in hearing.moderator.encode(&hearing.step.target.model, &said(hearing.run)) {
            self.metrics.upstream_open.inc();
            // Dropped with this future when the client leaves.
            let _open = Dropped(|| {
                self.metrics.upstream_open.dec();
            });
            let found = self.ask_judge(hearing, body).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// One call, with the next key where one is out of use. No other retry: the model is waiting.
    async fn ask_judge(&self, hearing: &Hearing<'_>, body: bytes::Bytes) -> Result<Vec<String>, String> {
        let Hearing { run, step, .. } = hearing;
        loop {
            let permit = self.targets.permit(&step.target.name, &step.keys, std::time::Instant::now());
            let Ok(permit) = permit else { return Err("resting".to_owned()) };
            let Ok(permit) = permit.confirmed().await else { return Err("resting".to_owned()) };
            let key = step.target.provider.api_keys.get(permit.key_place());
            let failure = match hearing.call(key, body.clone()).await {
                Ok(found) => {
                    permit.succeeded(0, std::time::Duration::ZERO);
                    return Ok(found);
                }
                Err(failure) => failure,
            };
            let verdict = run.now.policies.classify(&failure);
            let judged = Judged { step, key, failure: &failure, verdict: &verdict };
            let mut standing = Standing { calls: 1, ready: None };
            if !self.judge(run, &judged, permit, &mut standing) {
                return Err(failures::word(&failure));
            }
        }
    }
}

impl Hearing<'_> {
    async fn call(&self, key: Option<&crate::config::ApiKey>, body: bytes::Bytes) -> Result<Vec<String>, Box<Failure>> {
        let step = &self.step;
        let out = Outbound {
            url: address(step, self.moderator.path()),
            headers: credentials(step, key),
            request_id: self.run.call.request_id.clone(),
            body,
            stream: false,
        };
        let clocks = Clocks { connect: self.run.now.config.timeouts.connect, head_by: self.by };
        let mut answer = egress::send(out, clocks).await.map_err(|error| failures::unsent(step, &error))?;
        let status = answer.status();
        if answer.is_encoded() {
            return Err(failures::encoded(step, status).into());
        }
        let body = answer.whole(LARGEST_JUDGEMENT, self.by).await;
        if !(200..300).contains(&status) {
            // The status alone is enough to judge by.
            let body = body.unwrap_or_default();
            let parts = step.adapter.failure(status, &|name| answer.header(name), &body, SystemTime::now());
            return Err(failures::status(step, status, parts).into());
        }
        let body = body.map_err(|error| failures::body(step, Phase::FirstContent, &error))?;
        self.moderator.decode(&body).map_err(|error| failures::undecodable(step, Phase::FirstContent, error).into())
    }
}

/// Config names only judges that exist, so none is a defect.
fn hearing<'a>(run: &'a Run, moderation: &Moderation, by: Instant) -> Option<Hearing<'a>> {
    let adapter = providers::adapter(moderation.target.provider.kind)?;
    let moderator = adapter.moderator()?;
    Some(Hearing { run, step: Step::unpriced(&moderation.target, adapter), moderator, by })
}

/// Everything the user brought, of all turns: a client can rewrite the earlier ones as well. A request that has parts
/// without a word in the chat language is passed on as it is, and then the texts of all roles are judged.
fn said(run: &Run) -> Said {
    let (dialect, decoded) = (run.call.dialect, &*run.call.decoded);
    let mut said = Said::default();
    match dialect.chat(decoded) {
        Ok(chat) => {
            let users = chat.messages.iter().filter(|message| message.role == Role::User);
            users.for_each(|message| collect(&message.parts, &mut said));
        }
        Err(_) => said.texts.push(dialect.prompt_text(decoded)),
    }
    said.texts.retain(|text| !text.trim().is_empty());
    said
}

fn collect(parts: &[Part], said: &mut Said) {
    for part in parts {
        match part {
            Part::Text(text) => said.texts.push(text.clone()),
            Part::Image(media) => said.images.push(media.clone()),
            Part::ToolResult { content, .. } => collect(content, said),
            Part::File { .. } | Part::Reasoning { .. } | Part::ToolCall { .. } => {}
        }
    }
}

/// Runs its closure when it is dropped.
struct Dropped<F: Fn()>(F);

impl<F: Fn()> Drop for Dropped<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
