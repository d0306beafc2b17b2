//! The one owner of retries: which target is called next, after what wait, and when to stop.

use std::time::{Duration, Instant as StdInstant};

use tokio::time::Instant;

use crate::domain::error::GatewayError;
use crate::domain::failure::Category;
use crate::domain::record::AttemptRecord;
use crate::domain::usage::round_up;
use crate::ledger::Amount;
use crate::targets::{Permit, RetryRule};

use super::Hall;
use super::client::Client;
use super::exchange::{Attendance, Broken, Delivered, Exchange};
use super::failures;
use super::judge::{Judged, Standing};
use super::route::{Plan, Step};
use super::run::{End, Run};
use super::usage::{Billed, Sighting};

impl Hall {
    /// Calls targets until one answers, or no other call is possible. Before content only.
    pub(super) async fn attempt(&self, run: &mut Run, plan: &Plan, client: &mut Client) -> Result<Delivered, End> {
        let start = Instant::now();
        let mut attendance = Attendance::new(run);
        let mut standings = vec![Standing { calls: 0, ready: Some(start) }; plan.steps.len()];
        let mut last: Option<GatewayError> = None;
        let retry = run.now.config.retry;
        let budget = RetryRule { percent: retry.budget.percent, per_second: retry.budget.per_second };
        self.targets.count_run(budget, start.into_std());
        let mut calls_left = plan.attempts;
        while calls_left > 0 {
            let Some((index, permit, wait)) = self.next(run, plan, &mut standings) else { break };
            let Some(step) = plan.steps.get(index) else { break };
            let key = step.target.provider.api_keys.get(permit.key_place());
            if !run.attempts.is_empty() && !self.targets.may_call_again(budget, StdInstant::now()) {
                run.gave_up = Some("retry_budget");
                self.metrics.retries_refused.inc();
                break;
            }
            if let Err(refused) = self.extend(run, step).await {
                return Err(End::Failed(last.unwrap_or(refused)));
            }
            if !wait.is_zero() {
                let pause = tokio::time::sleep(wait);
                attendance.during(run, client, pause).await?;
            }
            let permit = match permit.confirmed().await {
                Ok(permit) => permit,
                // Another replica knows better; while it probes, this run has no use for the target.
                Err(until) => {
                    standings[index].ready = until.map(Instant::from_std);
                    continue;
                }
            };
            calls_left -= 1;
            standings[index].calls += 1;
            let spent = run.spent_pico();
            run.attempts.push(AttemptRecord {
                target: step.target.name.to_string(),
                key: permit.key().and(key).map(|key| key.position),
                wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                ..AttemptRecord::default()
            });
            let exchange = Exchange {
                step,
                key,
                deadline: plan.deadline,
                room_pico: (u128::from(run.hold.usd.get()) * 1_000).saturating_sub(spent),
            };
            let began = StdInstant::now();
            self.metrics.upstream_open.inc();
            let result = if run.call.decoded.stream {
                exchange.stream(run, client, &mut attendance).await
            } else {
                let untried = standings.iter().filter(|s| s.calls == 0 && s.ready.is_some()).count();
                exchange.plain(run, client, &mut attendance, share(plan.deadline, untried)).await
            };
            self.metrics.upstream_open.dec();
            if let Some(record) = run.attempts.last_mut() {
                record.ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            }
            match result {
                Ok((delivered, sighting)) => {
                    let billed = self.book(run, step, Some(sighting), None);
                    permit.succeeded(billed.usage.output, began.elapsed());
                    if let Some(record) = run.attempts.last_mut() {
                        record.status = Some(200);
                    }
                    return Ok(delivered);
                }
                Err(Broken::Gone(sighting)) => {
                    self.book(run, step, sighting, Some(("client_gone".to_owned(), None)));
                    return Err(End::Gone);
                }
                Err(Broken::Refused(error)) => {
                    // Nothing was sent; another target may be able to take the request.
                    run.attempts.pop();
                    standings[index].ready = None;
                    last = last.or(Some(error));
                    continue;
                }
                Err(Broken::Failed { failure, sighting }) => {
                    let verdict = run.now.policies.classify(&failure);
                    let word = failures::word(&failure);
                    self.book(run, step, sighting, Some((word, Some(verdict.category))));
                    if let Some(record) = run.attempts.last_mut() {
                        record.status = failure.status;
                    }
                    let judged = Judged { step, key, failure: &failure, verdict: &verdict };
                    let other_key = self.judge(run, &judged, permit, &mut standings[index]);
                    let stop = verdict.category != Category::Retryable && !verdict.next_target && !other_key;
                    last = Some(failures::final_error(&failure, &verdict));
                    if stop || run.first_content.is_some() {
                        break;
                    }
                }
            }
        }
        let resting = || failures::all_resting(self.rest(plan));
        Err(End::Failed(last.unwrap_or_else(resting)))
    }

    /// The step to call now and how long to wait before: untried targets first, in order, then whichever is ready
    /// first. None when every wait is too long.
    fn next(&self, run: &Run, plan: &Plan, standings: &mut [Standing]) -> Option<(usize, Permit, Duration)> {
        let now = Instant::now();
        let retry = run.now.config.retry;
        loop {
            let ranked = standings.iter().enumerate().filter_map(|(i, s)| s.ready.map(|at| (at.max(now), s.calls, i)));
            let (at, _, index) = ranked.min_by_key(|(at, calls, i)| (*at, *calls, *i))?;
            let wait = at - now;
            if wait > retry.max_wait || at >= plan.deadline {
                return self.last_resort(plan, standings);
            }
            let step = plan.steps.get(index)?;
            match self.targets.permit(&step.target.name, &step.keys, at.into_std()) {
                Ok(permit) => return Some((index, permit, wait)),
                Err(until) => {
                    standings[index].ready = Some(Instant::from_std(until).max(at + Duration::from_millis(1)))
                }
            }
        }
    }

    /// No target is ready in time: one that only rests and that this run has not asked yet, if there is one.
    fn last_resort(&self, plan: &Plan, standings: &[Standing]) -> Option<(usize, Permit, Duration)> {
        let now = StdInstant::now();
        let mut unasked =
            plan.steps.iter().zip(standings).enumerate().filter(|(_, (_, s))| s.calls == 0 && s.ready.is_some());
        unasked.find_map(|(index, (step, _))| {
            self.targets.last_resort(&step.target.name, &step.keys, now).map(|permit| (index, permit, Duration::ZERO))
        })
    }

    /// Time until the first target of the plan may be called again.
    fn rest(&self, plan: &Plan) -> Duration {
        let now = StdInstant::now();
        let waits = plan.steps.iter().filter_map(|s| self.targets.permit(&s.target.name, &s.keys, now).err());
        waits.min().map_or(Duration::from_secs(1), |until| until - now)
    }

    /// Before another call the hold must cover what the failed ones may have cost, besides the next one at its worst.
    async fn extend(&self, run: &mut Run, step: &Step) -> Result<(), GatewayError> {
        let usd = round_up(run.spent_pico().saturating_add(step.worst_pico)).saturating_sub(run.hold.usd);
        let tokens = run.spent_tokens().saturating_add(step.worst_tokens).saturating_sub(run.hold.tokens);
        let more = Amount { usd, tokens };
        if more == Amount::default() {
            return Ok(());
        }
        self.money.extend(run.hold_id(), more).await?;
        run.hold = run.hold.plus(more);
        Ok(())
    }

    /// Writes tokens, price and failure of the last attempt into its record.
    fn book(
        &self,
        run: &mut Run,
        step: &Step,
        sighting: Option<Sighting>,
        failed: Option<(String, Option<Category>)>,
    ) -> Billed {
        let billed = sighting.map(|s| s.bill(run, step)).unwrap_or_default();
        if billed.counted && failed.is_none() {
            self.metrics.usage_anomalies.inc();
        }
        if let Some(record) = run.attempts.last_mut() {
            record.usage = billed.usage;
            record.cost_pico = u64::try_from(billed.pico).unwrap_or(u64::MAX);
            record.estimated = billed.counted;
            if let Some((word, class)) = failed {
                record.error = Some(word);
                record.class = class.map(|c| c.as_str().to_owned());
            }
        }
        billed
    }
}

/// A plain attempt's time: an equal share of what is left for it and the targets that were not tried yet. A target
/// that hangs must leave its fallback time to answer.
fn share(deadline: Instant, untried: usize) -> Instant {
    let now = Instant::now();
    let parts = u32::try_from(untried).unwrap_or(u32::MAX).saturating_add(1);
    now + deadline.saturating_duration_since(now) / parts
}
