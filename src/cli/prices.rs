//! `headgate prices`

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::app;
use crate::pricing::Listing;

use super::{ConfigArgs, Failure, environment};

/// Show what models cost, with the source and the date of each price, or what an edit changes.
///
/// Lists every model of the config's providers: the config's own prices, then the bundled list. Where a rate rises with
/// the length of the context, each band is a line.
#[derive(Args)]
pub(super) struct Prices {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only these, by provider/model or model; * stands for anything
    #[arg(long, value_name = "GLOB", default_value = "*")]
    model: String,
    /// Print JSON; dollars per million tokens as exact decimals
    #[arg(long)]
    json: bool,
    /// Compare with another config, or with what `--json` once printed
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    diff: Option<PathBuf>,
}

impl Prices {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let now = self.listing(&self.config.config)?;
        let text = match &self.diff {
            Some(file) => self.compare(file, &now)?,
            None if self.json => serde_json::to_string_pretty(&now)? + "\n",
            None => now.to_string(),
        };
        // Hundreds of lines: whoever reads only the first of them is no failure.
        match std::io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(ExitCode::SUCCESS),
        }
    }

    fn listing(&self, config: &Path) -> Result<Listing, Failure> {
        let config = app::check(config, &environment())?;
        Ok(app::prices(&config, |target| self.wants(target)))
    }

    fn wants(&self, target: &str) -> bool {
        let model = target.split_once('/').map_or(target, |(_, model)| model);
        [target, model].into_iter().any(|name| fits(self.model.as_bytes(), name.as_bytes()))
    }

    /// The difference from `file` to now, both books named first.
    fn compare(&self, file: &Path, now: &Listing) -> Result<String, Failure> {
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let before = match serde_json::from_str::<Listing>(&text) {
            Ok(mut saved) => {
                saved.prices.retain(|row| self.wants(&row.target));
                saved
            }
            Err(_) => self.listing(file)?,
        };
        let mut lines = vec![format!("- {}", before.price_book), format!("+ {}", now.price_book)];
        let books = lines.len();
        lines.extend(before.diff(now));
        if lines.len() == books {
            lines.push("the prices are the same".to_owned());
        }
        Ok(lines.join("\n") + "\n")
    }
}

/// Whether `name` is what `glob` describes; `*` stands for any text.
fn fits(glob: &[u8], name: &[u8]) -> bool {
    match glob.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|from| name.get(from..).is_some_and(|tail| fits(rest, tail))),
        Some((first, rest)) => name.split_first().is_some_and(|(byte, tail)| byte == first && fits(rest, tail)),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_text_and_everything_else_for_itself() {
        let fit = |glob: &str, name: &str| fits(glob.as_bytes(), name.as_bytes());
        for (glob, name) in [("*", "a/b"), ("gpt-*", "gpt-4o"), ("*mini", "gpt-4o-mini"), ("a*c*e", "abcde"), ("", "")]
        {
            assert!(fit(glob, name), "{glob} {name}");
        }
        for (glob, name) in [("gpt-*", "a/gpt-4o"), ("*mini", "gpt-4o-mini-2"), ("gpt", "gpt-4"), ("", "a")] {
            assert!(!fit(glob, name), "{glob} {name}");
        }
    }
}
