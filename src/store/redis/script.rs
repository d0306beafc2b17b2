//! A Lua script and its digest.

use redis::Cmd;

/// Text that the server keeps under its digest. Without `SCRIPT LOAD`: managed servers may forbid it.
#[derive(Clone, Debug)]
pub struct Script {
    text: String,
    digest: String,
}

impl Script {
    /// Joins `parts` in order: shared definitions first, the script's own text last.
    pub fn new(parts: &[&str]) -> Self {
        let text = parts.join("\n");
        let digest = redis::Script::new(&text).get_hash().to_owned();
        Script { text, digest }
    }

    pub(super) fn by_digest(&self, args: &[Vec<u8>]) -> Cmd {
        call("EVALSHA", &self.digest, args)
    }

    pub(super) fn by_text(&self, args: &[Vec<u8>]) -> Cmd {
        call("EVAL", &self.text, args)
    }
}

/// All of it as ARGV, no KEYS: which keys a verb touches follows from the server's date and from what the hold says.
fn call(verb: &str, script: &str, args: &[Vec<u8>]) -> Cmd {
    let mut command = redis::cmd(verb);
    command.arg(script).arg(0);
    for arg in args {
        command.arg(arg.as_slice());
    }
    command
}
