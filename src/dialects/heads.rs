//! The heads of messages: who speaks, and whether anything but text is said. Contents stay bytes.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::error::GatewayError;

/// What the heads of all messages say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heads {
    pub(super) count: u32,
    pub(super) has_images: bool,
    pub(super) media_count: u32,
}

/// Reads the heads of `messages`, which may be spoken by `roles`. `media` adds what a part is to the sum, unless it is
/// text.
pub(super) fn read(
    messages: &str,
    roles: &[&str],
    media: impl Fn(&PartHead<'_>, &mut Heads) -> Result<(), serde_json::Error>,
) -> Result<Heads, GatewayError> {
    let refuse = |text: &str| Err(GatewayError::invalid(text, Some("messages")));
    if !messages.starts_with('[') {
        return refuse("`messages` must be a list of messages.");
    }
    let Ok(list) = serde_json::from_str::<Vec<Head<'_>>>(messages) else {
        return refuse("Each of `messages` must be an object with a role.");
    };
    if list.is_empty() {
        return refuse("`messages` must hold at least one message.");
    }
    let mut heads = Heads { count: u32::try_from(list.len()).unwrap_or(u32::MAX), ..Heads::default() };
    for (at, head) in list.iter().enumerate() {
        if !head.has_one_of(roles) {
            return Err(GatewayError::invalid(
                format!("messages[{at}].role must be one of {}.", roles.join(", ")),
                Some(&format!("messages[{at}].role")),
            ));
        }
        let counted = parts(head.content).and_then(|parts| parts.iter().try_for_each(|part| media(part, &mut heads)));
        counted.map_err(|_| {
            let message = format!("The parts of messages[{at}].content must be objects with one `type` each.");
            GatewayError::invalid(message, Some(&format!("messages[{at}].content")))
        })?;
    }
    Ok(heads)
}

/// The heads of a content's parts; none where it is one text.
pub(super) fn parts(content: Option<&RawValue>) -> Result<Vec<PartHead<'_>>, serde_json::Error> {
    match content.filter(|content| content.get().starts_with('[')) {
        Some(list) => serde_json::from_str(list.get()),
        None => Ok(Vec::new()),
    }
}

#[derive(Default)]
struct Head<'a> {
    role: Option<&'a RawValue>,
    content: Option<&'a RawValue>,
}

impl Head<'_> {
    fn has_one_of(&self, roles: &[&str]) -> bool {
        let Some(role) = self.role else { return false };
        let plain = role.get().strip_prefix('"').and_then(|r| r.strip_suffix('"')).is_some_and(|r| roles.contains(&r));
        // Only a role with escapes in it has to be decoded.
        plain || serde_json::from_str::<Cow<'_, str>>(role.get()).is_ok_and(|role| roles.contains(&role.as_ref()))
    }
}

#[derive(Deserialize)]
pub(super) struct PartHead<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    /// Of parts that hold parts.
    #[serde(default)]
    pub(super) content: Option<&'a RawValue>,
}

/// By hand: a derived one would also take an array for an object.
impl<'de: 'a, 'a> Deserialize<'de> for Head<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeadVisitor;
        impl<'de> Visitor<'de> for HeadVisitor {
            type Value = Head<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
                let mut head = Head::default();
                while let Some(key) = map.next_key::<Key>()? {
                    match key {
                        Key::Role => head.role = Some(map.next_value()?),
                        Key::Content => head.content = Some(map.next_value()?),
                        Key::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(head)
            }
        }
        deserializer.deserialize_map(HeadVisitor)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Role,
    Content,
    #[serde(other)]
    Other,
}
