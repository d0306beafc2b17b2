//! Reasoning that Anthropic can't take back: it refuses a whole call for one such block. Some of it is signed by nobody
//! (our own translated answers carry an empty signature) and is cut out before anybody reads the call; some of it is
//! signed by another provider and is cut out only where the call goes to one of this format.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::Object;
use crate::domain::json::{self, Edit, Field};

/// How an empty signature is written; whoever writes it in a third way keeps the block and the provider's refusal.
const EMPTY: &[&str] = &[r#""signature":"""#, r#""signature": """#];

/// The body without reasoning that nobody signed; none when it has none. Everything else keeps its bytes.
pub(super) fn cut_unsigned(body: &Bytes, fields: &[Field<'_>]) -> Option<Bytes> {
    cut(body, fields, EMPTY, str::is_empty)
}

/// The body without reasoning that another provider signed, as above. Such signatures begin with the provider's kind
/// and a colon; Anthropic's own are base64, which has none.
pub(super) fn cut_foreign(body: &Bytes, fields: &[Field<'_>]) -> Option<Bytes> {
    cut(body, fields, &[r#""signature""#], |signature| signature.contains(':'))
}

/// `hints` are texts of which a body with such blocks holds one: nearly all calls are not looked into.
fn cut(body: &Bytes, fields: &[Field<'_>], hints: &[&str], is_unwanted: fn(&str) -> bool) -> Option<Bytes> {
    let messages = fields.iter().find(|field| field.name == "messages")?;
    if !hints.iter().any(|hint| messages.value.contains(hint)) {
        return None;
    }
    let list: Vec<&RawValue> = serde_json::from_str(messages.value).ok()?;
    let mut any = false;
    // A message that said nothing else goes as a whole.
    let kept: Vec<Cow<'_, str>> = list
        .iter()
        .filter_map(|message| match without(message.get(), is_unwanted) {
            None => Some(message.get().into()),
            Some(rest) => {
                any = true;
                rest.map(Cow::Owned)
            }
        })
        .collect();
    let edit = Edit::Replace { span: messages.span.clone(), value: format!("[{}]", kept.join(",")).into() };
    (any && !kept.is_empty()).then(|| json::splice(body, &[edit]))
}

/// None when the message has no such block; otherwise what is left of it, if anything is.
fn without(message: &str, is_unwanted: fn(&str) -> bool) -> Option<Option<String>> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let content = serde_json::from_str::<Message<'_>>(message).ok()?.content.get();
    let blocks: Vec<&RawValue> = serde_json::from_str(content).ok()?;
    let is_kept = |block: &&str| !signature(block).is_some_and(|signature| is_unwanted(&signature));
    let kept: Vec<&str> = blocks.iter().map(|block| block.get()).filter(is_kept).collect();
    if kept.len() == blocks.len() {
        return None;
    }
    let start = content.as_ptr() as usize - message.as_ptr() as usize;
    let (head, tail) = (&message[..start], &message[start + content.len()..]);
    Some((!kept.is_empty()).then(|| format!("{head}[{}]{tail}", kept.join(","))))
}

/// Of a block of reasoning.
fn signature(block: &str) -> Option<Cow<'_, str>> {
    let mut block = Object::read(block).ok()?;
    let is_thinking = block.text("type").is_ok_and(|kind| kind == "thinking");
    block.take("signature").ok().flatten().filter(|_| is_thinking)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Cut = fn(&Bytes, &[Field<'_>]) -> Option<Bytes>;

    fn cut_text(cut: Cut, body: &str) -> Option<String> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let fields = json::fields(&body).expect("JSON");
        cut(&body, &fields).map(|bytes| String::from_utf8(bytes.to_vec()).expect("UTF-8"))
    }

    #[test]
    fn reasoning_of_others_is_cut_out_and_everything_else_keeps_its_bytes() {
        for (cut, signature) in [(cut_unsigned as Cut, ""), (cut_foreign, "gemini:0:c2ln")] {
            let body = r#"{"a":1.50,"messages":[ {"role":"user","content":"\u00e9"},{"role":"assistant","content":[
                {"type":"thinking","thinking":"x","signature":"SIGNED"}, {"type":"text","text":"b"}],"z":1e2},{"role":"assistant","content":
                [{"type":"thinking","thinking":"y","signature": "SIGNED"}]} ],"b":2}"#;
            let expected = r#"{"a":1.50,"messages":[{"role":"user","content":"\u00e9"},{"role":"assistant","content":[{"type":"text","text":"b"}],"z":1e2}],"b":2}"#;
            assert_eq!(cut_text(cut, &body.replace("SIGNED", signature)).as_deref(), Some(expected), "{signature}");
        }
    }

    #[test]
    fn signed_reasoning_and_texts_about_it_are_left_alone() {
        for content in [
            r#"[{"type":"thinking","thinking":"x","signature":"s+/="}]"#,
            r#"[{"type":"tool_use","id":"t","name":"f","input":{"type":"thinking","signature":""}}]"#,
            r#"[{"type":"tool_use","id":"t","name":"f","input":{"type":"thinking","signature":"gemini:0:s"}}]"#,
            r#""\"signature\":\"\"""#,
        ] {
            for cut in [cut_unsigned as Cut, cut_foreign] {
                let body = format!(r#"{{"messages":[{{"role":"assistant","content":{content}}}]}}"#);
                assert_eq!(cut_text(cut, &body), None);
            }
        }
    }
}
