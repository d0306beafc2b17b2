//! What Anthropic can't take back: it refuses a whole call for one such block. Some reasoning is signed by nobody (our own
//! translated answers carry an empty signature) and is cut out before anybody reads the call; some is signed by another
//! provider and is cut out only where the call goes to one of this format. So are the sources of a text that no search of
//! Anthropic's found.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::Object;
use crate::domain::json::{self, Edit, Field};

/// How an empty text is written as a field's value; whoever writes it in a third way keeps it and the provider's refusal.
const EMPTY_SIGNATURE: &[&str] = &[r#""signature":"""#, r#""signature": """#];
const EMPTY_INDEX: &[&str] = &[r#""encrypted_index":"""#, r#""encrypted_index": """#];

/// How what is cut out is named to the client.
const THINKING: &str = "messages.thinking";
const CITATIONS: &str = "messages.citations";

/// A body without what can't be taken back; everything else keeps its bytes.
pub(super) struct Cut {
    pub(super) body: Bytes,
    pub(super) dropped: Vec<String>,
}

/// What becomes of a block.
enum Fate {
    Stays,
    Goes(&'static str),
    Becomes(String, &'static str),
}

/// Cuts out reasoning that nobody signed; none when there is none.
pub(super) fn cut_unsigned(body: &Bytes, fields: &[Field<'_>]) -> Option<Cut> {
    let messages = fields.iter().find(|field| field.name == "messages")?;
    if !EMPTY_SIGNATURE.iter().any(|hint| messages.value.contains(hint)) {
        return None;
    }
    cut(body, messages, |block| match signature(block) {
        Some(signature) if signature.is_empty() => Fate::Goes(THINKING),
        _ => Fate::Stays,
    })
}

/// Cuts out what other providers' answers brought into the history; none when there is none.
pub(super) fn cut_foreign(body: &Bytes) -> Option<Cut> {
    let text = std::str::from_utf8(body).ok()?;
    // Nearly all calls are not looked into.
    let has_signature = text.contains(r#""signature""#);
    if !has_signature && !EMPTY_INDEX.iter().any(|hint| text.contains(hint)) {
        return None;
    }
    let fields = json::fields(body).ok()?;
    let messages = fields.iter().find(|field| field.name == "messages")?;
    cut(body, messages, |block| match signature(block) {
        // The provider's kind and a colon stand before it; Anthropic's own are base64, which has no colon.
        Some(signature) if signature.contains(':') => Fate::Goes(THINKING),
        Some(_) => Fate::Stays,
        None => without_sources(block).map_or(Fate::Stays, |rest| Fate::Becomes(rest, CITATIONS)),
    })
}

fn cut(body: &Bytes, messages: &Field<'_>, judge: fn(&str) -> Fate) -> Option<Cut> {
    let list: Vec<&RawValue> = serde_json::from_str(messages.value).ok()?;
    let mut dropped = Vec::new();
    // A message that said nothing else goes as a whole.
    let kept: Vec<Cow<'_, str>> =
        list.iter().filter_map(|message| left_of(message.get(), judge, &mut dropped)).collect();
    let edit = Edit::Replace { span: messages.span.clone(), value: format!("[{}]", kept.join(",")).into() };
    let any = !dropped.is_empty() && !kept.is_empty();
    any.then(|| Cut { body: json::splice(body, &[edit]), dropped })
}

/// What is left of a message, if anything is.
fn left_of<'a>(message: &'a str, judge: fn(&str) -> Fate, dropped: &mut Vec<String>) -> Option<Cow<'a, str>> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let whole = Some(Cow::Borrowed(message));
    let Ok(Message { content }) = serde_json::from_str(message) else { return whole };
    let content = content.get();
    let Ok(blocks) = serde_json::from_str::<Vec<&RawValue>>(content) else { return whole };
    let mut changed = false;
    let mut tell = |name: &str| {
        changed = true;
        if !dropped.iter().any(|known| known == name) {
            dropped.push(name.to_owned());
        }
    };
    let mut kept: Vec<Cow<'_, str>> = Vec::with_capacity(blocks.len());
    for block in &blocks {
        match judge(block.get()) {
            Fate::Stays => kept.push(block.get().into()),
            Fate::Goes(name) => tell(name),
            Fate::Becomes(rest, name) => {
                tell(name);
                kept.push(rest.into());
            }
        }
    }
    if !changed {
        return whole;
    }
    let start = content.as_ptr() as usize - message.as_ptr() as usize;
    let (head, tail) = (&message[..start], &message[start + content.len()..]);
    (!kept.is_empty()).then(|| format!("{head}[{}]{tail}", kept.join(",")).into())
}

/// Of a block of reasoning.
fn signature(block: &str) -> Option<Cow<'_, str>> {
    let mut block = Object::read(block).ok()?;
    let is_thinking = block.text("type").is_ok_and(|kind| kind == "thinking");
    block.take("signature").ok().flatten().filter(|_| is_thinking)
}

/// A text block without its sources, where one of them has no index: our own translated answers write it so.
fn without_sources(block: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Source<'a> {
        #[serde(borrow)]
        encrypted_index: Option<Cow<'a, str>>,
    }
    if !EMPTY_INDEX.iter().any(|hint| block.contains(hint)) {
        return None;
    }
    let bytes = Bytes::copy_from_slice(block.as_bytes());
    let fields = json::fields(&bytes).ok()?;
    let sources = fields.iter().find(|field| field.name == "citations")?;
    let list: Vec<Source<'_>> = serde_json::from_str(sources.value).ok()?;
    let is_ours = list.iter().any(|source| source.encrypted_index.as_deref() == Some(""));
    let edit = Edit::Replace { span: sources.span.clone(), value: "null".into() };
    is_ours.then(|| String::from_utf8_lossy(&json::splice(&bytes, &[edit])).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_text(foreign: bool, body: &str) -> Option<String> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let fields = json::fields(&body).expect("JSON");
        let cut = if foreign { cut_foreign(&body) } else { cut_unsigned(&body, &fields) };
        cut.map(|cut| String::from_utf8(cut.body.to_vec()).expect("UTF-8"))
    }

    #[test]
    fn reasoning_of_others_is_cut_out_and_everything_else_keeps_its_bytes() {
        for (foreign, signature) in [(false, ""), (true, "gemini:0:c2ln")] {
            let body = r#"{"a":1.50,"messages":[ {"role":"user","content":"\u00e9"},{"role":"assistant","content":[
                {"type":"thinking","thinking":"x","signature":"SIGNED"}, {"type":"text","text":"b"}],"z":1e2},{"role":"assistant","content":
                [{"type":"thinking","thinking":"y","signature": "SIGNED"}]} ],"b":2}"#;
            let expected = r#"{"a":1.50,"messages":[{"role":"user","content":"\u00e9"},{"role":"assistant","content":[{"type":"text","text":"b"}],"z":1e2}],"b":2}"#;
            let rest = cut_text(foreign, &body.replace("SIGNED", signature));
            assert_eq!(rest.as_deref(), Some(expected), "{signature}");
        }
    }

    #[test]
    fn sources_that_no_search_of_anthropics_found_do_not_go_back() {
        let body = |index: &str, citations: &str| {
            format!(
                r#"{{"messages":[{{"role":"assistant","content":[{{"type":"text","citations":{citations},"text":"{index}"}}]}}]}}"#
            )
        };
        let found = |index: &str| format!(r#"[{{"url":"u","encrypted_index":"{index}"}}]"#);
        assert_eq!(cut_text(true, &body("", &found(""))), Some(body("", "null")));
        assert_eq!(cut_text(true, &body("", &found("Ab="))), None);
        let cut = cut_foreign(&Bytes::from(body("", &found("")))).expect("something is cut");
        assert_eq!(cut.dropped, ["messages.citations"]);
    }

    #[test]
    fn signed_reasoning_and_texts_about_it_are_left_alone() {
        for content in [
            r#"[{"type":"thinking","thinking":"x","signature":"s+/="}]"#,
            r#"[{"type":"tool_use","id":"t","name":"f","input":{"type":"thinking","signature":""}}]"#,
            r#"[{"type":"tool_use","id":"t","name":"f","input":{"type":"thinking","signature":"gemini:0:s"}}]"#,
            r#""\"signature\":\"\"""#,
        ] {
            for foreign in [false, true] {
                let body = format!(r#"{{"messages":[{{"role":"assistant","content":{content}}}]}}"#);
                assert_eq!(cut_text(foreign, &body), None);
            }
        }
    }
}
