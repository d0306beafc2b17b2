//! Admission: what the caller asked for, whether it may, and what the policy says. Ends in a plan.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::{Aim, Target, Tier};
use crate::domain::error::GatewayError;
use crate::domain::facts::{Admission, PromptText, RequestFacts};
use crate::domain::limit::{DAY_MS, Limit, Scope, Unit, day_of};
use crate::domain::money::NanoUsd;
use crate::ledger::{Reserve, Subjects};

use super::Hall;
use super::route::{self, Course, Input, Plan};
use super::run::{End, Run};

/// The name that lets the `tiers` policy choose.
const AUTO: &str = "auto";

/// In place of a tier where the caller named a target itself.
const DIRECT: &str = "direct";

/// Where the run goes, before caps.
enum Way {
    Tier(String),
    Direct([Arc<Target>; 1]),
}

impl Hall {
    /// facts -> verdict -> plan. Takes nothing from any limit.
    pub(super) fn admit(&self, run: &mut Run) -> Result<Plan, End> {
        let mut way = self.resolve(run)?;
        let input = Input::of(run);
        let now = Arc::clone(&run.now);
        let asked = run.call.decoded.max_tokens;
        let chats = run.call.dialect.wire().is_chat();
        let facts = {
            let course = course(run, &way)?;
            let cap = asked.map_or(course.max_tokens, |a| a.min(course.max_tokens));
            // A policy counts output from 1; what has none costs none.
            let cap = if chats { cap } else { 1 };
            let output = if chats { cap.saturating_mul(u64::from(run.call.decoded.n.max(1))) } else { 0 };
            let estimate = route::estimate(&now, &course, input, output);
            let seconds = course.targets.first().and_then(|t| self.targets.expected_seconds(&t.name, cap));
            let tier = match &way {
                Way::Tier(name) => name.clone(),
                Way::Direct(_) => String::new(),
            };
            facts(run, tier, input.tokens, cap, estimate, seconds.unwrap_or_default())
        };
        run.estimate = facts.estimate_usd;
        let mut cap = facts.max_tokens;
        match now.policies.admission(Arc::new(facts)) {
            Err(_) => return Err(GatewayError::PolicyFailed { hook: "admission" }.into()),
            Ok(Admission::Deny { status, code, message }) => {
                return Err(GatewayError::Denied { status, code, message }.into());
            }
            Ok(Admission::Background) => {}
            Ok(Admission::Allow { tier, max_tokens }) => {
                // Tiers hold chat models: a policy that moves every call has nowhere to move this one.
                if let Some(tier) = tier.filter(|_| chats) {
                    if now.config.tier_named(&tier).is_none() {
                        tracing::warn!(%tier, "the admission policy moved a call to a tier that config does not have");
                        return Err(GatewayError::PolicyFailed { hook: "admission" }.into());
                    }
                    if !matches!(&way, Way::Tier(current) if *current == tier) {
                        run.tier_cause = "policy";
                        way = Way::Tier(tier);
                        cap = asked.unwrap_or(u64::MAX);
                    }
                }
                cap = max_tokens.map_or(cap, |lower| cap.min(lower.max(1)));
            }
        }
        let course = course(run, &way)?;
        let cap = if chats { cap.min(course.max_tokens) } else { 0 };
        let plan = route::plan(run, &course, input, cap)?;
        run.tier = match way {
            Way::Tier(name) => name,
            Way::Direct(_) => DIRECT.to_owned(),
        };
        run.estimate = plan.worst.usd;
        Ok(plan)
    }

    /// Sets the plan's worst price and tokens aside: one step over every limit that binds.
    pub(super) async fn reserve(&self, run: &mut Run, plan: &Plan) -> Result<(), End> {
        let limits: Arc<[Limit]> = match &run.call.key {
            Some(key) => Arc::clone(&key.limits),
            None => Arc::clone(&run.now.config.limits),
        };
        let subjects = subjects(run, plan, &limits);
        let taken = self.money.reserve(Reserve { run: run.hold_id(), subjects, amount: plan.worst, limits }).await?;
        (run.limits, run.store_away) = (taken.limits, taken.away);
        run.hold = plan.worst;
        run.held = true;
        Ok(())
    }

    /// `model` -> a tier or a target the caller may use.
    fn resolve(&self, run: &mut Run) -> Result<Way, GatewayError> {
        let now = Arc::clone(&run.now);
        let config = &now.config;
        let Some(model) = run.call.decoded.model.clone() else {
            run.tier_cause = "default";
            return allowed_tier(run, config.tier(config.default_tier));
        };
        if model == AUTO {
            let facts = facts(run, AUTO.to_owned(), Input::of(run).tokens, 0, NanoUsd::ZERO, 0.0);
            let chosen = now.policies.tier(Arc::new(facts)).and_then(|name| config.tier_named(&name));
            run.tier_cause = if chosen.is_some() { "policy" } else { "default" };
            return allowed_tier(run, chosen.unwrap_or_else(|| config.tier(config.default_tier)));
        }
        if let Some(tier) = config.tier_named(&model) {
            run.tier_cause = "asked";
            return allowed_tier(run, tier);
        }
        match config.aliases.get(&model) {
            Some(Aim::Tier(id)) => {
                run.tier_cause = "alias";
                return allowed_tier(run, config.tier(*id));
            }
            Some(Aim::Target(target)) => {
                run.tier_cause = "alias";
                return Ok(Way::Direct([Arc::clone(target)]));
            }
            None => {}
        }
        let Some(target) = config.target(&model) else {
            return Err(GatewayError::ModelNotFound { model, known: known_models(run) });
        };
        if run.call.key.as_ref().is_some_and(|key| !key.may_name(&model)) {
            let message = format!("This key may not call {model} directly. Ask for a tier instead.");
            return Err(GatewayError::Forbidden { message });
        }
        run.tier_cause = "direct";
        Ok(Way::Direct([target]))
    }
}

/// Half a SHA-256: nobody finds two bodies that share it, and a limit's name stays short.
fn fingerprint(body: &[u8]) -> String {
    Sha256::digest(body).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Whom and what the run counts for.
fn subjects(run: &Run, plan: &Plan, limits: &[Limit]) -> Subjects {
    let tagged = limits.iter().any(|limit| matches!(limit.scope, Scope::Metadata(_)));
    let compared = limits.iter().any(|limit| limit.quota.unit == Unit::Identical);
    Subjects {
        caller: run.call.caller.clone(),
        tier: if run.tier == DIRECT { Arc::default() } else { run.tier.as_str().into() },
        targets: plan.steps.iter().map(|step| Arc::clone(&step.target.name)).collect(),
        metadata: if tagged { run.call.decoded.metadata.clone() } else { Default::default() },
        fingerprint: compared.then(|| fingerprint(&run.call.decoded.body)),
    }
}

/// What a caller may put into `model`, for messages and `GET /v1/models`.
fn known_models(run: &Run) -> Vec<String> {
    let key = run.call.key.as_ref();
    let tiers = run.now.config.tiers.iter().filter(|t| key.is_none_or(|k| k.may_use_tier(t.id)));
    tiers.map(|t| t.name.to_string()).chain([AUTO.to_owned()]).collect()
}

fn allowed_tier(run: &Run, tier: &Tier) -> Result<Way, GatewayError> {
    if !run.call.dialect.wire().is_chat() {
        let message = format!(
            "{} is a tier, and tiers answer chats; for embeddings name a model as provider/model, or an alias of one.",
            tier.name
        );
        return Err(GatewayError::invalid(message, Some("model")));
    }
    if run.call.key.as_ref().is_some_and(|key| !key.may_use_tier(tier.id)) {
        let message = format!("This key may not use the tier {}. Ask for another tier.", tier.name);
        return Err(GatewayError::Forbidden { message });
    }
    Ok(Way::Tier(tier.name.to_string()))
}

fn course<'a>(run: &'a Run, way: &'a Way) -> Result<Course<'a>, GatewayError> {
    let config = &run.now.config;
    match way {
        Way::Tier(name) => {
            let tier = config.tier_named(name).ok_or(GatewayError::Internal)?;
            Ok(Course {
                targets: &tier.targets,
                max_tokens: tier.max_tokens,
                cost_cap: tier.cost_cap.or(config.request.cost_cap),
            })
        }
        Way::Direct(target) => {
            Ok(Course { targets: target, max_tokens: config.request.max_tokens, cost_cap: config.request.cost_cap })
        }
    }
}

fn facts(run: &Run, tier: String, input: u64, cap: u64, estimate: NanoUsd, seconds: f64) -> RequestFacts {
    let call = &run.call;
    let (dialect, decoded) = (call.dialect, Arc::clone(&call.decoded));
    let hour = u8::try_from(run.started_ms % DAY_MS / 3_600_000).unwrap_or_default();
    // 1970-01-01 was a Thursday, the fourth day of an ISO week.
    let weekday = u8::try_from((day_of(run.started_ms) + 3) % 7 + 1).unwrap_or(1);
    RequestFacts {
        dialect: dialect.name(),
        model: call.decoded.model.clone().unwrap_or_default(),
        tier,
        stream: call.decoded.stream,
        message_count: call.decoded.message_count,
        input_tokens: input,
        max_tokens: cap,
        has_images: call.decoded.has_images,
        has_tools: call.decoded.has_tools,
        key: Arc::clone(&call.caller.key),
        team: Arc::clone(&call.caller.team),
        user: Arc::clone(&call.caller.user),
        estimate_usd: estimate,
        estimate_seconds: seconds,
        metadata: call.decoded.metadata.clone(),
        hour,
        weekday,
        generation: run.now.generation,
        text: PromptText(Arc::new(move || dialect.prompt_text(&decoded))),
    }
}
