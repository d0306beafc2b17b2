//! What policies may know of a call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::money::NanoUsd;

/// Facts of one request for the `tiers` and `admission` hooks. Plain values; the prompt's text is made only when a
/// script asks for it, and no key is ever part of this.
#[derive(Clone)]
pub struct RequestFacts {
    /// The client's wire format: `openai_chat`, `anthropic_messages`, …
    pub dialect: &'static str,
    /// What the client asked for: a tier, `auto`, an alias or `provider/model`.
    pub model: String,
    /// The tier it resolves to; empty for a direct target, `auto` in the `tiers` hook.
    pub tier: String,
    pub stream: bool,
    pub message_count: u32,
    /// Upper bound of the input tokens.
    pub input_tokens: u64,
    /// Output cap in force before the policy speaks; 1 for embeddings, which have no output.
    pub max_tokens: u64,
    pub has_images: bool,
    pub has_tools: bool,
    pub key: Arc<str>,
    pub team: Arc<str>,
    pub user: Arc<str>,
    /// Worst-case price over the plan; zero in the `tiers` hook, where there is no plan yet.
    pub estimate_usd: NanoUsd,
    /// Expected seconds until the last token, from measured speed; zero when nothing was measured.
    pub estimate_seconds: f64,
    /// The request's own `metadata` object, text values only.
    pub metadata: BTreeMap<String, String>,
    /// UTC hour of day, 0 to 23.
    pub hour: u8,
    /// UTC day of week, 1 = Monday to 7 = Sunday.
    pub weekday: u8,
    pub generation: u64,
    /// Makes the text of all messages, on demand.
    pub text: PromptText,
}

/// The prompt's text, made when asked for.
#[derive(Clone)]
pub struct PromptText(pub Arc<dyn Fn() -> String + Send + Sync>);

impl fmt::Debug for PromptText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PromptText(..)")
    }
}

/// What the `admission` hook decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on; a policy may move the call to another tier or lower its output cap, never raise it.
    Allow {
        tier: Option<String>,
        max_tokens: Option<u64>,
    },
    Deny {
        status: u16,
        code: String,
        message: String,
    },
    /// Move to a worker. Until workers exist this is the same as `Allow` with nothing changed.
    Background,
}
