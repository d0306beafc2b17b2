//! How long an answer of each model can be, read from the vendors' model pages between July and November 2026. No price
//! list has it, so this one is ours: `headgate prices` shows it, and a cap in config that is larger gets a warning. A
//! model that is not here has no known maximum.

/// Output tokens of the models whose names begin so; the longest beginning counts.
struct Family(&'static str, &'static [(&'static str, u64)]);

#[rustfmt::skip]
const FAMILIES: &[Family] = &[
    Family("openai", &[
        ("gpt-3.5-turbo", 4_096),
        ("gpt-4", 8_192), ("gpt-4-turbo", 4_096), ("gpt-4.1", 32_768), ("gpt-4.5", 16_384),
        ("gpt-4o", 16_384), ("gpt-4o-2024-05-13", 4_096),
        ("gpt-5", 128_000), ("gpt-5-pro", 272_000),
        ("gpt-5.1-chat", 16_384), ("gpt-5.2-chat", 16_384), ("gpt-5.3-chat", 16_384), ("gpt-5.3-codex-spark", 32_000),
        ("gpt-6", 128_000),
        ("o1", 100_000), ("o3", 100_000), ("o4", 100_000),
    ]),
    Family("anthropic", &[
        ("claude-3-haiku", 4_096), ("claude-3-opus", 4_096), ("claude-3-sonnet", 4_096),
        ("claude-3-5-", 8_192), ("claude-3-7-sonnet", 64_000),
        ("claude-opus-4-0", 32_000), ("claude-opus-4-1", 32_000), ("claude-opus-4-2025", 32_000),
        ("claude-opus-4-5", 64_000), ("claude-opus-4-6", 128_000), ("claude-opus-4-7", 128_000),
        ("claude-opus-4-8", 128_000), ("claude-opus-5", 128_000),
        ("claude-sonnet-4", 64_000), ("claude-sonnet-5", 128_000),
        ("claude-haiku-4-5", 64_000), ("claude-haiku-5-5", 128_000),
        ("claude-fable-5", 128_000),
    ]),
    Family("google", &[
        ("gemini-2.0-flash", 8_192), ("gemini-2.5", 65_536), ("gemini-2.5-flash-image", 32_768),
        ("gemini-3", 65_536),
        ("gemma-4", 32_768),
    ]),
    Family("mistral", &[
        ("mistral-large-2512", 262_144), ("mistral-large-latest", 262_144),
        ("mistral-medium-2508", 262_144), ("mistral-small-2603", 256_000), ("mistral-small-latest", 256_000),
        ("devstral-2512", 262_144), ("magistral-medium", 16_384),
    ]),
    Family("deepseek", &[("deepseek-chat", 384_000), ("deepseek-reasoner", 384_000), ("deepseek-v4", 384_000)]),
    Family("groq", &[
        ("llama-3.1-8b-instant", 131_072), ("llama-3.3-70b-versatile", 32_768),
        ("meta-llama/llama-4-scout", 8_192), ("openai/gpt-oss", 65_536), ("qwen/qwen3-32b", 40_960),
    ]),
    Family("x-ai", &[("grok-4.20", 30_000), ("grok-4.3", 30_000), ("grok-build", 256_000)]),
    Family("cohere", &[
        ("command-a", 8_000), ("command-a-reasoning", 32_000), ("command-r", 4_000), ("c4ai-aya", 4_000),
    ]),
];

/// The most output tokens of one answer; none = not known.
pub(super) fn answer(catalogue: &str, model: &str) -> Option<u64> {
    let Family(_, beginnings) = FAMILIES.iter().find(|Family(of, _)| *of == catalogue)?;
    let fits = beginnings.iter().filter(|(beginning, _)| model.starts_with(beginning));
    fits.max_by_key(|(beginning, _)| beginning.len()).map(|(_, tokens)| *tokens)
}
