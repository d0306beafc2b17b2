//! `headgate usage`

use std::process::ExitCode;

use clap::Args;

use crate::app;

use super::{ConfigArgs, Failure, environment};

/// Show what has been spent against every limit.
///
/// Reads the store beside a running gateway, or after one has ended, and changes nothing.
#[derive(Args)]
pub(super) struct Usage {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON; amounts in nano-dollars
    #[arg(long)]
    json: bool,
}

impl Usage {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let config = app::check(&self.config.config, &environment())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let report = runtime.block_on(app::usage(&config))?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{report}");
        }
        Ok(ExitCode::SUCCESS)
    }
}
