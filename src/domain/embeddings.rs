//! What an embeddings call asks to be turned into vectors.

use serde::Deserialize;

/// `input` in its four shapes. Numbers are tokens of the model's own vocabulary.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

impl Input {
    /// Reads the JSON of the field. None when it has another shape, or when there is nothing in it to embed.
    pub fn parse(json: &str) -> Option<Input> {
        let input: Input = serde_json::from_str(json).ok()?;
        let empty = match &input {
            Input::Text(text) => text.is_empty(),
            Input::Texts(texts) => texts.is_empty() || texts.iter().any(String::is_empty),
            Input::Tokens(tokens) => tokens.is_empty(),
            Input::TokenLists(lists) => lists.is_empty() || lists.iter().any(Vec::is_empty),
        };
        (!empty).then_some(input)
    }

    /// Vectors that the answer has to hold.
    pub fn count(&self) -> usize {
        match self {
            Input::Text(_) | Input::Tokens(_) => 1,
            Input::Texts(texts) => texts.len(),
            Input::TokenLists(lists) => lists.len(),
        }
    }

    /// The texts, in order; none where the input is tokens.
    pub fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Input::Text(text) => Some(vec![text]),
            Input::Texts(texts) => Some(texts.iter().map(String::as_str).collect()),
            Input::Tokens(_) | Input::TokenLists(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_texts_or_tokens_and_never_nothing() {
        let counted = |json| Input::parse(json).map(|input| (input.count(), input.texts().is_some()));
        assert_eq!(counted(r#""a""#), Some((1, true)));
        assert_eq!(counted(r#"["a","b"]"#), Some((2, true)));
        assert_eq!(counted("[1,2,3]"), Some((1, false)));
        assert_eq!(counted("[[1,2],[3]]"), Some((2, false)));
        for wrong in [r#""""#, "[]", "[[]]", r#"["a",""]"#, r#"["a",1]"#, "[-1]", "[1.5]", "{}", "7", "[null]"] {
            assert_eq!(counted(wrong), None, "{wrong}");
        }
    }
}
