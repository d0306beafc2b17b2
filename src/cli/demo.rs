//! `headgate demo`: mock providers and a gateway in one process, then a tour.

mod ask;
mod stage;
mod tour;

use std::process::ExitCode;

use clap::Args;

use super::{Failure, start_log};
use stage::Stage;

/// Show what Headgate does, on mock providers, then stay up to be tried.
///
/// Needs no key, no Redis and no config: everything it uses stands in a folder of its own, with a config.yaml and
/// policies that may be edited while it runs.
#[derive(Args)]
pub(super) struct Demo {
    /// End after the tour; exit code 0 only if every step did what it says
    #[arg(long)]
    once: bool,
}

impl Demo {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        // The tour itself tells what happens; only what is not part of it is logged.
        start_log("off");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let stage = runtime.block_on(Stage::set(self.once))?;
        let told = runtime.block_on(tour::walk(&stage));
        let code = match told {
            Ok(()) => ExitCode::SUCCESS,
            Err(failed) => {
                println!("\n\x1b[31mThe tour stopped: {failed}\x1b[0m");
                ExitCode::FAILURE
            }
        };
        if !self.once {
            stage.invite();
            runtime.block_on(tokio::signal::ctrl_c())?;
        }
        stage.clear();
        Ok(code)
    }
}
