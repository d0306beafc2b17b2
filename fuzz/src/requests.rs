//! What a client sends.

use crate::dialects::{Decoded, Dialect};
use crate::domain::chat::ChatRequest;
use crate::domain::error::GatewayError;
use crate::domain::json::{self, Field};
use crate::providers::{ADAPTERS, Adapter, Ask, Passed};
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

const MODEL: &str = "target/\"model\"";

/// Names of the output cap, which the gateway may rewrite or add.
const CAPS: &[&str] = &["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// Fields that the gateway may rewrite or add, besides the caps.
const OWNED: &[&str] = &["model", "stream", "stream_options"];

/// A body either is refused in words of the dialect, or goes to every provider as JSON; where the formats are the same,
/// with no other field changed.
pub fn taken_by(dialect: &dyn Dialect, input: &[u8]) {
    let dialect = dialect.variant(input).unwrap_or(dialect);
    let call = match dialect.decode(Bytes::copy_from_slice(input)) {
        Ok(call) => call,
        Err(error) => return is_told(dialect, &error),
    };
    assert!(call.billed_bytes() <= call.body.len(), "billed twice");
    let _ = dialect.prompt_text(&call);
    for adapter in ADAPTERS.iter().filter(|adapter| adapter.wire() == dialect.wire()) {
        passes(*adapter, &call);
    }
    match dialect.chat(&call) {
        Ok(chat) => ADAPTERS.iter().for_each(|adapter| is_translated(dialect, *adapter, &chat)),
        Err(error) => is_told(dialect, &error),
    }
}

fn is_told(dialect: &dyn Dialect, error: &GatewayError) {
    let reply = dialect.error(error, "req_fuzz");
    assert!((400..500).contains(&reply.status), "{} for {error:?}", reply.status);
    // Chat pages show the body as it is.
    let is_readable = match reply.content_type {
        "application/json" => serde_json::from_slice::<Value>(&reply.body).is_ok(),
        _ => std::str::from_utf8(&reply.body).is_ok(),
    };
    assert!(is_readable, "{:?}", reply.body);
}

fn is_translated(dialect: &dyn Dialect, adapter: &dyn Adapter, chat: &ChatRequest) {
    for stream in [false, true] {
        match adapter.encode(chat, &Ask { model: MODEL, stream, max_tokens: 7, cap_field: "max_completion_tokens" }) {
            // Read as loosely as the body came in: arguments of calls keep their spelling, half a surrogate pair included.
            Ok(sent) => {
                assert!(serde_json::from_slice::<&RawValue>(&sent.body).is_ok_and(|raw| raw.get().starts_with('{')));
            }
            Err(error) => is_told(dialect, &error),
        }
    }
}

fn passes(adapter: &dyn Adapter, call: &Decoded) {
    let (body, owned) = (&call.body, &call.owned);
    for (stream, max_tokens, cap_field) in [
        (false, None, "max_tokens"),
        (false, Some(7), "max_completion_tokens"),
        (true, Some(7), "max_tokens"),
        (true, None, "max_completion_tokens"),
    ] {
        let passed = Passed { body, owned, model: MODEL, stream, max_tokens, cap_field };
        let sent = adapter.pass(&passed).expect("a call in its own format passes");
        let (before, after) = (fields(body), fields(&sent));
        assert_eq!(foreign(&before), foreign(&after), "a field was touched that is not ours");
        let model: Value = value(&after, "model").expect("every call names its model");
        assert_eq!(model, MODEL);
        assert_eq!(value(&after, "stream").unwrap_or(Value::Bool(false)), stream);
        if let Some(cap) = max_tokens {
            // A cap of another format is a field like any other, and may stand there twice.
            let is_capped = |field: &Field<'_>| CAPS.contains(&field.name.as_ref()) && field.value == cap.to_string();
            assert!(after.iter().any(is_capped), "{after:?}");
        }
    }
}

fn fields(body: &[u8]) -> Vec<Field<'_>> {
    json::fields(body).expect("a JSON object")
}

/// Names and raw values, in order.
fn foreign<'a>(fields: &'a [Field<'_>]) -> Vec<(&'a str, &'a str)> {
    let others = fields.iter().filter(|field| !OWNED.iter().chain(CAPS).any(|owned| *owned == field.name));
    others.map(|field| (field.name.as_ref(), field.value)).collect()
}

fn value(fields: &[Field<'_>], name: &str) -> Option<Value> {
    let mut found = fields.iter().filter(|field| field.name == name);
    let field = found.next()?;
    assert!(found.next().is_none(), "`{name}` stands twice");
    serde_json::from_str(field.value).ok()
}
