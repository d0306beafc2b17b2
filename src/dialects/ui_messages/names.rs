//! Fields of a chat page's request: the SDK's own, and those that an app adds to its `body`. Apps write them as the SDK
//! spells its settings or as other APIs do; both are taken, but one thing may be said once.

use crate::dialects::fields;
use crate::domain::error::GatewayError;
use crate::domain::json::Field;

/// What a field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Conversation,
    Messages,
    Model,
    System,
    Tools,
    ToolChoice,
    Cap,
    Temperature,
    TopP,
    Stop,
    Metadata,
}

const SPELLINGS: &[(&str, Meaning)] = &[
    ("id", Meaning::Conversation),
    ("messages", Meaning::Messages),
    ("model", Meaning::Model),
    ("tier", Meaning::Model),
    ("system", Meaning::System),
    ("tools", Meaning::Tools),
    ("toolChoice", Meaning::ToolChoice),
    ("tool_choice", Meaning::ToolChoice),
    ("maxOutputTokens", Meaning::Cap),
    ("maxTokens", Meaning::Cap),
    ("max_tokens", Meaning::Cap),
    ("temperature", Meaning::Temperature),
    ("topP", Meaning::TopP),
    ("top_p", Meaning::TopP),
    ("stopSequences", Meaning::Stop),
    ("stop", Meaning::Stop),
    ("metadata", Meaning::Metadata),
];

/// None for an app's own fields, which are not for a model.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    SPELLINGS.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning)
}

/// The fields that say something. Errors: the same thing is said twice.
pub(super) fn meant<'f, 'a>(fields: &'f [Field<'a>]) -> Result<Vec<(Meaning, &'f Field<'a>)>, GatewayError> {
    let names: Vec<&str> = SPELLINGS.iter().map(|(name, _)| *name).collect();
    fields::refuse_ambiguous(fields, &names)?;
    let mut meant: Vec<(Meaning, &Field<'_>)> = Vec::with_capacity(fields.len());
    for field in fields.iter().filter(|field| field.value != "null") {
        let Some(meaning) = meaning(&field.name) else { continue };
        if let Some((_, other)) = meant.iter().find(|(known, _)| *known == meaning) {
            let message = format!("`{}` and `{}` say the same thing; send one of them.", other.name, field.name);
            return Err(GatewayError::invalid(message, Some(&field.name)));
        }
        meant.push((meaning, field));
    }
    Ok(meant)
}
