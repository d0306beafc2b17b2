//! Tool calls of one answer while their arguments arrive. A page runs its tool as soon as it has the arguments, so they
//! are told when the answer is whole.

use serde_json::{Map, Value};

use crate::domain::chat::Finish;

#[derive(Default)]
pub(super) struct Calls {
    open: Vec<Call>,
    any: bool,
}

pub(super) struct Call {
    index: u32,
    pub(super) id: String,
    pub(super) name: String,
    /// As the model wrote them, so far.
    text: String,
    pub(super) signature: Option<String>,
}

pub(super) enum Arguments<'a> {
    Read(Value),
    Unreadable(&'a str),
}

impl Calls {
    pub(super) fn begin(&mut self, index: u32, id: &str, name: &str, signature: Option<String>) {
        self.any = true;
        self.open.push(Call { index, id: id.to_owned(), name: name.to_owned(), text: String::new(), signature });
    }

    /// The id of the call that goes on; none for a fragment that belongs to none.
    pub(super) fn add(&mut self, index: u32, fragment: &str) -> Option<&str> {
        let call = self.open.iter_mut().find(|call| call.index == index)?;
        call.text.push_str(fragment);
        Some(&call.id)
    }

    pub(super) fn drain(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.open)
    }

    /// OpenAI says `stop` where the client named the tool itself.
    pub(super) fn finish(&self, finish: Finish) -> Finish {
        if self.any && finish == Finish::Stop { Finish::ToolCalls } else { finish }
    }
}

impl Call {
    pub(super) fn arguments(&self) -> Arguments<'_> {
        if self.text.trim().is_empty() {
            return Arguments::Read(Value::Object(Map::new()));
        }
        match serde_json::from_str::<Value>(&self.text) {
            Ok(object @ Value::Object(_)) => Arguments::Read(object),
            Ok(_) | Err(_) => Arguments::Unreadable(&self.text),
        }
    }

    /// What is wrong with arguments that can't be read.
    pub(super) fn unreadable(&self, finish: Finish) -> String {
        let name = &self.name;
        match finish {
            Finish::Length => format!("The answer reached its length before the call of `{name}` was whole."),
            Finish::Stop | Finish::ToolCalls | Finish::ContentFilter => {
                format!("The model's arguments for `{name}` are not a JSON object.")
            }
        }
    }
}
