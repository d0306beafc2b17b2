//! `headgate explain`: what became of a run, for a person who was not there.

mod attempts;
mod held;
mod limits;
mod money;
mod refusals;
mod story;
mod words;

use std::process::ExitCode;

use clap::Args;

use crate::app::{self, Explained};
use crate::domain::ids::RunId;
use crate::pipeline::Receipt;

use super::{ConfigArgs, Failure, environment};

/// Explain one run: who asked, what was decided and why, every attempt, every limit, and what it cost.
///
/// The id stands in the reply's `x-headgate-run` header, on refusals as well, and in the log line. Reads the store
/// beside a running gateway, or after one has ended, and changes nothing. Runs are kept for a day. Exit code 0: it is
/// told; 1: nothing is known of such a run; 2: the store can't be read.
#[derive(Args)]
pub(super) struct Explain {
    /// The run: run_ and 32 hex digits
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the receipt as JSON; amounts in nano-dollars
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let Some(run) = RunId::parse(&self.run) else {
            return Err(format!("{} is no run; the id starts with run_ and has 32 hex digits", self.run).into());
        };
        let config = app::check(&self.config.config, &environment())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Some(known) = runtime.block_on(app::explain(&config, run))? else {
            eprintln!(
                "headgate: nothing is known of {run}; runs are kept for a day, in the store that this config names"
            );
            return Ok(ExitCode::FAILURE);
        };
        match (known, self.json) {
            (Explained::Ended(record), true) => println!("{}", serde_json::to_string(&Receipt::of(&record))?),
            (Explained::Ended(record), false) => print!("{}", story::tell(&record)),
            (Explained::Held(held), true) => println!("{}", held::json(&held)),
            (Explained::Held(held), false) => print!("{}", held::tell(&held)),
        }
        Ok(ExitCode::SUCCESS)
    }
}
