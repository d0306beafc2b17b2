//! What a failure means for those who come after: the target, its key, and the run's own next calls.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::ApiKey;
use crate::domain::failure::{Category, ErrorVerdict, Failure};
use crate::targets::{BreakerRule, Permit};

use super::Hall;
use super::route::Step;
use super::run::Run;

/// Wait before the second call to a target that gave no hint; doubled for each further one.
const FIRST_BACK_OFF: Duration = Duration::from_millis(500);

/// Calls of one run to a target that limits requests. A limit that outlasts the wait it asked for would not be lifted by a
/// third one, and clients retry a 429 themselves.
const CALLS_AT_A_LIMIT: u32 = 2;

/// What is known of one step while the run lasts.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    /// Calls that said something about the target, and not only about a key.
    pub calls: u32,
    /// Earliest next call; none = out of the plan.
    pub ready: Option<Instant>,
}

/// One failed call and what the `errors` policy made of it.
pub(super) struct Judged<'a> {
    pub step: &'a Step,
    pub key: Option<&'a ApiKey>,
    pub failure: &'a Failure,
    pub verdict: &'a ErrorVerdict,
}

impl Hall {
    /// Tells the target's breaker or the key, and the run's own standing, what the failure means. True = another key
    /// of the same provider may answer at once.
    pub(super) fn judge(&self, run: &Run, judged: &Judged<'_>, permit: Permit, standing: &mut Standing) -> bool {
        let Judged { step, failure, verdict, .. } = *judged;
        let now = Instant::now();
        let after = verdict.after.unwrap_or_else(|| FIRST_BACK_OFF * 2_u32.saturating_pow(standing.calls.min(8) - 1));
        let retryable = verdict.category == Category::Retryable;
        let rate_limited = retryable && failure.status == Some(429);
        standing.ready = match verdict.category {
            Category::Retryable if rate_limited && standing.calls >= CALLS_AT_A_LIMIT => None,
            // A provider's own date is kept to the letter; our own guess is spread, so that retries don't march.
            Category::Retryable if failure.retry_after.is_some() => Some(now + after),
            Category::Retryable => Some(now + after.mul_f64(1.0 + jitter(run) / 4.0)),
            Category::UserActionable | Category::Permanent => None,
        };
        let out = verdict.cool_down.or(rate_limited.then_some(after)).map(|pause| (pause, (now + pause).into_std()));
        // An account's credit, its credentials and its rate are the key's; anything else is the target's.
        let of_the_key = permit.key().filter(|_| rate_limited || !retryable);
        if let (Some((pause, until)), Some(id)) = (out, of_the_key) {
            match retryable {
                true => self.targets.cool_key(id, until),
                false => self.targets.rest_key(id, until),
            }
            tell(judged, pause);
            if self.targets.has_free_key(&step.keys, now.into_std()) {
                *standing = Standing { calls: standing.calls - 1, ready: Some(now) };
                return true;
            }
            // The first key that is due again makes the target ready, not the last one that was asked.
            standing.ready = standing.ready.and(Some(now));
            return false;
        }
        if let Some((_, until)) = out {
            match retryable {
                true => self.targets.cool(&step.target.name, until),
                false => self.targets.rest(&step.target.name, until),
            }
        }
        if retryable && !rate_limited {
            let rule = run.now.config.breaker;
            permit.failed(BreakerRule { errors: rule.errors, open: rule.open }, now.into_std());
        }
        false
    }
}

/// For operators: an account needs them.
fn tell(judged: &Judged<'_>, pause: Duration) {
    let Some(key) = judged.key else { return };
    tracing::warn!(
        provider = %judged.step.target.provider.name,
        key = key.position,
        code = judged.verdict.code.as_deref().unwrap_or_default(),
        seconds = pause.as_secs(),
        "a provider's key is out of use; its other keys take over"
    );
}

/// 0 to 1, from the random part of the run's id.
fn jitter(run: &Run) -> f64 {
    let seed = run.call.run.as_bytes()[15];
    (f64::from(seed) + run.attempts.len() as f64 * 97.0) % 256.0 / 255.0
}
