//! Reasoning of other providers in a dialogue that is passed on. Its signature came from this gateway, and OpenAI refuses
//! the whole call for encrypted content that it can't read; so the item is cut out.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::compact;
use crate::domain::json::{self, Edit};
use crate::domain::signatures;

/// The body without those items; none when it has none. What stays keeps its bytes.
pub(super) fn cut(body: &Bytes) -> Option<Bytes> {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow)]
        encrypted_content: Option<Cow<'a, str>>,
    }
    // Few dialogues hold any: the rest is not read again for it.
    if !body.windows(KEY.len()).any(|window| window == KEY) {
        return None;
    }
    let fields = json::fields(body).ok()?;
    let input = fields.iter().find(|field| field.name == "input")?;
    let items: Vec<&RawValue> = serde_json::from_str(input.value).ok()?;
    let (mut kept, mut changed) = (Vec::with_capacity(items.len()), false);
    for item in &items {
        let read: Option<Item<'_>> = serde_json::from_str(item.get()).ok();
        let content = read.as_ref().and_then(|item| item.encrypted_content.as_deref()).unwrap_or_default();
        let is_compaction = read.as_ref().is_some_and(|item| item.kind.as_deref() == Some("compaction"));
        if let Some(message) = compact::as_message(content).filter(|_| is_compaction) {
            kept.push(Cow::Owned(message.to_string()));
            changed = true;
        } else if signatures::is_marked(content) {
            changed = true;
        } else {
            kept.push(Cow::Borrowed(item.get()));
        }
    }
    if !changed {
        return None;
    }
    let edit = Edit::Replace { span: input.span.clone(), value: format!("[{}]", kept.join(",")).into() };
    Some(json::splice(body, &[edit]))
}

const KEY: &[u8] = b"\"encrypted_content\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_items_that_carry_our_mark_are_cut_out() {
        let own = r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA="}"#;
        let foreign = r#"{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"signed::Eqo="}"#;
        let user = r#"{"role":"user","content":"\"encrypted_content\": \u00e9"}"#;
        let body = |items: &str| Bytes::from(format!(r#"{{"model":"m","input":[{items}],"store":false}}"#));
        assert_eq!(cut(&body(&format!("{user}, {own}"))), None);
        assert_eq!(cut(&body(&format!("{user}, {foreign}, {own}"))), Some(body(&format!("{user},{own}"))));
        assert_eq!(cut(&Bytes::from_static(br#"{"input":"\"encrypted_content\""}"#)), None);
    }
}
