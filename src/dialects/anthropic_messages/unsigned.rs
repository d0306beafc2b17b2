//! Reasoning that nobody signed. Our own translated answers carry it with an empty signature, and a client sends it back
//! with its history. Anthropic refuses a whole call for one such block, so it is cut out before anybody reads the call.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::Object;
use crate::domain::json::{self, Edit, Field};

/// How an empty signature is written; whoever writes it in a third way keeps the block and the provider's refusal.
const EMPTY: &[&str] = &[r#""signature":"""#, r#""signature": """#];

/// The body without such blocks; none when it has none. Everything else keeps its bytes.
pub(super) fn cut(body: &Bytes, fields: &[Field<'_>]) -> Option<Bytes> {
    let messages = fields.iter().find(|field| field.name == "messages")?;
    if !EMPTY.iter().any(|empty| messages.value.contains(empty)) {
        return None;
    }
    let list: Vec<&RawValue> = serde_json::from_str(messages.value).ok()?;
    let mut any = false;
    // A message that said nothing else goes as a whole.
    let kept: Vec<Cow<'_, str>> = list
        .iter()
        .filter_map(|message| match without(message.get()) {
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
fn without(message: &str) -> Option<Option<String>> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let content = serde_json::from_str::<Message<'_>>(message).ok()?.content.get();
    let blocks: Vec<&RawValue> = serde_json::from_str(content).ok()?;
    let kept: Vec<&str> = blocks.iter().map(|block| block.get()).filter(|block| !is_unsigned(block)).collect();
    if kept.len() == blocks.len() {
        return None;
    }
    let start = content.as_ptr() as usize - message.as_ptr() as usize;
    let (head, tail) = (&message[..start], &message[start + content.len()..]);
    Some((!kept.is_empty()).then(|| format!("{head}[{}]{tail}", kept.join(","))))
}

fn is_unsigned(block: &str) -> bool {
    let Ok(mut block) = Object::read(block) else { return false };
    let is_thinking = block.text("type").is_ok_and(|kind| kind == "thinking");
    is_thinking && matches!(block.take::<Cow<'_, str>>("signature"), Ok(Some(signature)) if signature.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_text(body: &str) -> Option<String> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let fields = json::fields(&body).expect("JSON");
        cut(&body, &fields).map(|bytes| String::from_utf8(bytes.to_vec()).expect("UTF-8"))
    }

    #[test]
    fn unsigned_reasoning_is_cut_out_and_everything_else_keeps_its_bytes() {
        let body = r#"{"a":1.50,"messages":[ {"role":"user","content":"\u00e9"},{"role":"assistant","content":[
            {"type":"thinking","thinking":"x","signature":""}, {"type":"text","text":"b"}],"z":1e2},{"role":"assistant","content":
            [{"type":"thinking","thinking":"y","signature": ""}]} ],"b":2}"#;
        let expected = r#"{"a":1.50,"messages":[{"role":"user","content":"\u00e9"},{"role":"assistant","content":[{"type":"text","text":"b"}],"z":1e2}],"b":2}"#;
        assert_eq!(cut_text(body).as_deref(), Some(expected));
    }

    #[test]
    fn signed_reasoning_and_texts_about_it_are_left_alone() {
        for content in [
            r#"[{"type":"thinking","thinking":"x","signature":"s"}]"#,
            r#"[{"type":"tool_use","id":"t","name":"f","input":{"type":"thinking","signature":""}}]"#,
            r#""\"signature\":\"\"""#,
        ] {
            assert_eq!(cut_text(&format!(r#"{{"messages":[{{"role":"assistant","content":{content}}}]}}"#)), None);
        }
    }
}
