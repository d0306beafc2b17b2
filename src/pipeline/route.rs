//! Tier -> plan: ordered targets with their worst-case price. No I/O: the same input gives the same plan.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{OverCap, Target};
use crate::domain::chat::Wire;
use crate::domain::error::GatewayError;
use crate::domain::ids::KeyId;
use crate::domain::money::NanoUsd;
use crate::domain::usage::{Price, round_up};
use crate::ledger::Amount;
use crate::pricing::tokens;
use crate::providers::{self, Adapter};

use super::run::Run;
use super::snapshot::Snapshot;

/// One target of a plan, ready to be called.
pub(super) struct Step {
    pub target: Arc<Target>,
    pub adapter: &'static dyn Adapter,
    /// The provider's keys where there are several to choose from; empty where there is no choice.
    pub keys: Vec<KeyId>,
    /// Of the longest context the call can have.
    pub price: Price,
    /// Output cap sent to this target.
    pub max_tokens: u64,
    /// The cost cap lowered it.
    pub clamped: bool,
    pub worst_pico: u128,
    /// Input and output tokens at most.
    pub worst_tokens: u64,
}

impl Step {
    /// A call that nobody is billed for.
    pub(super) fn unpriced(target: &Arc<Target>, adapter: &'static dyn Adapter) -> Self {
        let (price, keys) = (Price::default(), choice(target));
        Step {
            target: Arc::clone(target),
            adapter,
            keys,
            price,
            max_tokens: 0,
            clamped: false,
            worst_pico: 0,
            worst_tokens: 0,
        }
    }
}

pub(super) struct Plan {
    /// Never empty.
    pub steps: Vec<Step>,
    /// The dearest and the longest step at its worst: what is set aside before the first call.
    pub worst: Amount,
    pub deadline: tokio::time::Instant,
    /// Calls to providers, the first included.
    pub attempts: u32,
}

/// What a tier or a direct target allows.
pub(super) struct Course<'a> {
    pub targets: &'a [Arc<Target>],
    pub max_tokens: u64,
    pub cost_cap: Option<NanoUsd>,
}

/// What is known of a call's input before it is sent.
#[derive(Clone, Copy)]
pub(super) struct Input {
    /// Upper bound.
    pub tokens: u64,
    /// The request asks for a cache entry of the long lifetime, whose writes cost more.
    pub kept_an_hour: bool,
}

impl Input {
    pub(super) fn of(run: &Run) -> Self {
        let call = &run.call.decoded;
        let spans = call.billed.iter().filter_map(|span| call.body.get(span.clone()));
        let texts: Vec<&str> = spans.filter_map(|bytes| std::str::from_utf8(bytes).ok()).collect();
        // Wherever it stands: a mark of the whole call, of a message or of a tool. In a text that speaks of it, it
        // only makes the hold larger.
        let kept_an_hour = texts.iter().any(|text| text.contains("\"1h\""));
        Input { tokens: tokens::input_upper_bound(&texts), kept_an_hour }
    }

    fn worst(self, price: &Price, output_tokens: u64) -> u128 {
        price.worst(self.tokens, output_tokens, self.kept_an_hour)
    }
}

/// Worst-case price over all priced targets, before any cap: what policies see as the estimate.
pub(super) fn estimate(now: &Snapshot, course: &Course<'_>, input: Input, output: u64) -> NanoUsd {
    let prices = course.targets.iter().filter_map(|target| price(now, target, input.tokens));
    prices.map(|price| input.worst(&price, output)).max().map_or(NanoUsd::ZERO, round_up)
}

/// `cap` is the output cap after client, tier and policy have spoken.
pub(super) fn plan(run: &Run, course: &Course<'_>, input: Input, cap: u64) -> Result<Plan, GatewayError> {
    let now = &*run.now;
    let choices = u64::from(run.call.decoded.n.max(1));
    let mut steps = Vec::with_capacity(course.targets.len());
    let (mut unable, mut unpriced) = (None, None);
    let mut cheapest_over_cap: Option<NanoUsd> = None;
    for target in course.targets {
        let Some(adapter) = adapter(target, run.call.dialect.wire()) else {
            unable = unable.or(Some(target));
            continue;
        };
        let Some(price) = price(now, target, input.tokens) else {
            unpriced = unpriced.or(Some(target));
            continue;
        };
        let worst = |max_tokens: u64| input.worst(&price, max_tokens.saturating_mul(choices));
        let mut max_tokens = cap;
        if let Some(limit) = course.cost_cap {
            let limit_pico = u128::from(limit.get()) * 1_000;
            if worst(max_tokens) > limit_pico && now.config.request.over_cap == OverCap::Clamp {
                let per_token = u128::from(price.output.get()) * u128::from(choices);
                let room = limit_pico.saturating_sub(input.worst(&price, 0));
                max_tokens = room.checked_div(per_token).map_or(cap, |fit| u64::try_from(fit).unwrap_or(cap)).min(cap);
            }
            let nothing_left = max_tokens == 0 && cap > 0;
            if nothing_left || worst(max_tokens) > limit_pico {
                let estimate = round_up(worst(cap));
                cheapest_over_cap = Some(cheapest_over_cap.map_or(estimate, |e| e.min(estimate)));
                continue;
            }
        }
        let worst_pico = worst(max_tokens);
        let worst_tokens = input.tokens.saturating_add(max_tokens.saturating_mul(choices));
        steps.push(Step {
            target: Arc::clone(target),
            adapter,
            keys: choice(target),
            price,
            max_tokens,
            clamped: max_tokens < cap,
            worst_pico,
            worst_tokens,
        });
    }
    let Some(worst) = steps.iter().map(|s| s.worst_pico).max() else {
        return Err(match (cheapest_over_cap, course.cost_cap, unpriced, unable) {
            (Some(estimate), Some(cap), _, _) => GatewayError::CostCapExceeded { estimate, cap },
            (_, _, Some(target), _) => GatewayError::UnpricedModel { model: target.name.to_string() },
            (_, _, _, Some(target)) => no_embeddings(target),
            _ => GatewayError::Internal,
        });
    };
    let tokens = steps.iter().map(|s| s.worst_tokens).max().unwrap_or_default();
    let attempts = if run.call.client_retries {
        // The client retries by itself: fallbacks yes, second calls to the same target no.
        u32::try_from(steps.len()).unwrap_or(u32::MAX).min(now.config.retry.attempts)
    } else {
        now.config.retry.attempts
    };
    let config = &now.config;
    let total = if run.call.job.is_some() { config.background.timeout } else { config.timeouts.total };
    let left = total.saturating_sub(run.started.elapsed());
    Ok(Plan {
        steps,
        worst: Amount { usd: round_up(worst), tokens },
        deadline: tokio::time::Instant::now() + left.max(Duration::from_millis(1)),
        attempts: attempts.max(1),
    })
}

/// Who takes a call in this wire for the target.
fn adapter(target: &Target, wire: Wire) -> Option<&'static dyn Adapter> {
    let adapter = providers::adapter(target.provider.kind)?;
    // Servers that copy a vendor's first format seldom copy its second: config knows.
    let spoken = adapter.speaks(wire).filter(|_| wire != Wire::OpenAiResponses || target.provider.responses);
    spoken.or(wire.is_chat().then_some(adapter))
}

/// The one kind of call that is no chat.
fn no_embeddings(target: &Target) -> GatewayError {
    let message = format!("The provider of {} has no embeddings; name another provider's model for them.", target.name);
    GatewayError::invalid(message, Some("model"))
}

fn choice(target: &Target) -> Vec<KeyId> {
    match &*target.provider.api_keys {
        [] | [_] => Vec::new(),
        several => several.iter().map(|key| key.id).collect(),
    }
}

/// The price of a call with `input_tokens`; where it depends on the length of the context, that band's.
pub(super) fn price(now: &Snapshot, target: &Target, input_tokens: u64) -> Option<Price> {
    now.prices.price_at(target.provider.catalogue, &target.name, &target.model, input_tokens)
}
