//! What the model says: text and tool calls cut to the cap, the frames they travel in, and what they cost.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::ask::{self, Ask};
use super::script::{Fault, Finish, FixedUsage, Step, UsageReport};

/// Characters of tool arguments per frame, and per token.
const FRAGMENT_CHARS: usize = 8;
/// The longest text a script can ask for with a number.
const MOST_WORDS: u64 = 1_000_000;
/// Stands for the byte that no UTF-8 has, until the answer is bytes: JSON is built from strings, which can't hold it.
/// A private-use character, so no text means it.
pub(super) const BAD_BYTE: char = '\u{F8FF}';
/// A reported number up to here is believed, and billed; above it is a lie told on purpose.
const BELIEVABLE_TOKENS: u64 = 1_000_000_000;

pub(super) struct Answer {
    pub(super) text: String,
    pub(super) tools: Vec<Tool>,
    /// Of one choice.
    pub(super) tokens: u64,
    pub(super) finish: Finish,
}

pub(super) struct Tool {
    pub(super) id: Option<String>,
    pub(super) name: String,
    /// JSON text, or a part of it where the cap cut it.
    pub(super) arguments: String,
}

/// One content frame of a stream.
pub(super) struct Frame<'a> {
    pub(super) piece: Piece<'a>,
    pub(super) tokens: u64,
}

pub(super) enum Piece<'a> {
    Text(&'a str),
    ToolOpen { index: usize, tool: &'a Tool },
    ToolArguments { index: usize, fragment: &'a str },
}

impl Answer {
    pub(super) fn of(step: &Step, ask: &Ask<'_>, body: &[u8]) -> Answer {
        let cap = if step.ignore_max_tokens { u64::MAX } else { ask.max_tokens().unwrap_or(u64::MAX) };
        let (text, mut tokens, mut cut) = say(step, ask, body, cap);
        let mut tools = Vec::new();
        for call in &step.tool_calls {
            let left = cap - tokens;
            if left == 0 {
                cut = true;
                break;
            }
            let arguments = match &call.arguments {
                Value::String(raw) => raw.clone(),
                Value::Null => "{}".to_owned(),
                value => value.to_string(),
            };
            let whole = fragments(&arguments).count() as u64;
            let kept: String = fragments(&arguments).take(usize::try_from(left - 1).unwrap_or(usize::MAX)).collect();
            let used = whole.min(left - 1);
            cut |= used < whole;
            tokens += 1 + used;
            tools.push(Tool { id: call.id.clone(), name: call.name.clone(), arguments: kept });
        }
        let finish = match (&step.finish, cut) {
            (Some(finish), _) => finish.clone(),
            (None, true) => Finish::Length,
            (None, false) if tools.is_empty() => Finish::Stop,
            (None, false) => Finish::ToolCalls,
        };
        Answer { text, tools, tokens, finish }
    }

    pub(super) fn frames(&self, words_per_frame: usize) -> Vec<Frame<'_>> {
        let mut frames = Vec::new();
        let mut rest = self.text.as_str();
        while !rest.is_empty() {
            let (text, tokens) = prefix(rest, words_per_frame as u64);
            rest = rest.get(text.len()..).unwrap_or_default();
            frames.push(Frame { piece: Piece::Text(text), tokens });
        }
        for (index, tool) in self.tools.iter().enumerate() {
            frames.push(Frame { piece: Piece::ToolOpen { index, tool }, tokens: 1 });
            frames.extend(
                fragments(&tool.arguments)
                    .map(|fragment| Frame { piece: Piece::ToolArguments { index, fragment }, tokens: 1 }),
            );
        }
        frames
    }
}

/// The text within the cap, its tokens, and whether the cap cut it.
fn say(step: &Step, ask: &Ask<'_>, body: &[u8], cap: u64) -> (String, u64, bool) {
    let text: Cow<'_, str> = if step.echo {
        ask::last_user_text(body).unwrap_or_default().into()
    } else if let Some(text) = &step.text {
        text.as_str().into()
    } else if step.tool_calls.is_empty() {
        format!("Hello from the Headgate mock: {} is listening.", ask.model).into()
    } else {
        "".into()
    };
    let (text, tokens, cut) = match step.words {
        Some(words) => {
            let words = words.min(MOST_WORDS);
            (repeat(&text, words.min(cap)), words.min(cap), words > cap)
        }
        None => {
            let (kept, tokens) = prefix(&text, cap);
            (kept.to_owned(), tokens, kept.len() < text.len())
        }
    };
    match step.fault {
        Some(Fault::BadUtf8) => (format!("{BAD_BYTE}{text}"), tokens, cut),
        _ => (text, tokens, cut),
    }
}

fn repeat(text: &str, words: u64) -> String {
    let text = if text.trim().is_empty() { "word" } else { text };
    let words: Vec<&str> = text.split_whitespace().cycle().take(usize::try_from(words).unwrap_or(usize::MAX)).collect();
    words.join(" ")
}

/// The first `words` words with the space around them, and how many there were. White space after the last word of the
/// text belongs to that word, so that the pieces of a text add up to it.
fn prefix(text: &str, words: u64) -> (&str, u64) {
    let mut end = 0;
    let mut found = 0;
    while found < words {
        let rest = text.get(end..).unwrap_or_default();
        let Some(start) = rest.find(|c: char| !c.is_whitespace()) else { return (text, found) };
        let word = rest.get(start..).unwrap_or_default();
        end += start + word.find(char::is_whitespace).unwrap_or(word.len());
        found += 1;
    }
    let rest = text.get(end..).unwrap_or_default();
    if rest.trim().is_empty() { (text, found) } else { (text.get(..end).unwrap_or_default(), found) }
}

fn fragments(arguments: &str) -> impl Iterator<Item = &str> {
    let mut rest = arguments;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(FRAGMENT_CHARS).map_or(rest.len(), |(end, _)| end);
        let (fragment, after) = rest.split_at(end);
        rest = after;
        (!fragment.is_empty()).then_some(fragment)
    })
}

/// What the answer reports; the numbers are whatever the script wants them to be.
#[derive(Clone, Serialize)]
pub(super) struct Usage {
    pub(super) input: Value,
    pub(super) output: Value,
    pub(super) cache_read: Value,
    pub(super) cache_write: Value,
    pub(super) cache_write_1h: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) web_searches: Option<Value>,
}

impl Usage {
    /// None where the answer is to carry no usage at all.
    pub(super) fn of(report: &UsageReport, body: &[u8], input_tokens: u64, output_tokens: u64) -> Option<Usage> {
        let fixed = match report {
            UsageReport::Missing => return None,
            UsageReport::Honest => FixedUsage::default(),
            UsageReport::Asked => asked(body).unwrap_or_default(),
            UsageReport::Fixed(fixed) => fixed.clone(),
        };
        let or = |value: &Option<Value>, honest: u64| value.clone().unwrap_or(honest.into());
        Some(Usage {
            input: or(&fixed.input, input_tokens),
            output: or(&fixed.output, output_tokens),
            cache_read: or(&fixed.cache_read, 0),
            cache_write: or(&fixed.cache_write, 0),
            cache_write_1h: or(&fixed.cache_write_1h, 0),
            web_searches: fixed.web_searches.clone(),
        })
    }
}

fn asked(body: &[u8]) -> Option<FixedUsage> {
    let text = ask::last_user_text(body)?;
    let (_, usage) = text.rsplit_once("usage=")?;
    serde_json::from_str(usage).ok()
}

/// A provider's own statement is its bill, unless it is absurd.
pub(super) fn believable(reported: &Value) -> Option<u64> {
    reported.as_u64().filter(|tokens| (1..=BELIEVABLE_TOKENS).contains(tokens))
}
