//! What is wrong with a config file, and where.

use std::fmt;

/// One mistake, written for the person who edits the file: it says where and what to do. No secret is ever part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the config file as the operator wrote it, or `environment` for a `HEADGATE_…` variable.
    pub file: String,
    /// Counted from 1; none when the whole file is meant or the value came from the environment.
    pub line: Option<u32>,
    /// Counted from 1, in characters.
    pub column: Option<u32>,
    /// Dotted path of the key, list entries by number: `limits[2].usd`. Empty for the whole file.
    pub path: String,
    pub message: String,
}

/// `config.yaml:12:5: tiers.complex.fallback: no provider is named "alhpa"; did you mean "alpha"?`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        f.write_str(": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with one config, in the order of the file. Never empty when returned as an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 problem in the config"),
            n => write!(f, "{n} problems in the config"),
        }
    }
}

impl std::error::Error for Problems {}
