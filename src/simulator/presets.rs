//! Model names that do something without a script, for people with a curl at hand.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use super::ask::FLAGGED_WORD;
use super::script::{self, Step};

/// Name, and its one step as a script would write it.
#[rustfmt::skip]
const PRESETS: &[(&str, &str)] = &[
    ("mock-echo", "{ echo: true }"),
    ("mock-tool", "{ tool_calls: [{ name: get_weather, arguments: { city: Paris } }] }"),
    ("mock-slow", "{ latency_ms: 1000, gap_ms: 300 }"),
    ("mock-long", "{ words: 2000, gap_ms: 20 }"),
    ("mock-refusal", "{ text: I can't help with that., finish: refusal }"),
    ("mock-absurd-usage", "{ usage: { input: -1, output: 1e18 } }"),
    ("mock-400", "{ fault: { status: { status: 400 } } }"),
    ("mock-401", "{ fault: { status: { status: 401 } } }"),
    ("mock-429", "{ fault: { status: { status: 429, retry_after: { seconds: 2 } } } }"),
    ("mock-429-date", "{ fault: { status: { status: 429, retry_after: { http_date: 5 } } } }"),
    ("mock-429-ms", "{ fault: { status: { status: 429, retry_after: { ms: 300 } } } }"),
    ("mock-429-quota", "{ fault: { status: { status: 429, error: { type: insufficient_quota, code: insufficient_quota } } } }"),
    ("mock-500", "{ fault: { status: { status: 500 } } }"),
    ("mock-503", "{ fault: { status: { status: 503 } } }"),
    ("mock-529", "{ fault: { status: { status: 529 } } }"),
    ("mock-hang", "{ fault: hang_before_head }"),
    ("mock-reset", "{ fault: reset_before_head }"),
    ("mock-cut", "{ fault: { cut: { after: 3 } } }"),
    ("mock-stall", "{ fault: { stall: { after: 3 } } }"),
    ("mock-clean-end", "{ fault: { clean_end: { after: 3 } } }"),
    ("mock-in-band-error", "{ fault: { in_band_error: { after: 3 } } }"),
    ("mock-malformed", "{ fault: { malformed_frame: { after: 3 } } }"),
    ("mock-empty", "{ fault: empty_stream }"),
    ("mock-html", "{ fault: html }"),
    ("mock-keep-alive", "{ keep_alive: { every_ms: 500, count: 10 } }"),
];

const FIELDS: &str = "
A step may have these fields, all of them optional:

  latency_ms, gap_ms           waits before the head, before each content frame
  text, echo, words            what is said; `words` repeats the text to that number of words
  words_per_frame, bytes_per_write
  tool_calls                   list of { id, name, arguments }
  finish                       stop, length, tool_calls, content_filter, refusal, or any other word
  usage                        honest, missing, asked (the last message's `usage={...}`), or { input, output, cache_read, cache_write, cache_write_1h, web_searches }
  ignore_max_tokens            true: says the whole text all the same
  keep_alive                   { every_ms, count }: signs of life before the content; no count: for ever
  framing                      { crlf, no_space, split_data, no_event_lines, no_opening, usage_on_finish }: true each
  headers                      further response headers; one of the same name replaces ours
  fault                        one of, where `after` counts content frames:
    { status: { status, retry_after: { seconds | http_date | ms | raw }, error: { type, code, message }, body } }
    { redirect: { location } }
    hang_before_head, reset_before_head, close_before_head
    { reset | cut | stall | clean_end | done_without_finish | malformed_frame: { after } }
    { in_band_error: { after, error: { type, code, message }, event_line } }
    finish_without_done, empty_stream, only_done, endless_data
    { huge_line: { bytes } }, { empty_data_lines: { lines } }
    truncated_json, short_body, html, empty_body, error_object, json_to_stream, gzip_header, bad_utf8
";

static STEPS: LazyLock<HashMap<&str, Arc<Step>>> = LazyLock::new(|| {
    let parsed = PRESETS.iter().map(|(name, step)| {
        let step = script::parse_steps(&format!("[{step}]")).ok().and_then(|mut steps| steps.pop());
        (*name, Arc::new(step.expect("every preset is a valid step: a test reads them all")))
    });
    parsed.collect()
});

static GREETING: LazyLock<Arc<Step>> = LazyLock::new(Arc::default);

/// How a model without a script answers.
pub(super) fn step(model: &str) -> Arc<Step> {
    Arc::clone(STEPS.get(model).unwrap_or(&GREETING))
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

pub(super) fn help() -> String {
    let mut help = String::from(
        "A model provider to test against. It speaks OpenAI chat completions (POST /v1/chat/completions) and responses (POST\n\
         /v1/responses), Anthropic messages (POST /v1/messages), Gemini (POST /v1beta/models/MODEL:generateContent,\n\
         :streamGenerateContent) and GET /v1/models, plain and streamed. Any key will do. One word is one token.\n\
         Beside chats it answers embeddings (POST /v1/embeddings, /v1beta/models/MODEL:batchEmbedContents), the same vector\n\
         for the same text, and moderations (POST /v1/moderations).\n\n\
         Every model name answers with a greeting, except those with a script and these, shown with theirs:\n\n",
    );
    for (name, step) in PRESETS {
        // Writing to a String can't fail.
        let _ = writeln!(help, "  {name:<19} {step}");
    }
    help.push_str(FIELDS);
    // Writing to a String can't fail.
    let _ = writeln!(help, "\nA moderation flags texts, and URLs of images, with `{FLAGGED_WORD}` in them.");
    help.push_str(
        "\nA script is a list of steps: call n uses step n, the last one repeats. In a file (`headgate mock --script FILE`)\n\
         every model name has its list. Over HTTP, in YAML or JSON:\n\n  \
           PUT /_mock/models/NAME            a list of steps; [] forgets the script\n  \
           GET /_mock/counts                 calls, how they ended, tokens billed, sockets open\n  \
           GET /_mock/requests?model=NAME    what was asked, the newest 1,000\n  \
           DELETE /_mock                     forgets scripts, counts and requests\n",
    );
    help
}
