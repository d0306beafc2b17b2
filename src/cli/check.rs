//! `headgate check`

use std::process::ExitCode;

use clap::Args;

use crate::app;

use super::{ConfigArgs, Failure, environment};

/// Say whether a config is right, and what it comes to.
///
/// Reads the config and compiles every policy, as `serve` and each reload do. All problems are told at once with
/// file, line and column. Exit code 0: it would serve; 1: it would not.
#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the whole effective config as YAML, secrets as ***
    #[arg(long)]
    effective: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let config = match app::check(&self.config.config, &environment()) {
            Ok(config) => config,
            Err(problems) => {
                eprintln!("{}", problems.trim_end());
                return Ok(ExitCode::FAILURE);
            }
        };
        for warning in &config.warnings {
            eprintln!("warning: {warning}");
        }
        if self.effective {
            print!("{}", config.effective_yaml());
            return Ok(ExitCode::SUCCESS);
        }
        println!("{}: good", self.config.config.display());
        for tier in &config.tiers {
            let targets: Vec<&str> = tier.targets.iter().map(|target| &*target.name).collect();
            let default = if tier.id == config.default_tier { "  (default)" } else { "" };
            println!("  {:<10} {}{default}", tier.name, targets.join(" -> "));
        }
        println!(
            "  {} limits, {} keys, {} aliases",
            config.limits.len(),
            config.keys.iter().count(),
            config.aliases.len()
        );
        Ok(ExitCode::SUCCESS)
    }
}
