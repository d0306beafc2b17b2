//! Source text to bytecode, and where in the source an error happened.

use std::fmt;

use mlua::chunk::Compiler;

/// Longest source accepted, in bytes. Straight-line code has no interrupt points, so its length bounds how long a script can
/// run between two of them.
const MAX_SOURCE_BYTES: usize = 256 * 1024;
/// Longest error text passed on; a script can raise an error of megabytes.
const MAX_MESSAGE_BYTES: usize = 512;

/// One script, compiled once; every VM that runs it loads the bytecode.
#[derive(Clone)]
pub struct Script {
    file: String,
    bytecode: Vec<u8>,
}

impl Script {
    /// Compiles `text`. `file` is the name that messages show.
    pub fn compile(file: &str, text: &str) -> Result<Script, ScriptError> {
        if text.len() > MAX_SOURCE_BYTES {
            let message = format!("the script has {} bytes; at most {MAX_SOURCE_BYTES} are accepted", text.len());
            return Err(ScriptError { file: file.to_owned(), line: None, message });
        }
        // Level 1 keeps line numbers exact; level 2 inlines, and a wrong line costs more than the nanoseconds it saves.
        match Compiler::new().set_optimization_level(1).set_debug_level(1).compile(text) {
            Ok(bytecode) => Ok(Script { file: file.to_owned(), bytecode }),
            Err(mlua::Error::SyntaxError { message, .. }) => {
                // Luau writes `12: Expected …`; the file is ours to add.
                let (line, message) = split_line(message.trim_start_matches(':')).unwrap_or((None, &message));
                Err(ScriptError { file: file.to_owned(), line, message: shortened(message) })
            }
            Err(error) => {
                Err(ScriptError { file: file.to_owned(), line: None, message: shortened(&error.to_string()) })
            }
        }
    }

    pub fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn bytecode(&self) -> &[u8] {
        &self.bytecode
    }
}

/// What is wrong with a script, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    pub file: String,
    pub line: Option<u32>,
    pub message: String,
}

impl ScriptError {
    /// Reads message and line out of an error that a running script raised. The message of a script's own error starts with
    /// `file:line:`; an error of a host function does not, but its traceback names the line that called it.
    pub(super) fn from_lua(file: &str, error: &mlua::Error) -> ScriptError {
        let (text, traceback) = text_and_traceback(error);
        let prefix = format!("{file}:");
        let mut line = None;
        let mut message = text.as_str();
        if let Some(rest) = text.strip_prefix(&prefix)
            && let Some((found, rest)) = split_line(rest)
        {
            (line, message) = (found, rest);
        } else if let Some(at) = traceback.find(&prefix)
            && let Some((found, _)) = split_line(&traceback[at + prefix.len()..])
        {
            line = found;
        }
        ScriptError { file: file.to_owned(), line, message: shortened(message) }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for ScriptError {}

fn text_and_traceback(error: &mlua::Error) -> (String, String) {
    const MARK: &str = "\nstack traceback:";
    match error {
        mlua::Error::CallbackError { traceback, cause } => {
            let (text, _) = text_and_traceback(cause);
            (text, traceback.clone())
        }
        mlua::Error::RuntimeError(text) => match text.split_once(MARK) {
            Some((text, traceback)) => (text.to_owned(), traceback.to_owned()),
            None => (text.clone(), String::new()),
        },
        other => (other.to_string(), String::new()),
    }
}

/// `12: text` -> (12, text).
fn split_line(text: &str) -> Option<(Option<u32>, &str)> {
    let (line, rest) = text.split_once(':')?;
    Some((Some(line.trim().parse().ok()?), rest.trim_start()))
}

fn shortened(message: &str) -> String {
    match message.char_indices().take_while(|(at, _)| *at <= MAX_MESSAGE_BYTES).last() {
        Some((at, _)) if message.len() > MAX_MESSAGE_BYTES => format!("{}…", &message[..at]),
        _ => message.to_owned(),
    }
}
