//! Answers to calls that are no chat. They fail as chats of the same provider do, and are never streamed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Call, Event, Format, Gemini, OpenAi};
use crate::simulator::answer::{Piece, Usage};
use crate::simulator::ask::{Ask, Task};
use crate::simulator::request::Request;
use crate::simulator::script::{ErrorWords, InBandError, RetryAfter};

/// OpenAI's embeddings, and those of the many who copy them.
pub(in crate::simulator) struct Embeddings;

pub(in crate::simulator) struct GeminiEmbeddings;

/// OpenAI's moderations, and Mistral's for models with its name.
pub(in crate::simulator) struct Moderations;

impl GeminiEmbeddings {
    const METHOD: &'static str = ":batchEmbedContents";

    pub(in crate::simulator) fn is_path(path: &str) -> bool {
        path.ends_with(Self::METHOD)
    }
}

/// Everything but the request and the answer is as in `$like`.
macro_rules! a_task {
    ($format:ty, like $like:expr) => {
        impl Format for $format {
            fn name(&self) -> &'static str {
                $like.name()
            }
            fn request_id_header(&self) -> &'static str {
                $like.request_id_header()
            }
            fn requires_max_tokens(&self) -> bool {
                false
            }
            fn ask<'a>(&self, request: &'a Request) -> Result<Ask<'a>, String> {
                self.task(request)
            }
            fn error(&self, status: u16, words: &ErrorWords, request_id: &str) -> Value {
                $like.error(status, words, request_id)
            }
            fn tells_wait(&self, body: &mut Value, wait: &RetryAfter) -> bool {
                $like.tells_wait(body, wait)
            }
            fn plain(&self, call: &Call<'_>) -> Value {
                self.done_task(call)
            }
            fn opening(&self, call: &Call<'_>) -> Vec<Event> {
                $like.opening(call)
            }
            fn content(&self, call: &Call<'_>, piece: &Piece<'_>) -> Vec<Event> {
                $like.content(call, piece)
            }
            fn finish(&self, call: &Call<'_>) -> Vec<Event> {
                $like.finish(call)
            }
            fn done(&self) -> Option<Event> {
                $like.done()
            }
            fn keep_alive(&self) -> &'static str {
                $like.keep_alive()
            }
            fn malformed(&self) -> Event {
                $like.malformed()
            }
            fn in_band_error(&self, call: &Call<'_>, error: &InBandError, request_id: &str) -> Event {
                $like.in_band_error(call, error, request_id)
            }
            fn billed_input(&self, usage: &Usage) -> Option<u64> {
                $like.billed_input(usage)
            }
        }
    };
}

a_task!(Embeddings, like OpenAi);
a_task!(GeminiEmbeddings, like Gemini);
a_task!(Moderations, like OpenAi);

impl Embeddings {
    fn task<'a>(&self, request: &'a Request) -> Result<Ask<'a>, String> {
        Ask::of_embeddings(&request.body)
    }

    fn done_task(&self, call: &Call<'_>) -> Value {
        let Task::Embed(embed) = call.task else { return Value::Null };
        let packed = |vector: &[f32]| {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            Value::from(STANDARD.encode(bytes))
        };
        let data: Vec<Value> = (embed.vectors().iter().enumerate())
            .map(|(index, vector)| {
                let embedding = if embed.base64 { packed(vector) } else { json!(vector) };
                json!({ "object": "embedding", "index": index, "embedding": embedding })
            })
            .collect();
        let mut body = json!({ "object": "list", "data": data, "model": call.model });
        if let Some(usage) = &call.usage {
            body["usage"] = json!({ "prompt_tokens": usage.input, "total_tokens": usage.input });
        }
        body
    }
}

impl GeminiEmbeddings {
    fn task<'a>(&self, request: &'a Request) -> Result<Ask<'a>, String> {
        let model = request.head.path.strip_suffix(Self::METHOD).unwrap_or_default();
        Ask::of_gemini_embeddings(model.rsplit('/').next().unwrap_or_default(), &request.body)
    }

    /// Without usage, as from most of its models.
    fn done_task(&self, call: &Call<'_>) -> Value {
        let Task::Embed(embed) = call.task else { return Value::Null };
        let vectors: Vec<Value> = embed.vectors().iter().map(|vector| json!({ "values": vector })).collect();
        json!({ "embeddings": vectors })
    }
}

impl Moderations {
    fn task<'a>(&self, request: &'a Request) -> Result<Ask<'a>, String> {
        Ask::of_moderation(&request.body)
    }

    fn done_task(&self, call: &Call<'_>) -> Value {
        let Task::Moderate(flagged) = call.task else { return Value::Null };
        // Mistral says what it found and leaves the verdict to the caller.
        let mistral = call.model.starts_with("mistral");
        let result = |flagged: &bool| {
            let score = if *flagged { 0.98 } else { 0.01 };
            let (yes, no) = if mistral { ("violence_and_threats", "pii") } else { ("violence", "hate") };
            let mut result = json!({
                "categories": { yes: flagged, no: false },
                "category_scores": { yes: score, no: 0.001 },
            });
            if !mistral {
                result["flagged"] = json!(flagged);
            }
            result
        };
        let results: Vec<Value> = flagged.iter().map(result).collect();
        json!({ "id": format!("modr-mock-{}", call.number), "model": call.model, "results": results })
    }
}
