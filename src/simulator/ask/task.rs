//! Calls that are no chat: texts to turn into vectors, or to judge.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::{Ask, Words};

/// Texts with this word in them are flagged, and so are images with it in their URL.
pub(in crate::simulator) const FLAGGED_WORD: &str = "mock-flagged";

/// Numbers of a vector where the call does not say.
const DIMENSIONS: usize = 8;
/// More would only be in the way of a test.
const MOST_DIMENSIONS: u64 = 4_096;

pub(in crate::simulator) enum Task {
    Chat,
    Embed(Embed),
    /// For each input, whether it is flagged.
    Moderate(Vec<bool>),
}

pub(in crate::simulator) struct Embed {
    /// One per vector; the same input has the same one.
    seeds: Vec<u64>,
    dimensions: usize,
    pub(in crate::simulator) base64: bool,
}

#[derive(Deserialize)]
struct OpenAiTask {
    model: Option<String>,
    input: Value,
    encoding_format: Option<String>,
    dimensions: Option<u64>,
    output_dimension: Option<u64>,
}

#[derive(Deserialize)]
struct GeminiTask {
    requests: Vec<GeminiText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiText {
    content: Value,
    output_dimensionality: Option<u64>,
}

impl Embed {
    fn of(inputs: &[Value], dimensions: Option<u64>, base64: bool) -> Embed {
        let dimensions =
            dimensions.map_or(DIMENSIONS, |n| usize::try_from(n.min(MOST_DIMENSIONS)).unwrap_or(DIMENSIONS));
        Embed { seeds: inputs.iter().map(|input| seed(&input.to_string())).collect(), dimensions, base64 }
    }

    /// The same for the same input, and different for others.
    pub(in crate::simulator) fn vectors(&self) -> Vec<Vec<f32>> {
        let vector = |seed: &u64| {
            let mut state = *seed;
            let next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // The upper 16 bits, as a number from -1 to 1 that a 32-bit float holds exactly.
                f32::from(u16::try_from(state >> 48).unwrap_or_default()) / 32_768.0 - 1.0
            };
            std::iter::repeat_with(next).take(self.dimensions).collect()
        };
        self.seeds.iter().map(vector).collect()
    }
}

/// FNV-1a.
fn seed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl<'a> Ask<'a> {
    pub(in crate::simulator) fn of_embeddings(body: &'a [u8]) -> Result<Ask<'a>, String> {
        let task: OpenAiTask = read(body)?;
        let model = task.model.ok_or("you must provide a model parameter")?;
        let inputs = match task.input {
            Value::String(_) => vec![task.input],
            Value::Array(list) if list.iter().all(Value::is_u64) => vec![Value::Array(list)],
            Value::Array(list) => list,
            _ => return Err("'input' must be a string or an array".to_owned()),
        };
        if inputs.iter().any(|input| matches!(input, Value::String(text) if text.is_empty())) || inputs.is_empty() {
            return Err("'input' cannot be an empty string".to_owned());
        }
        let base64 = task.encoding_format.as_deref() == Some("base64");
        let tokens = inputs.iter().map(tokens).sum();
        let embed = Embed::of(&inputs, task.dimensions.or(task.output_dimension), base64);
        Ok(Ask::of_task(model.into(), tokens, Task::Embed(embed)))
    }

    pub(in crate::simulator) fn of_gemini_embeddings(model: &'a str, body: &[u8]) -> Result<Ask<'a>, String> {
        let task: GeminiTask = read(body)?;
        let dimensions = task.requests.first().and_then(|request| request.output_dimensionality);
        let inputs: Vec<Value> = task.requests.into_iter().map(|mut request| request.content["parts"].take()).collect();
        if inputs.is_empty() || !inputs.iter().all(|parts| parts[0]["text"].is_string()) {
            return Err("requests[].content.parts[].text is required".to_owned());
        }
        let tokens = inputs.iter().map(|parts| tokens(&parts[0]["text"])).sum();
        Ok(Ask::of_task(model.into(), tokens, Task::Embed(Embed::of(&inputs, dimensions, false))))
    }

    pub(in crate::simulator) fn of_moderation(body: &'a [u8]) -> Result<Ask<'a>, String> {
        let task: OpenAiTask = read(body)?;
        let inputs = match task.input {
            // Parts of one message are judged together, and one of them at most may be an image.
            Value::Array(parts) if parts.iter().any(Value::is_object) => {
                if parts.iter().filter(|part| part["type"] == "image_url").count() > 1 {
                    return Err("Number of images (2) exceeds maximum of 1".to_owned());
                }
                vec![Value::Array(parts)]
            }
            Value::Array(texts) => texts,
            text => vec![text],
        };
        let flagged = inputs.iter().map(|input| input.to_string().contains(FLAGGED_WORD)).collect();
        let model = task.model.unwrap_or_else(|| "omni-moderation-latest".to_owned());
        Ok(Ask::of_task(model.into(), 0, Task::Moderate(flagged)))
    }

    /// Nothing is said, so that nothing but the input is billed.
    fn of_task(model: Cow<'a, str>, tokens: u64, task: Task) -> Ask<'a> {
        Ask {
            model,
            stream: None,
            max_tokens: Some(0),
            max_completion_tokens: None,
            n: None,
            stream_options: None,
            messages: Words(tokens),
            system: None,
            tools: None,
            task,
        }
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is not valid: {error}"))
}

/// One per word of a text, or as many as are given.
fn tokens(input: &Value) -> u64 {
    match input {
        Value::String(text) => text.split_whitespace().count() as u64,
        Value::Array(tokens) => tokens.len() as u64,
        _ => 0,
    }
}
