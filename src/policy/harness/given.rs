//! The facts of a case: what it gives, over defaults of an ordinary call.

use std::collections::BTreeMap;
use std::sync::Arc;

use mlua::{Lua, LuaSerdeExt, Value};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::facts::{PromptText, RequestFacts};
use crate::domain::failure::{Failure, Phase};
use crate::domain::money::NanoUsd;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GivenRequest {
    dialect: String,
    model: String,
    tier: Option<String>,
    stream: bool,
    message_count: u32,
    input_tokens: u64,
    max_tokens: u64,
    has_images: bool,
    has_tools: bool,
    key: String,
    team: String,
    user: String,
    estimate: GivenEstimate,
    metadata: BTreeMap<String, String>,
    hour: u8,
    weekday: u8,
    generation: u64,
    text: String,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GivenEstimate {
    usd: f64,
    seconds: f64,
}

impl Default for GivenEstimate {
    fn default() -> Self {
        GivenEstimate { usd: 0.001, seconds: 3.0 }
    }
}

impl Default for GivenRequest {
    fn default() -> Self {
        GivenRequest {
            dialect: "openai_chat".to_owned(),
            model: "standard".to_owned(),
            tier: None,
            stream: false,
            message_count: 1,
            input_tokens: 200,
            max_tokens: 2048,
            has_images: false,
            has_tools: false,
            key: "test".to_owned(),
            team: String::new(),
            user: "test".to_owned(),
            estimate: GivenEstimate::default(),
            metadata: BTreeMap::new(),
            hour: 12,
            weekday: 1,
            generation: 1,
            text: String::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GivenFailure {
    provider: Option<String>,
    kind: String,
    model: String,
    phase: Option<Phase>,
    status: Option<u16>,
    code: Option<String>,
    error_type: Option<String>,
    param: Option<String>,
    message: String,
    retry_after: Option<f64>,
    timeout: bool,
    empty: bool,
}

impl Default for GivenFailure {
    fn default() -> Self {
        GivenFailure {
            provider: None,
            kind: "openai".to_owned(),
            model: "test-model".to_owned(),
            phase: None,
            status: None,
            code: None,
            error_type: None,
            param: None,
            message: String::new(),
            retry_after: None,
            timeout: false,
            empty: false,
        }
    }
}

/// `tier` is the one a request has when the case gives none.
pub(super) fn request(lua: &Lua, given: Value, tier: &str) -> Result<Arc<RequestFacts>, String> {
    Ok(Arc::new(request_facts(read(lua, given)?, tier)))
}

pub(super) fn failure(lua: &Lua, given: Value) -> Result<Failure, String> {
    Ok(failure_facts(read(lua, given)?))
}

fn read<T: DeserializeOwned + Default>(lua: &Lua, given: Value) -> Result<T, String> {
    if given.is_nil() {
        return Ok(T::default());
    }
    lua.from_value(given).map_err(|error| match error {
        mlua::Error::DeserializeError(text) => format!("given: {text}"),
        other => format!("given: {other}"),
    })
}

fn request_facts(given: GivenRequest, tier: &str) -> RequestFacts {
    let text = given.text;
    RequestFacts {
        dialect: lasting(given.dialect),
        model: given.model,
        tier: given.tier.unwrap_or_else(|| tier.to_owned()),
        stream: given.stream,
        message_count: given.message_count,
        input_tokens: given.input_tokens,
        max_tokens: given.max_tokens,
        has_images: given.has_images,
        has_tools: given.has_tools,
        key: given.key.into(),
        team: given.team.into(),
        user: given.user.into(),
        estimate_usd: NanoUsd::new((given.estimate.usd * 1e9).round() as u64),
        estimate_seconds: given.estimate.seconds,
        metadata: given.metadata,
        hour: given.hour,
        weekday: given.weekday,
        generation: given.generation,
        text: PromptText(Arc::new(move || text.clone())),
    }
}

fn failure_facts(given: GivenFailure) -> Failure {
    let phase = given.phase.unwrap_or(if given.status.is_some() { Phase::Status } else { Phase::Connect });
    Failure {
        provider: given.provider.unwrap_or_else(|| given.kind.clone()),
        kind: lasting(given.kind),
        model: given.model,
        phase,
        status: given.status,
        code: given.code,
        error_type: given.error_type,
        param: given.param,
        message: given.message,
        retry_after: given.retry_after,
        timeout: given.timeout,
        empty: given.empty,
    }
}

/// Facts carry names of formats as constants; a test may give any. Leaked, since the process ends with the tests.
fn lasting(name: String) -> &'static str {
    name.leak()
}
