//! Facts as scripts see them. What policies commonly ask for travels with the call in one go (all of it costs as much as two
//! calls back into the host); the rest is read when a script asks. `prelude.luau` makes the objects.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use mlua::{Function, IntoLua, Lua, LuaString, Table, Value};

use crate::domain::facts::RequestFacts;
use crate::domain::failure::Failure;
use crate::luau::HostClock;

/// Bytes of the prompt that `request:text()` gives at most: a longer one must not use up the script's memory, or every
/// large request would make the policy fail.
const MAX_TEXT_BYTES: usize = 1024 * 1024;
/// The same for `request.metadata`, which a caller may fill with anything.
const MAX_METADATA_ENTRIES: usize = 64;
const MAX_METADATA_BYTES: usize = 1024;

#[rustfmt::skip]
const REQUEST: &[&str] = &[
    "dialect", "model", "tier", "stream", "message_count", "input_tokens", "max_tokens", "has_images", "has_tools", "key",
    "team", "user", "estimate", "metadata", "hour", "weekday", "generation", "text",
];
const ESTIMATE: &[&str] = &["usd", "seconds"];
#[rustfmt::skip]
const FAILURE: &[&str] = &[
    "provider", "kind", "model", "phase", "status", "code", "error_type", "param", "message", "retry_after", "timeout",
    "empty",
];

/// tier, model, team, user, stream, message_count, input_tokens, max_tokens, has_images, has_tools, estimate.usd,
/// estimate.seconds: the parameters of `request_object` in `prelude.luau`, in this order.
pub(super) type RequestValues<'a> = (&'a str, &'a str, &'a str, &'a str, bool, u32, u64, u64, bool, bool, f64, f64);

pub(super) fn request_values(facts: &RequestFacts) -> RequestValues<'_> {
    (
        &facts.tier,
        &facts.model,
        &facts.team,
        &facts.user,
        facts.stream,
        facts.message_count,
        facts.input_tokens,
        facts.max_tokens,
        facts.has_images,
        facts.has_tools,
        // A float is fine to compare with; the money itself is reserved from the exact amount.
        facts.estimate_usd.get() as f64 / 1e9,
        facts.estimate_seconds,
    )
}

/// provider, kind, model, phase, status, code, error_type, param, message, retry_after, timeout, empty: the parameters of
/// `failure_object` in `prelude.luau`, in this order.
pub(super) type FailureValues<'a> = (
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    Option<u16>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    &'a str,
    Option<f64>,
    bool,
    bool,
);

pub(super) fn failure_values(failure: &Failure) -> FailureValues<'_> {
    (
        &failure.provider,
        failure.kind,
        &failure.model,
        failure.phase.as_str(),
        failure.status,
        failure.code.as_deref(),
        failure.error_type.as_deref(),
        failure.param.as_deref(),
        &failure.message,
        failure.retry_after.filter(|seconds| seconds.is_finite() && *seconds >= 0.0),
        failure.timeout,
        failure.empty,
    )
}

/// The request that is being judged; what a VM keeps lives longer than any call.
#[derive(Clone, Default)]
pub(super) struct CurrentRequest(Rc<RefCell<Option<Arc<RequestFacts>>>>);

impl CurrentRequest {
    pub(super) fn set(&self, facts: Option<Arc<RequestFacts>>) {
        self.0.replace(facts);
    }

    fn get(&self) -> mlua::Result<Arc<RequestFacts>> {
        self.0.borrow().clone().ok_or_else(|| mlua::Error::runtime("facts exist only while the policy runs"))
    }
}

/// The host's part of the objects: `request`, `estimate` and `failure` are called with (object, name) for what the object
/// does not hold itself. A misspelt fact must not read as nil, or the rule around it would silently never apply.
pub(super) fn lookups(lua: &Lua, current: &CurrentRequest, clock: HostClock) -> mlua::Result<Table> {
    let lookups = lua.create_table()?;
    let text = prompt_text(lua, current.clone(), clock)?;
    let current = current.clone();
    let request = lua.create_function(move |lua, (_, name): (Value, LuaString)| {
        rare_fact(lua, &*current.get()?, &name.as_bytes(), &text)
    })?;
    lookups.set("request", request)?;
    let absent = |object: &'static str, known: &'static [&'static str]| {
        lua.create_function(move |_, (_, name): (Value, LuaString)| match known.iter().any(|known| name == *known) {
            true => Ok(Value::Nil),
            false => Err(unknown(object, &name.as_bytes(), known)),
        })
    };
    lookups.set("estimate", absent("request.estimate", ESTIMATE)?)?;
    lookups.set("failure", absent("failure", FAILURE)?)?;
    Ok(lookups)
}

fn rare_fact(lua: &Lua, facts: &RequestFacts, name: &[u8], text: &Function) -> mlua::Result<Value> {
    match name {
        b"dialect" => facts.dialect.into_lua(lua),
        b"key" => facts.key.as_ref().into_lua(lua),
        b"hour" => facts.hour.into_lua(lua),
        b"weekday" => facts.weekday.into_lua(lua),
        b"generation" => facts.generation.into_lua(lua),
        b"metadata" => {
            let pairs = facts.metadata.iter().take(MAX_METADATA_ENTRIES);
            let metadata = lua.create_table_from(
                pairs.map(|(key, value)| (cut(key, MAX_METADATA_BYTES), cut(value, MAX_METADATA_BYTES))),
            )?;
            metadata.set_readonly(true);
            Ok(Value::Table(metadata))
        }
        b"text" => Ok(Value::Function(text.clone())),
        other => Err(unknown("request", other, REQUEST)),
    }
}

/// `request:text()`. Also returns whether the text was cut, so that a policy that must see everything can refuse.
fn prompt_text(lua: &Lua, current: CurrentRequest, clock: HostClock) -> mlua::Result<Function> {
    lua.create_function(move |lua, _: Value| {
        let facts = current.get()?;
        let text = clock.run(|| (facts.text.0)());
        let seen = cut(&text, MAX_TEXT_BYTES);
        Ok((lua.create_string(seen)?, seen.len() < text.len()))
    })
}

/// The longest beginning of `text` that has at most `bytes` and ends between two characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn unknown(object: &str, name: &[u8], known: &[&str]) -> mlua::Error {
    let name = String::from_utf8_lossy(name);
    let hint = nearest(&name, known.iter().copied());
    mlua::Error::runtime(format!("{object} has no fact `{name}`; {hint}"))
}

/// `did you mean …?`, or the whole list when nothing is near.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let best = known
        .clone()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance);
    match best {
        Some((distance, candidate)) if distance <= 1 + candidate.len() / 4 => format!("did you mean `{candidate}`?"),
        _ => {
            let mut names: Vec<&str> = known.collect();
            names.sort_unstable();
            format!("known: {}", names.join(", "))
        }
    }
}
