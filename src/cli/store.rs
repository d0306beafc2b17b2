//! `headgate store`: what an operator decides about the store.

use std::process::ExitCode;

use clap::Subcommand;

use crate::app;

use super::{ConfigArgs, Failure, environment};

#[derive(Subcommand)]
pub(super) enum Store {
    /// Go on with a Redis that has forgotten what was spent
    ///
    /// Gateways that notice such a loss refuse every new call, and none starts. First try to restore a newer copy. This
    /// command says that budgets may start anew with what the store knows; running gateways add what they still know and
    /// go on within a second.
    AcceptLoss(ConfigArgs),
}

impl Store {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let Store::AcceptLoss(args) = self;
        let config = app::check(&args.config, &environment())?;
        if app::accept_loss(&config)? {
            println!("The loss is accepted; gateways go on with what the store knows now.");
            return Ok(ExitCode::SUCCESS);
        }
        println!("No gateway has found a loss; nothing was changed.");
        Ok(ExitCode::from(1))
    }
}
