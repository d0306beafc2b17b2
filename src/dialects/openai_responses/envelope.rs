//! The response object around the output: all 31 fields of it, which repeat what was asked.

use serde_json::{Map, Value, json};

use crate::dialects::About;
use crate::domain::chat::Finish;
use crate::domain::usage::Usage;

/// Values that stand where the request said nothing.
const DEFAULTS: &[(&str, &str)] = &[
    ("previous_response_id", "null"),
    ("instructions", "null"),
    ("tool_choice", "\"auto\""),
    ("truncation", "\"disabled\""),
    ("parallel_tool_calls", "true"),
    ("top_p", "1.0"),
    ("presence_penalty", "0.0"),
    ("frequency_penalty", "0.0"),
    ("top_logprobs", "0"),
    ("temperature", "1.0"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("store", "true"),
    ("background", "false"),
    ("service_tier", "\"default\""),
    ("metadata", "{}"),
    ("safety_identifier", "null"),
    ("prompt_cache_key", "null"),
];

pub(super) struct Envelope {
    about: About,
    /// What is the same in every state of the response.
    fixed: Map<String, Value>,
}

/// How far the response is.
pub(super) enum State {
    Queued,
    InProgress,
    Cancelled,
    Ended(Finish),
    /// The error object with its code and message.
    Failed(Value),
}

impl Envelope {
    pub(super) fn new(about: &About) -> Self {
        let mut asked: Map<String, Value> = serde_json::from_slice(&about.request).unwrap_or_default();
        let mut given = |name: &str| asked.shift_remove(name).filter(|value| !value.is_null());
        let mut fixed = Map::new();
        for (name, default) in DEFAULTS {
            let default = || serde_json::from_str(default).expect("a default is JSON");
            fixed.insert((*name).to_owned(), given(name).unwrap_or_else(default));
        }
        // `auto` is a wish; what it came to be is always a tier.
        if fixed.get("service_tier").is_some_and(|tier| tier == "auto") {
            fixed.insert("service_tier".into(), "default".into());
        }
        fixed.insert("tools".into(), given("tools").map_or_else(|| json!([]), tools));
        fixed.insert("text".into(), text(given("text")));
        fixed.insert("reasoning".into(), reasoning(given("reasoning")));
        Envelope { about: about.clone(), fixed }
    }

    pub(super) fn id(&self) -> &str {
        &self.about.id
    }

    /// From now on the fields are those of a response that the provider wrote itself.
    pub(super) fn follow(&mut self, response: Map<String, Value>) {
        if let Some(id) = response.get("id").and_then(Value::as_str) {
            self.about.id = id.to_owned();
        }
        if let Some(model) = response.get("model").and_then(Value::as_str) {
            self.about.model = model.to_owned();
        }
        self.about.created_s = response.get("created_at").and_then(Value::as_u64).unwrap_or(self.about.created_s);
        self.fixed.extend(response);
    }

    pub(super) fn served_by(&mut self, model: &str) {
        self.about.model = model.to_owned();
    }

    pub(super) fn served_as(&mut self, tier: &str) {
        self.fixed.insert("service_tier".into(), tier.into());
    }

    pub(super) fn response(&self, state: &State, output: Vec<Value>, usage: Option<&Usage>) -> Value {
        let (status, reason) = status(state);
        let mut response = Map::new();
        let mut put = |name: &str, value: Value| response.insert(name.to_owned(), value);
        put("id", self.about.id.as_str().into());
        put("object", "response".into());
        put("created_at", self.about.created_s.into());
        put("completed_at", (status == "completed").then(|| (self.about.now_s)()).into());
        put("status", status.into());
        put("incomplete_details", reason.map(|reason| json!({ "reason": reason })).into());
        put("model", self.about.model.as_str().into());
        put("output", output.into());
        put("error", if let State::Failed(error) = state { error.clone() } else { Value::Null });
        put("usage", usage.map(usage_body).into());
        for (name, value) in &self.fixed {
            response.entry(name.as_str()).or_insert_with(|| value.clone());
        }
        Value::Object(response)
    }
}

/// The status, and why it is not complete.
fn status(state: &State) -> (&'static str, Option<&'static str>) {
    match state {
        State::Queued => ("queued", None),
        State::InProgress => ("in_progress", None),
        State::Cancelled => ("cancelled", None),
        State::Ended(Finish::Stop | Finish::ToolCalls) => ("completed", None),
        State::Ended(Finish::Length) => ("incomplete", Some("max_output_tokens")),
        State::Ended(Finish::ContentFilter) => ("incomplete", Some("content_filter")),
        State::Failed(_) => ("failed", None),
    }
}

/// Functions as the schema wants them: with all their members.
fn tools(value: Value) -> Value {
    let Value::Array(mut list) = value else { return json!([]) };
    for tool in list.iter_mut().filter(|tool| tool["type"] == "function") {
        for name in ["description", "parameters", "strict"] {
            if tool[name].is_null() {
                tool[name] = Value::Null;
            }
        }
    }
    list.into()
}

fn text(value: Option<Value>) -> Value {
    let mut text = value.filter(Value::is_object).unwrap_or_else(|| json!({}));
    let format = &mut text["format"];
    if format.is_null() {
        *format = json!({ "type": "text" });
    }
    if format["type"] == "json_schema" {
        let strict = format["strict"].as_bool().unwrap_or(false);
        format["strict"] = strict.into();
        if format["description"].is_null() {
            format["description"] = Value::Null;
        }
    }
    text
}

fn reasoning(value: Option<Value>) -> Value {
    let given = value.unwrap_or_default();
    json!({ "effort": given["effort"], "summary": given["summary"] })
}

/// OpenAI counts what was read from or written to a cache inside the input, and reasoning inside the output.
pub(super) fn usage_body(usage: &Usage) -> Value {
    let input = usage.total_input();
    json!({
        "input_tokens": input,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write.saturating_add(usage.cache_write_1h),
        },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": input.saturating_add(usage.output),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn about(request: &'static str) -> About {
        let request = Bytes::from_static(request.as_bytes());
        About { id: "resp_1".into(), created_s: 5, model: "m".into(), include_usage: true, request, now_s: || 9 }
    }

    #[test]
    fn the_request_is_repeated_and_what_it_left_out_has_a_value() {
        let request = r#"{"model":"standard","instructions":"be brief","store":false,"metadata":{"k":"v"},"temperature":0.50,
            "tools":[{"type":"function","name":"f"}],"text":{"verbosity":"low"},"service_tier":"auto","x_unknown":1}"#;
        let response = Envelope::new(&about(request)).response(&State::Ended(Finish::Stop), Vec::new(), None);
        assert_eq!(response.as_object().map(Map::len), Some(31), "{response}");
        assert_eq!((&response["instructions"], &response["store"]), (&json!("be brief"), &json!(false)));
        assert_eq!((&response["created_at"], &response["completed_at"]), (&json!(5), &json!(9)));
        assert_eq!(
            response["tools"],
            json!([{"type": "function", "name": "f", "description": null, "parameters": null, "strict": null}])
        );
        assert_eq!(response["text"], json!({"verbosity": "low", "format": {"type": "text"}}));
        assert_eq!((&response["service_tier"], &response["model"]), (&json!("default"), &json!("m")));
        assert_eq!(response["reasoning"], json!({"effort": null, "summary": null}));
    }

    #[test]
    fn a_failed_response_says_why_and_is_not_complete() {
        let error = json!({"code": "upstream_failed", "message": "no"});
        let response = Envelope::new(&about("{}")).response(&State::Failed(error.clone()), Vec::new(), None);
        assert_eq!((&response["status"], &response["error"]), (&json!("failed"), &error));
        assert_eq!((&response["completed_at"], &response["usage"]), (&Value::Null, &Value::Null));
    }
}
