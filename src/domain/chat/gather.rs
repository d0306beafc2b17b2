//! A streamed answer put back together.

use super::{ChatEvent, ChatReply, InBandError, Part};

/// What the events so far amount to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    /// Whole once its `finish` is known.
    pub reply: ChatReply,
    /// The first error event; what was said before it is in `reply`.
    pub error: Option<InBandError>,
    /// Where the calls stand among the reply's parts, by their index.
    calls: Vec<usize>,
}

impl Gathered {
    pub fn push(&mut self, event: ChatEvent) {
        let reply = &mut self.reply;
        match event {
            ChatEvent::Start { id, model } => (reply.id, reply.model) = (id, model),
            ChatEvent::Text(more) => match reply.parts.last_mut() {
                Some(Part::Text(text)) => text.push_str(&more),
                _ => reply.parts.push(Part::Text(more)),
            },
            ChatEvent::Reasoning { text: more } => match reply.parts.last_mut() {
                Some(Part::Reasoning { text, signature: None }) => text.push_str(&more),
                _ => reply.parts.push(Part::Reasoning { text: more, signature: None }),
            },
            ChatEvent::ReasoningSignature(given) => match reply.parts.last_mut() {
                Some(Part::Reasoning { signature: signature @ None, .. }) => *signature = Some(given),
                _ => reply.parts.push(Part::Reasoning { text: String::new(), signature: Some(given) }),
            },
            ChatEvent::Refusal(more) => reply.refusal.get_or_insert_default().push_str(&more),
            ChatEvent::ToolStart { id, name, .. } => {
                self.calls.push(reply.parts.len());
                reply.parts.push(Part::ToolCall { id, name, arguments: String::new() });
            }
            ChatEvent::ToolArguments { index, fragment } => {
                let at = usize::try_from(index).ok().and_then(|index| self.calls.get(index));
                if let Some(Part::ToolCall { arguments, .. }) = at.and_then(|at| reply.parts.get_mut(*at)) {
                    arguments.push_str(&fragment);
                }
            }
            ChatEvent::Detail(detail) => reply.details.push(detail),
            ChatEvent::Usage(usage) => reply.usage = Some(usage),
            ChatEvent::Finish(finish) => reply.finish = Some(finish),
            ChatEvent::Error(error) => self.error = self.error.take().or(Some(error)),
            ChatEvent::End => {}
        }
    }
}

impl FromIterator<ChatEvent> for Gathered {
    fn from_iter<I: IntoIterator<Item = ChatEvent>>(events: I) -> Self {
        let mut gathered = Gathered::default();
        events.into_iter().for_each(|event| gathered.push(event));
        gathered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::Finish;

    #[test]
    fn fragments_of_one_kind_are_one_part_and_calls_get_their_own_arguments() {
        let start = |index, id: &str| ChatEvent::ToolStart { index, id: id.into(), name: "f".into() };
        let more = |index, fragment: &str| ChatEvent::ToolArguments { index, fragment: fragment.into() };
        let thought = |text: &str| ChatEvent::Reasoning { text: text.into() };
        let events = [
            thought("a"),
            thought("b"),
            ChatEvent::ReasoningSignature("s".into()),
            thought("c"),
            ChatEvent::Text("d".into()),
            ChatEvent::Text("e".into()),
            start(0, "x"),
            start(1, "y"),
            more(0, "{"),
            more(1, "{}"),
            more(0, "}"),
            more(7, "lost"),
            ChatEvent::Finish(Finish::ToolCalls),
        ];
        let gathered: Gathered = events.into_iter().collect();
        let call = |id: &str| Part::ToolCall { id: id.into(), name: "f".into(), arguments: "{}".into() };
        let reasoning = |text: &str, signature: Option<&str>| Part::Reasoning {
            text: text.into(),
            signature: signature.map(str::to_owned),
        };
        let parts = [reasoning("ab", Some("s")), reasoning("c", None), Part::Text("de".into()), call("x"), call("y")];
        assert_eq!(gathered.reply.parts, parts);
        assert_eq!(gathered.reply.finish, Some(Finish::ToolCalls));
    }
}
