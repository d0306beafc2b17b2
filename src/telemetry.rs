//! Names of metrics and the log line. Makes numbers and text, writes nothing.
//!
//! GenAI names follow OpenTelemetry's conventions with dots as underscores. No label ever holds a user, a key or
//! free text: only what config names.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use serde::Serialize;

use crate::domain::ids::RunId;
use crate::domain::record::{ModerationRecord, RunRecord};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RunLabels {
    pub tier: String,
    pub outcome: &'static str,
    pub status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TargetLabel {
    pub target: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TokenLabels {
    pub gen_ai_request_model: String,
    pub gen_ai_token_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModelLabel {
    pub gen_ai_request_model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HookLabel {
    pub hook: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    pub result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ModerationLabels {
    pub target: String,
    pub judgement: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Every metric of one gateway process.
pub struct Metrics {
    registry: Registry,
    pub config_generation: Gauge<u64, AtomicU64>,
    pub holds_open: Gauge,
    pub runs_open: Gauge,
    pub jobs_queued: Gauge,
    pub upstream_open: Gauge,
    pub store_up: Gauge,
    pub breaker_state: Family<TargetLabel, Gauge>,
    pub retries_refused: Counter,
    pub replicas: Gauge,
    pub usage_anomalies: Counter,
    pub policy_failures: Family<HookLabel, Gauge<u64, AtomicU64>>,
    pub reloads: Family<ResultLabel, Counter>,
    pub runs: Family<RunLabels, Counter>,
    pub moderations: Family<ModerationLabels, Counter>,
    pub settlements_waiting: Gauge,
    pub store_repeated_writes: Counter,
    pub store_away_runs: Counter,
    token_usage: Histograms<TokenLabels>,
    operation_duration: Histograms<ModelLabel>,
    time_to_first_chunk: Histograms<ModelLabel>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        macro_rules! register {
            ($name:literal, $help:literal, $metric:expr) => {{
                let metric = $metric;
                registry.register($name, $help, metric.clone());
                metric
            }};
        }
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.01, 2.0, 14));
        let tokens: fn() -> Histogram = || Histogram::new(exponential_buckets(1.0, 4.0, 14));
        Metrics {
            config_generation: register!(
                "headgate_config_generation",
                "Number of the config snapshot in force",
                Gauge::default()
            ),
            holds_open: register!("headgate_holds_open", "Holds taken by this process and not ended", Gauge::default()),
            jobs_queued: register!(
                "headgate_jobs_queued",
                "Jobs that wait for a worker, in the whole fleet",
                Gauge::default()
            ),
            runs_open: register!("headgate_runs_open", "Runs in this process", Gauge::default()),
            upstream_open: register!("headgate_upstream_open", "Calls to providers under way", Gauge::default()),
            store_up: register!("headgate_store_up", "1 while the store answers", Gauge::default()),
            breaker_state: register!(
                "headgate_breaker_state",
                "Breaker of a target: 0 closed, 1 half open, 2 open",
                Family::default()
            ),
            retries_refused: register!(
                "headgate_retries_refused",
                "Retries and fallbacks that were not made, because the fleet makes enough of them",
                Counter::default()
            ),
            replicas: register!("headgate_replicas", "Living processes on this store", Gauge::default()),
            usage_anomalies: register!(
                "headgate_usage_anomalies",
                "Answers whose reported usage was missing or absurd",
                Counter::default()
            ),
            policy_failures: register!(
                "headgate_policy_failures_total",
                "Policy calls that failed, by hook",
                Family::default()
            ),
            reloads: register!("headgate_reloads", "Reloads of config and policies, by result", Family::default()),
            runs: register!("headgate_runs", "Finished runs", Family::default()),
            moderations: register!(
                "headgate_moderations",
                "Judgements before a model was called, by how they ended",
                Family::default()
            ),
            settlements_waiting: register!(
                "headgate_settlements_waiting",
                "Settlements that the store has not taken yet",
                Gauge::default()
            ),
            store_repeated_writes: register!(
                "headgate_store_repeated_writes",
                "Writes made again because the store had forgotten them",
                Counter::default()
            ),
            store_away_runs: register!(
                "headgate_store_away_runs",
                "Runs admitted while the store did not answer",
                Counter::default()
            ),
            token_usage: register!(
                "gen_ai_client_token_usage",
                "Billed tokens of one run",
                Family::new_with_constructor(tokens)
            ),
            operation_duration: register!(
                "gen_ai_client_operation_duration_seconds",
                "Seconds from acceptance to the end of a run",
                Family::new_with_constructor(seconds)
            ),
            time_to_first_chunk: register!(
                "gen_ai_client_operation_time_to_first_chunk_seconds",
                "Seconds from acceptance to the first content",
                Family::new_with_constructor(seconds)
            ),
            registry,
        }
    }
}

impl Metrics {
    /// Counts a finished run.
    pub fn observe(&self, run: &RunRecord) {
        let labels = RunLabels { tier: run.tier.clone(), outcome: run.outcome.as_str(), status: run.status };
        self.runs.get_or_create(&labels).inc();
        if run.target.is_empty() {
            return;
        }
        let model = || run.target.clone();
        let duration = ModelLabel { gen_ai_request_model: model() };
        self.operation_duration.get_or_create(&duration).observe(run.total_ms as f64 / 1_000.0);
        if let Some(ms) = run.first_content_ms {
            self.time_to_first_chunk.get_or_create(&duration).observe(ms as f64 / 1_000.0);
        }
        for (kind, tokens) in [("input", run.usage.total_input()), ("output", run.usage.output)] {
            let labels = TokenLabels { gen_ai_request_model: model(), gen_ai_token_type: kind };
            self.token_usage.get_or_create(&labels).observe(tokens as f64);
        }
    }

    /// The whole registry in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a String can't fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

#[derive(Serialize)]
struct LogAttempt<'a> {
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    wait_ms: u64,
}

#[derive(Serialize)]
struct LogLine<'a> {
    run: RunId,
    request_id: &'a str,
    key: &'a str,
    team: &'a str,
    tier: &'a str,
    target: &'a str,
    status: u16,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moderation: Option<&'a ModerationRecord>,
    attempts: Vec<LogAttempt<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gave_up: Option<&'a str>,
    input_tokens: u64,
    output_tokens: u64,
    cost_nano: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    store_away: bool,
    ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_content_ms: Option<u64>,
    generation: u64,
}

/// One JSON line for a finished run, with its line feed. No prompt, no answer, no secret.
pub fn log_line(run: &RunRecord) -> String {
    let line = LogLine {
        run: run.id,
        request_id: &run.request_id,
        key: &run.key,
        team: &run.team,
        tier: &run.tier,
        target: &run.target,
        status: run.status,
        outcome: run.outcome.as_str(),
        code: run.error_code.as_deref(),
        moderation: run.moderation.as_ref(),
        attempts: run
            .attempts
            .iter()
            .map(|a| LogAttempt {
                target: &a.target,
                key: a.key,
                status: a.status,
                error: a.error.as_deref(),
                class: a.class.as_deref(),
                wait_ms: a.wait_ms,
            })
            .collect(),
        gave_up: run.gave_up.as_deref(),
        input_tokens: run.usage.total_input(),
        output_tokens: run.usage.output,
        cost_nano: run.price.get(),
        store_away: run.store_away,
        ms: run.total_ms,
        first_content_ms: run.first_content_ms,
        generation: run.generation,
    };
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}
